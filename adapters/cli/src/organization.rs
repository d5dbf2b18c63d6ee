//! `scopegate organization`: tenants. Nothing of one is ever shown to another.

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::{
    admin::{Command, Reply},
    store::Organization as Stored,
};
use serde_json::{Value, json};

use crate::{
    Common,
    admin::Admin,
    output::{self, cell, moment},
};

const EXAMPLES: &str = "\
Examples:
  scopegate organization add Acme
  scopegate organization list
  scopegate user add admin@acme.test --role admin --organization Acme

Where there is only one organization, other commands need no `--organization`.";

/// Add and list organizations
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Organization {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add an organization
    Add {
        /// Its name
        name: String,
    },
    /// List organizations
    List,
}

pub(crate) async fn run(organization: Organization, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match organization.action {
        Action::Add { name } => match admin.execute(Command::OrganizationCreate { name }).await? {
            Reply::Organization { organization } => {
                common.output.print(&view(&organization), |shown| {
                    format!(
                        "added `{}` with the id {}",
                        cell(&shown["name"]),
                        cell(&shown["id"])
                    )
                })
            }
            other => output::unexpected(&other),
        },
        Action::List => match admin.execute(Command::OrganizationList).await? {
            Reply::Organizations { organizations } => common
                .output
                .print(&organizations.iter().map(view).collect(), |shown| {
                    output::table(&["id", "name", "created_at"], shown, "no organizations yet")
                }),
            other => output::unexpected(&other),
        },
    }
}

fn view(organization: &Stored) -> Value {
    json!({
        "id": organization.id,
        "name": organization.name,
        "created_at": moment(Some(organization.created_at)),
    })
}

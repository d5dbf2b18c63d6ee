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
    output::{self, Output, cell, moment},
    user,
};

const EXAMPLES: &str = "\
Examples:
  scopegate organization add Acme --admin ada@acme.test
  scopegate organization list
  scopegate user add viewer@acme.test --role viewer --organization Acme

`--admin` invites the first administrator: the invitation is printed, once. Where there is only
one organization, other commands need no `--organization`.";

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
        /// The e-mail address of its first administrator, who is invited; required over the API
        #[arg(long, value_name = "EMAIL")]
        admin: Option<String>,
    },
    /// List organizations
    List,
}

/// The organization that a command is about.
#[derive(Args, Debug)]
pub(crate) struct Within {
    /// Which organization's, by name or id, where there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) organization: Option<String>,
}

pub(crate) async fn run(organization: Organization, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match organization.action {
        Action::Add { name, admin: email } => {
            let command = match email {
                Some(email) => Command::OrganizationFound { name, admin: email },
                None => Command::OrganizationCreate { name },
            };
            print_added(&admin.execute(command).await?, common.output)
        }
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

fn print_added(reply: &Reply, output: Output) -> Result<()> {
    let added = |organization: &Stored| {
        format!(
            "added `{}` with the id {}",
            organization.name, organization.id
        )
    };
    match reply {
        Reply::Organization { organization } => {
            output.print(&view(organization), |_| added(organization))
        }
        Reply::Founded {
            organization,
            admin,
            invitation,
            expires_at,
        } => {
            if output == Output::Text {
                output::note(&added(organization));
                user::note_invited(admin, *expires_at);
            }
            let mut shown = view(organization);
            if let Some(object) = shown.as_object_mut() {
                let invited = user::invited_view(admin, invitation, *expires_at);
                object.insert("admin".to_owned(), invited);
            }
            output.print(&shown, |shown| {
                let invitation = shown.pointer("/admin/invitation");
                invitation.map(cell).unwrap_or_default()
            })
        }
        other => output::unexpected(other),
    }
}

fn view(organization: &Stored) -> Value {
    json!({
        "id": organization.id,
        "name": organization.name,
        "created_at": moment(Some(organization.created_at)),
    })
}

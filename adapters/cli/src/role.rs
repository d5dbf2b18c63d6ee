//! `scopegate role`: what roles give, and an organization's own.

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::admin::{Command, Reply, RoleView};
use serde_json::{Value, json};

use crate::{
    Common,
    admin::Admin,
    organization::Within,
    output::{self, cell},
};

const EXAMPLES: &str = "\
Examples:
  scopegate role list
  scopegate role set on-call --permission '*:read' --permission recommendations:write
  scopegate user set-role ada@example.com --role on-call
  scopegate role delete on-call

A role has the permissions that were set last, and no others. What is changed holds from the next
request on, for everybody who has the role. Built-in roles are the policy's and do not change.";

/// List roles, make custom ones, delete them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Role {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List built-in and custom roles with their permissions
    List {
        #[command(flatten)]
        within: Within,
    },
    /// Make a custom role, or give it other permissions
    Set {
        /// Its name: lower-case letters, digits, `_` and `-`
        name: String,
        /// A permission that it gives, repeatable; `clusters:*`, `*:read` and `*` mean several
        #[arg(long = "permission", value_name = "PERMISSION", required = true)]
        permissions: Vec<String>,
        #[command(flatten)]
        within: Within,
    },
    /// Delete a custom role that nobody has
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        within: Within,
    },
}

pub(crate) async fn run(role: Role, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match role.action {
        Action::List { within } => {
            let organization = within.organization;
            match admin.execute(Command::RoleList { organization }).await? {
                Reply::Roles { roles } => common
                    .output
                    .print(&roles.iter().map(view).collect(), |shown| {
                        output::table(&["name", "custom", "permissions"], shown, "no roles")
                    }),
                other => output::unexpected(&other),
            }
        }
        Action::Set {
            name,
            permissions,
            within,
        } => {
            let command = Command::RoleSet {
                organization: within.organization,
                name,
                permissions,
            };
            match admin.execute(command).await? {
                Reply::Role { role } => common.output.print(&view(&role), |shown| {
                    format!(
                        "`{}` gives {}",
                        cell(&shown["name"]),
                        cell(&shown["permissions"])
                    )
                }),
                other => output::unexpected(&other),
            }
        }
        Action::Delete { name, within } => {
            let command = Command::RoleDelete {
                organization: within.organization,
                name: name.clone(),
            };
            let reply = admin.execute(command).await?;
            output::print_done(&reply, &format!("`{name}` is deleted"), common.output)
        }
    }
}

fn view(view: &RoleView) -> Value {
    json!({
        "name": view.role.name,
        "custom": view.custom,
        "permissions": view.role.permissions,
    })
}

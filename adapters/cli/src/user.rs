//! `scopegate user`: who can log in and own keys.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::{
    admin::{Command, Reply, UserRequest},
    store::User as Stored,
};
use scopegate_policy::Clusters;
use serde_json::{Value, json};

use crate::{
    Common,
    admin::Admin,
    output::{self, cell, moment},
    password::Password,
};

const EXAMPLES: &str = "\
Examples:
  scopegate user add editor@example.com --role editor
  scopegate user add viewer@example.com --role viewer --cluster prod --password-file pw.txt
  scopegate user list --output json
  scopegate user set-role editor@example.com --role viewer
  scopegate user remove-factor editor@example.com
  scopegate user disable editor@example.com

What is changed holds from the next request on, for sessions and for the keys that act for the
user.";

/// Add and list users, give them roles, disable them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; a password that is not given is generated and printed, once
    Add {
        /// Their e-mail address
        email: String,
        /// A role of the policy, such as `viewer`
        #[arg(long)]
        role: String,
        /// A cluster that they are assigned to, repeatable; without one, every cluster
        #[arg(long = "cluster", value_name = "ID")]
        clusters: Vec<String>,
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
        /// A file with the password; `-` reads it from standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List users
    List {
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
    },
    /// Give a user another role
    SetRole {
        /// Their e-mail address
        email: String,
        /// A role of the policy, such as `viewer`
        #[arg(long)]
        role: String,
    },
    /// Take away the second factor of a user who has lost it and their recovery codes
    RemoveFactor {
        /// Their e-mail address
        email: String,
    },
    /// Disable a user: their sessions end, and so do the keys that act for them
    Disable {
        /// Their e-mail address
        email: String,
    },
}

pub(crate) async fn run(user: User, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match user.action {
        Action::Add {
            email,
            role,
            clusters,
            organization,
            password_file,
        } => {
            let password = Password::choose(password_file.as_deref())?;
            let clusters = (!clusters.is_empty()).then_some(clusters);
            let command = Command::UserAdd(UserRequest {
                organization,
                email,
                password: Some(password.hash()?),
                role,
                clusters,
            });
            match admin.execute(command).await? {
                Reply::User { user } => print_added(&user, &password, common),
                other => output::unexpected(&other),
            }
        }
        Action::List { organization } => {
            match admin.execute(Command::UserList { organization }).await? {
                Reply::Users { users } => {
                    common
                        .output
                        .print(&users.iter().map(view).collect(), |shown| {
                            output::table(
                                &[
                                    "id",
                                    "email",
                                    "role",
                                    "clusters",
                                    "created_at",
                                    "disabled_at",
                                ],
                                shown,
                                "no users yet",
                            )
                        })
                }
                other => output::unexpected(&other),
            }
        }
        Action::SetRole { email, role } => {
            let command = Command::UserSetRole {
                email: email.clone(),
                role: role.clone(),
            };
            print_done(
                &admin.execute(command).await?,
                &format!("`{email}` has the role `{role}`"),
                common,
            )
        }
        Action::RemoveFactor { email } => {
            let command = Command::UserRemoveFactor {
                email: email.clone(),
            };
            print_done(
                &admin.execute(command).await?,
                &format!("`{email}` has no second factor"),
                common,
            )
        }
        Action::Disable { email } => {
            let command = Command::UserDisable {
                email: email.clone(),
            };
            print_done(
                &admin.execute(command).await?,
                &format!("`{email}` is disabled"),
                common,
            )
        }
    }
}

fn print_added(user: &Stored, password: &Password, common: &Common) -> Result<()> {
    let mut shown = view(user);
    if let Some(object) = shown.as_object_mut() {
        object.insert(
            "password".to_owned(),
            password.generated().map_or(Value::Null, Value::from),
        );
    }
    common.output.print(&shown, |shown| {
        let added = format!(
            "added `{}` with the role `{}`",
            cell(&shown["email"]),
            cell(&shown["role"])
        );
        match password.generated() {
            Some(password) => format!("{added}\npassword, shown this once: {password}"),
            None => added,
        }
    })
}

fn print_done(reply: &Reply, done: &str, common: &Common) -> Result<()> {
    let Reply::Done { changed } = reply else {
        return output::unexpected(reply);
    };
    common
        .output
        .print(&json!({ "changed": changed }), |_| match changed {
            true => done.to_owned(),
            false => format!("{done} already"),
        })
}

fn view(user: &Stored) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "role": user.role,
        // No id is `*`, so a list says it all: every cluster, some, or none.
        "clusters": match &user.clusters {
            Clusters::All => json!(["*"]),
            Clusters::Only(ids) => json!(ids),
        },
        "created_at": moment(Some(user.created_at)),
        "disabled_at": moment(user.disabled_at),
    })
}

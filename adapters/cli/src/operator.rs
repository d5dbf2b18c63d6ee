//! `scopegate operator`: who runs the gate itself. Operators are in no organization; they make and name organizations, and
//! see nothing in them.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::admin::{Command, Reply};

use crate::{Common, admin::Admin, output, password::Password, user};

const EXAMPLES: &str = "\
Examples:
  scopegate operator add ops@example.com
  scopegate operator add ops@example.com --password-file pw.txt
  scopegate operator list
  scopegate user disable ops@example.com

Operators are added on the gate's own machine alone, never over the API.";

/// Add and list operators of the gate itself
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Operator {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add an operator; a password that is not given is generated and printed, once
    Add {
        /// Their e-mail address
        email: String,
        /// A file with the password; `-` reads it from standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List operators
    List,
}

pub(crate) async fn run(operator: Operator, common: &Common) -> Result<()> {
    match operator.action {
        Action::Add {
            email,
            password_file,
        } => {
            let password = Password::choose(password_file.as_deref())?;
            let command = Command::OperatorAdd {
                email,
                password: Some(password.hash()?),
            };
            let admin = Admin::open(common).await?;
            match admin.execute(command).await? {
                Reply::User { user } => user::print_added(&user, &password, common.output),
                other => output::unexpected(&other),
            }
        }
        Action::List => {
            let admin = Admin::open(common).await?;
            let reply = admin.execute(Command::OperatorList).await?;
            user::print_list(
                &reply,
                &["id", "email", "created_at", "disabled_at"],
                "no operators yet",
                common.output,
            )
        }
    }
}

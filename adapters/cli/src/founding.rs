//! The beginning of a store: its first organization, and that one's administrator.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use scopegate_host::{
    Contract, Directory,
    admin::{Admin, Command, Reply, UserRequest},
    lock::{LockError, StoreLock},
    password::PasswordHash,
    store::{Missing, Purpose, Store},
};
use scopegate_policy::Description;
use scopegate_server::{Config, assemble::open_store};

use crate::{assembly, failure::Failure};

/// Who is to be there first.
#[derive(Args, Debug)]
pub(crate) struct FirstArguments {
    /// The name of the first organization
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) organization: String,
    /// The first administrator's e-mail address
    #[arg(long, value_name = "EMAIL", default_value = "admin@example.com")]
    pub(crate) admin: String,
    /// A file with their password; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// Who is there first.
pub(crate) struct First<'f> {
    pub(crate) organization: &'f str,
    /// An e-mail address.
    pub(crate) admin: &'f str,
    pub(crate) password: PasswordHash,
}

/// Makes the configuration's store where there is none, and them in it, unless somebody is there already. What was begun
/// and broken off is finished. Gives whether anything was made.
pub(crate) async fn create(
    config: &Config,
    contract: &Contract,
    description: &Description,
    first: First<'_>,
) -> Result<bool> {
    let _lock = StoreLock::take(&config.store.local).map_err(in_use)?;
    let store = open_store(
        &config.store,
        &config.audit,
        Purpose::Serve,
        Missing::Create,
    )
    .await
    .map_err(assembly::with_help)?;
    found(store, contract, description, first).await
}

/// Whoever holds the lock of a store has it in use.
pub(crate) fn in_use(error: LockError) -> anyhow::Error {
    match error {
        LockError::Held { .. } => Failure::new(error.to_string())
            .help("end the server first: it would go on with what it has read")
            .into(),
        other => other.into(),
    }
}

async fn found(
    store: Store,
    contract: &Contract,
    description: &Description,
    first: First<'_>,
) -> Result<bool> {
    let directory = Directory::new(store, contract.authority.clone());
    let machine = Admin::new(&directory, contract, description);
    let now_ms = Timestamp::now().as_millisecond();
    let execute = |command| machine.execute(command, now_ms);
    let organization = first.organization.to_owned();
    let is_new = match execute(Command::OrganizationList).await? {
        Reply::Organizations { organizations } if organizations.is_empty() => {
            let name = organization.clone();
            execute(Command::OrganizationCreate { name }).await?;
            true
        }
        Reply::Organizations { organizations } => {
            let mut known = organizations.iter();
            known.any(|known| known.name == first.organization) && {
                let organization = Some(organization.clone());
                let users = execute(Command::UserList { organization }).await?;
                matches!(users, Reply::Users { users } if users.is_empty())
            }
        }
        _ => false,
    };
    if is_new {
        let admin = UserRequest {
            organization: Some(organization),
            email: first.admin.to_owned(),
            password: Some(first.password),
            role: "admin".to_owned(),
            clusters: None,
        };
        execute(Command::UserAdd(admin)).await?;
    }
    directory.store().close().await;
    Ok(is_new)
}

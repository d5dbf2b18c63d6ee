//! `scopegate store`: a new one, a copy of one while a server uses it, and the way back.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use scopegate_host::{
    lock::{LockError, StoreLock},
    store::{BackupError, InPlace, Missing, OpenError, Purpose, back_up, path_of_url, restore},
};
use scopegate_server::{Config, assemble::open_store};
use serde_json::json;

use crate::{
    Common, assembly,
    failure::Failure,
    founding::{First, found},
    output::note,
    password::Password,
    remote,
};

const EXAMPLES: &str = "\
Examples:
  scopegate store create --admin me@example.com --password-file pw.txt
  scopegate store backup gate-2026-04-01.db
  scopegate store restore gate-2026-04-01.db
  scopegate store restore gate-2026-04-01.db --replace

`create` changes nothing where somebody is there already, so it may run before each start. The
password is the one in the file, else the one in SCOPEGATE_PASSWORD, else it is generated and
printed, once.

A backup is the store as of one moment, taken while a server goes on using it. To restore one,
end the server first. What was revoked after the backup is good again in the restored store.
Keep the signing keys with the backup, they are not in it.";

/// Make the store, back it up while a server runs, and restore it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the configuration's store with an organization and its administrator, if there is none
    Create {
        /// The name of the first organization
        #[arg(long, value_name = "NAME", default_value = "main")]
        organization: String,
        /// The first administrator's e-mail address
        #[arg(long, value_name = "EMAIL", default_value = "admin@example.com")]
        admin: String,
        /// A file with their password; `-` reads it from standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Copy the store to a file that is not there yet
    Backup {
        /// The copy; only its owner can read it
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a copy where the configuration's store is
    Restore {
        /// What `backup` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Keep the store that is there under another name, beside it
        #[arg(long)]
        replace: bool,
    },
}

pub(crate) async fn run(store: Store, common: &Common) -> Result<()> {
    if common.access.url.is_some() {
        return remote::machine_only("a store is made, backed up and restored");
    }
    let config = assembly::configuration(&common.config)?;
    let url = config.store.clone();
    match store.action {
        Action::Create {
            organization,
            admin,
            password_file,
        } => {
            let password = Password::choose(password_file.as_deref())?;
            let first = First {
                organization: &organization,
                admin: &admin,
                password: password.hash()?,
            };
            let is_new = create(&config, first).await?;
            let generated = password.generated().filter(|_| is_new);
            let shown = json!({
                "created": is_new,
                "organization": organization,
                "admin": { "email": admin, "password": generated },
            });
            common.output.print(&shown, |_| match (is_new, generated) {
                (false, _) => "somebody is there already: nothing was changed".to_owned(),
                (true, None) => format!("administrator of `{organization}`: {admin}"),
                (true, Some(password)) => format!(
                    "administrator of `{organization}`: {admin}\npassword, shown this once: {password}"
                ),
            })
        }
        Action::Backup { file } => {
            let bytes = back_up(&url, Purpose::Serve, &file)
                .await
                .map_err(|error| {
                    with_help(error, "a backup is never written over: name a new file")
                })?;
            let shown = json!({ "file": file.display().to_string(), "bytes": bytes });
            common.output.print(&shown, |_| {
                format!("wrote `{}`, {bytes} bytes", file.display())
            })
        }
        Action::Restore { file, replace } => {
            let path = path_of_url(&url)?;
            let lock = StoreLock::take(&path).map_err(in_use)?;
            let in_place = match replace {
                true => InPlace::Rename {
                    now_ms: Timestamp::now().as_millisecond(),
                },
                false => InPlace::Keep,
            };
            let kept = restore(&url, Purpose::Serve, &file, in_place, &lock)
                .await
                .map_err(|error| with_help(error, "`--replace` keeps it under another name"))?
                .map(|path| path.display().to_string());
            let shown = json!({ "store": path.display().to_string(), "replaced": kept });
            let heads = config.audit.seal.map(|seal| seal.heads);
            if let Some(heads) = heads.filter(|heads| heads.exists()) {
                note(&format!(
                    "next: `scopegate audit verify` says what the audit's heads have that the backup has not; once that is settled, move `{}` away and keep it, for no server starts on a store that lacks what they say",
                    heads.display()
                ));
            }
            common.output.print(&shown, |_| {
                let restored = format!("restored `{}`", path.display());
                match &kept {
                    Some(kept) => format!("{restored}; the one before is `{kept}`"),
                    None => restored,
                }
            })
        }
    }
}

/// Makes the store where there is none, and whoever is first in it.
async fn create(config: &Config, first: First<'_>) -> Result<bool> {
    let contract = assembly::contract(config)?;
    let description = assembly::description(config, &contract)?;
    let _lock = StoreLock::take(&path_of_url(&config.store)?).map_err(in_use)?;
    let store = open_store(
        &config.store,
        &config.audit,
        Purpose::Serve,
        Missing::Create,
    )
    .await
    .map_err(assembly::with_help)?;
    found(store, &contract, &description, first).await
}

fn in_use(error: LockError) -> anyhow::Error {
    match error {
        LockError::Held { .. } => Failure::new(error.to_string())
            .help("end the server first: it would go on with what it has read")
            .into(),
        other => other.into(),
    }
}

fn with_help(error: BackupError, if_exists: &str) -> anyhow::Error {
    let help = match &error {
        BackupError::Exists(_) => if_exists,
        BackupError::InUse { .. } => "copy a store with `scopegate store backup`",
        BackupError::Open(OpenError::Newer { .. }) => {
            "use the version that made it, or a later one"
        }
        BackupError::Open(_) | BackupError::Io { .. } => return error.into(),
    };
    Failure::new(error.to_string()).help(help).into()
}

//! `scopegate store`: a new one, a copy of one while a server uses it, and the way back; and the way from a file to a server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use scopegate_host::{
    lock::{LockError, StoreLock},
    store::{
        BackupError, Copied, CopyError, InPlace, Location, Missing, OpenError, Purpose,
        Store as Stored, back_up, copy as copy_store, restore,
    },
};
use scopegate_server::Config;
use serde_json::json;

use crate::{
    Common, assembly,
    failure::Failure,
    founding::{First, FirstArguments, create, in_use},
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
  scopegate store copy sqlite://scopegate.db postgres://scopegate@db.internal/scopegate

`create` changes nothing where somebody is there already, so it may run before each start. The
password is the one in the file, else the one in SCOPEGATE_PASSWORD, else it is generated and
printed, once.

A backup is the store as of one moment, taken while a server goes on using it. To restore one,
end the server first. What was revoked after the backup is good again in the restored store.
Keep the signing keys with the backup, they are not in it.

A store is copied to another engine while its server goes on: once to copy most of it, and once
more when the server has ended, which is quick. Both stores are compared row by row at the end.
Passwords of database servers come from PGPASSWORD or a .pgpass file.";

/// Make the store, back it up while a server runs, restore it, and take it to another engine
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the configuration's store with an organization and its administrator, if there is none
    Create(FirstArguments),
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
    /// Make a store on another engine the same as this one
    Copy {
        /// The store to copy: `sqlite://FILE` or `postgres://USER@HOST/DATABASE`
        #[arg(value_name = "FROM")]
        from: String,
        /// Where to: an empty place, or what an earlier run has made
        #[arg(value_name = "TO")]
        to: String,
    },
}

pub(crate) async fn run(store: Store, common: &Common) -> Result<()> {
    if common.access.url.is_some() {
        return remote::machine_only("a store is made, backed up, restored and copied");
    }
    match store.action {
        Action::Create(first) => make(first, common).await,
        Action::Backup { file } => backup(&file, common).await,
        Action::Restore { file, replace } => put_back(&file, replace, common).await,
        Action::Copy { from, to } => copy(&from, &to, common).await,
    }
}

async fn make(first: FirstArguments, common: &Common) -> Result<()> {
    let FirstArguments {
        organization,
        admin,
        password_file,
    } = first;
    let config = assembly::configuration(&common.config)?;
    let password = Password::choose(password_file.as_deref())?;
    let first = First {
        organization: &organization,
        admin: &admin,
        password: password.hash()?,
    };
    let contract = assembly::contract(&config)?;
    let description = assembly::description(&config, &contract)?;
    let is_new = create(&config, &contract, &description, first).await?;
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

/// The configuration, and the file of its store.
fn configured(common: &Common) -> Result<(Config, PathBuf)> {
    let config = assembly::configuration(&common.config)?;
    match config.store.file().map(Path::to_owned) {
        Some(path) => Ok((config, path)),
        None => Err(Failure::new(
            "the store is on a server, whose own tools make and restore copies",
        )
        .help("use `pg_dump` and `pg_restore` of PostgreSQL")
        .into()),
    }
}

async fn backup(file: &Path, common: &Common) -> Result<()> {
    let (_, store) = configured(common)?;
    let bytes = back_up(&store, Purpose::Serve, file)
        .await
        .map_err(|error| with_help(error, "a backup is never written over: name a new file"))?;
    let shown = json!({ "file": file.display().to_string(), "bytes": bytes });
    common.output.print(&shown, |_| {
        format!("wrote `{}`, {bytes} bytes", file.display())
    })
}

async fn put_back(file: &Path, replace: bool, common: &Common) -> Result<()> {
    let (config, path) = configured(common)?;
    let lock = StoreLock::take(&path).map_err(in_use)?;
    let in_place = match replace {
        true => InPlace::Rename {
            now_ms: Timestamp::now().as_millisecond(),
        },
        false => InPlace::Keep,
    };
    let kept = restore(&path, Purpose::Serve, file, in_place, &lock)
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

/// Copies a store from one place to another. Neither is the configuration's: that is changed when the copy is there.
async fn copy(from: &str, to: &str, common: &Common) -> Result<()> {
    let (from, to) = (Location::parse(from)?, Location::parse(to)?);
    let used = match lock(&from) {
        Ok(lock) => Ok(lock),
        Err(LockError::Held { .. }) => Err(()),
        Err(error) => return Err(error.into()),
    };
    let _held = lock(&to).map_err(in_use)?;
    let source = Stored::open_to_read_at(&from).await?;
    let target = Stored::open_at(&to, Purpose::Serve, Missing::Create).await?;
    let copied = copy_store(&source, &target).await;
    source.close().await;
    target.close().await;
    let copied = copied.map_err(|error| match &error {
        CopyError::Other => Failure::new(error.to_string())
            .help(
                "name an empty place: a database, or a schema with `?options=-csearch_path%3Dname`",
            )
            .into(),
        _ => anyhow::Error::from(error),
    })?;
    if used.is_err() {
        note(
            "a server uses the store that was copied: end it and copy again, which is quick; then name the new one in the configuration",
        );
    }
    let Copied {
        added,
        changed,
        removed,
        compared,
    } = copied;
    let shown = json!({
        "from": from.name(), "to": to.name(), "added": added, "changed": changed, "removed": removed,
        "compared": compared, "in_use": used.is_err(),
    });
    common.output.print(&shown, |_| {
        format!(
            "`{}` is as `{}` was: {added} rows added, {changed} changed, {removed} removed, {compared} compared",
            to.name(),
            from.name()
        )
    })
}

/// The lock of a store that is a file.
fn lock(location: &Location) -> Result<Option<StoreLock>, LockError> {
    match location {
        Location::Sqlite(path) => StoreLock::take(path).map(Some),
        Location::Postgres(_) => Ok(None),
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

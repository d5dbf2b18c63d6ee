//! `scopegate signing-key`: the keys that sign sessions, changed while a server runs. The file is replaced whole; then the
//! server is told, so that it has the keys when the command returns.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use scopegate_host::{
    Contract,
    admin::Command,
    keyring::{self, KeyView, NewKey},
    lock::socket_path,
};
use scopegate_server::{Config, SendError, assemble::AssembleError, send};
use serde_json::{Value, json};

use crate::{
    Common, assembly,
    credential::Expiry,
    failure::Failure,
    output::{self, moment, note},
    remote,
};

const EXAMPLES: &str = "\
Examples:
  scopegate signing-key list
  scopegate signing-key rotate
  scopegate signing-key rotate --algorithm ES256
  scopegate signing-key rotate --retire-after 0s
  scopegate signing-key retire 5f0c2a9be1d84c37

A rotation puts a new key in front. The others verify what they have signed until it has expired;
then the server takes them no more, and the next rotation takes them out of the file. A running
server has the keys when the command returns. `--retire-after 0s` is for a key that was stolen:
all sessions' tokens end.";

/// How long an old key verifies beyond the life of its last token, in seconds.
const SLACK_SECS: i64 = 3600;

/// List, rotate and retire the keys that sign sessions
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SigningKey {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the keys of the file
    List,
    /// Put a new key in front, and let the others retire
    Rotate {
        /// What the new key is for; that of the present one when left out
        #[arg(long, value_enum, ignore_case = true)]
        algorithm: Option<Algorithm>,
        /// How long the others verify, such as `48h`, or until when; an hour longer than tokens live when left out
        #[arg(long, value_name = "SPAN")]
        retire_after: Option<Expiry>,
    },
    /// Take a key out now: what it has signed is worth nothing any more
    Retire {
        /// Its name, as `list` shows it
        #[arg(value_name = "KID")]
        kid: String,
    },
}

/// What a key can be made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    /// A shared secret: only the gate can verify sessions
    #[value(name = "HS256")]
    Hs256,
    /// ECDSA with P-256: others verify with `/-/jwks.json`
    #[value(name = "ES256")]
    Es256,
    /// Ed25519: others verify with `/-/jwks.json`
    #[value(name = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for NewKey {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::Hs256,
            Algorithm::Es256 => Self::Es256,
            Algorithm::EdDsa => Self::EdDsa,
        }
    }
}

pub(crate) async fn run(signing_key: SigningKey, common: &Common) -> Result<()> {
    if common.access.url.is_some() {
        return remote::machine_only("signing keys are changed");
    }
    let config = assembly::configuration(&common.config)?;
    let Some(path) = config.session_keys.clone() else {
        return Err(assembly::with_help(AssembleError::NoKeys));
    };
    match signing_key.action {
        Action::List => {
            let keys: Vec<Value> = keyring::list(&path)?.iter().map(view).collect();
            common.output.print(&Value::from(keys), |shown| {
                output::table(
                    &["kid", "algorithm", "signs", "created_at", "retires_at"],
                    shown,
                    "no keys",
                )
            })
        }
        Action::Rotate {
            algorithm,
            retire_after,
        } => {
            let contract = assembly::contract(&config)?;
            let kind = allowed(algorithm.map(NewKey::from), &contract)?;
            rotate(&path, kind, retire_after, &contract, &config, common).await
        }
        Action::Retire { kid } => {
            if !keyring::retire(&path, &kid)? {
                return Err(Failure::new(format!("there is no key `{kid}`"))
                    .help("`scopegate signing-key list` shows them")
                    .into());
            }
            tell_server(&config).await?;
            common
                .output
                .print(&json!({ "kid": kid, "retired": true }), |_| {
                    format!("`{kid}` is out: what it has signed is worth nothing any more")
                })
        }
    }
}

async fn rotate(
    path: &Path,
    kind: Option<NewKey>,
    retire_after: Option<Expiry>,
    contract: &Contract,
    config: &Config,
    common: &Common,
) -> Result<()> {
    let now = Timestamp::now();
    let life = contract.session.ttl_secs;
    let retire_after_secs = retire_after.map_or(life.saturating_add(SLACK_SECS), |expiry| {
        expiry.at(now).saturating_sub(now.as_second())
    });
    if retire_after_secs < life {
        note(
            "sessions that go on longer than that must be signed in to again: tokens outlive their key",
        );
    }
    let rotated = keyring::rotate(path, kind, retire_after_secs, now.as_millisecond())?;
    tell_server(config).await?;
    let mut shown = view(&rotated.key);
    if let Some(object) = shown.as_object_mut() {
        object.insert("removed".to_owned(), json!(rotated.removed));
        object.insert("sealing_added".to_owned(), json!(rotated.sealing_added));
    }
    common.output.print(&shown, |_| {
        let mut lines = vec![format!(
            "`{}` ({:?}) signs from now on; the others verify until {}",
            rotated.key.kid,
            rotated.key.algorithm,
            output::cell(&moment(Some(
                now.as_second().saturating_add(retire_after_secs)
            )))
        )];
        lines.extend(
            rotated
                .removed
                .iter()
                .map(|kid| format!("`{kid}` had retired and is out")),
        );
        if rotated.sealing_added {
            lines.push(
                "second factors can be enrolled now: keep the file as long as the store".to_owned(),
            );
        }
        lines.join("\n")
    })
}

/// The key to make, if the contract's product has not promised another.
fn allowed(kind: Option<NewKey>, contract: &Contract) -> Result<Option<NewKey>> {
    match (kind, contract.session.algorithm) {
        (Some(kind), Some(promised)) if kind.algorithm() != promised => {
            Err(Failure::usage(format!(
                "the contract `{}` promises tokens signed with {promised:?}",
                contract.name
            ))
            .help("leave `--algorithm` out")
            .into())
        }
        _ => Ok(kind),
    }
}

/// Has the server of this configuration's store read the file again, if one runs.
async fn tell_server(config: &Config) -> Result<()> {
    let socket: PathBuf = socket_path(&config.store.local);
    if !socket.exists() {
        return Ok(());
    }
    match send(&socket, &Command::KeysReload).await {
        Ok(Ok(_)) | Err(SendError::NoServer { .. }) => Ok(()),
        Ok(Err(error)) => Err(Failure::new(format!("the file is changed, and {error}")).into()),
        Err(error) => Err(Failure::new(format!("the file is changed, and {error}"))
            .help("the server looks at the file every second; its log says what came of it")
            .into()),
    }
}

fn view(key: &KeyView) -> Value {
    json!({
        "kid": key.kid,
        "algorithm": format!("{:?}", key.algorithm),
        "signs": key.signs,
        "created_at": moment(key.created_at),
        "retires_at": moment(key.retires_at),
    })
}

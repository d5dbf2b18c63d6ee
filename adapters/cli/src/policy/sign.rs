//! `scopegate policy key`, `sign` and `verify`: who answers for a policy.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::bundle::{self, PolicyKeyError, PolicyPublicKey, PolicySigningKey, Trust};
use serde_json::json;

use super::file::write_in_one_step;
use crate::{
    failure::Failure,
    output::{Output, line, note},
};

const KEY_EXAMPLES: &str = "\
Examples:
  scopegate policy key new policy-key.pem
  scopegate policy key public policy-key.pem > policy-key.pub

The private key signs, and stays with whoever ships policies. The public one goes to the gates,
whose configuration names it under `policy_keys`. Keys of `openssl genpkey -algorithm ed25519`
work as well.";

const SIGN_EXAMPLES: &str = "\
Examples:
  scopegate policy sign policy.wasm --key policy-key.pem

The signature is put behind what is signed, in the same file; several keys may sign one.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  scopegate policy verify policy.wasm --trust policy-key.pub
  scopegate policy verify policy.wasm --trust old.pub new.pub

The exit code is 0 if one of the keys has signed the file as it is.";

/// Make keys that sign policies
#[derive(Args, Debug)]
#[command(after_help = KEY_EXAMPLES)]
pub(crate) struct Key {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Write a new private key to a new file
    #[command(after_help = KEY_EXAMPLES)]
    New {
        /// The file; only its owner can read it
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the public half of a key
    #[command(after_help = KEY_EXAMPLES)]
    Public {
        /// The private key's file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Sign a policy
#[derive(Args, Debug)]
#[command(after_help = SIGN_EXAMPLES)]
pub(crate) struct Sign {
    /// What `policy build` wrote
    #[arg(value_name = "FILE.wasm")]
    bundle: PathBuf,
    /// The private key's file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Check who has signed a policy
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct Verify {
    /// The policy
    #[arg(value_name = "FILE.wasm")]
    bundle: PathBuf,
    /// Public keys; one of them must have signed it
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    trust: Vec<PathBuf>,
}

pub(super) fn key(key: &Key, output: Output) -> Result<()> {
    match &key.action {
        KeyAction::New { file } => {
            let key = PolicySigningKey::create(file).map_err(with_help)?;
            let id = key.public().id().to_owned();
            let shown = json!({ "file": file.display().to_string(), "key_id": id });
            output.print(&shown, |_| format!("wrote `{}`, key {id}", file.display()))
        }
        KeyAction::Public { file } => {
            let public = PolicyPublicKey::load(file).map_err(with_help)?;
            match output {
                Output::Text => line(&public.pem()),
                Output::Json => output.print(
                    &json!({ "key_id": public.id(), "pem": public.pem() }),
                    |_| String::new(),
                ),
            }
        }
    }
}

pub(super) fn sign(sign: &Sign, output: Output) -> Result<()> {
    let key = PolicySigningKey::load(&sign.key).map_err(with_help)?;
    let path = &sign.bundle;
    let before = super::ship::component(path)?;
    if !before.starts_with(b"\0asm") {
        return Err(
            Failure::new(format!("`{}` is not a component", path.display()))
                .help("`scopegate policy build` makes one of a document")
                .into(),
        );
    }
    let signed = bundle::sign(before, &key);
    write_in_one_step(path, &signed)?;
    let shown = json!({
        "file": path.display().to_string(),
        "key_id": key.public().id(),
        "signers": bundle::signers(&signed),
    });
    output.print(&shown, |_| {
        format!(
            "`{}` is signed by {}",
            path.display(),
            bundle::signers(&signed).join(", ")
        )
    })
}

pub(super) fn verify(verify: &Verify, output: Output) -> Result<()> {
    let trust = trusted(&verify.trust)?;
    let path = &verify.bundle;
    let component = super::ship::component(path)?;
    match trust.verify(&component) {
        Ok(key) => {
            let shown = json!({ "file": path.display().to_string(), "key_id": key.id() });
            output.print(&shown, |_| {
                format!("`{}` is signed by {}", path.display(), key.id())
            })
        }
        Err(why) => {
            note(&format!("`{}` is not trusted", path.display()));
            Err(Failure::new(why.to_string())
                .help("sign it with `scopegate policy sign`, by a key whose public half is trusted")
                .into())
        }
    }
}

/// The keys in these files.
pub(super) fn trusted(files: &[PathBuf]) -> Result<Trust> {
    let keys: Result<Vec<_>, _> = files
        .iter()
        .map(|path| PolicyPublicKey::load(path))
        .collect();
    Ok(Trust(keys.map_err(with_help)?))
}

fn with_help(error: PolicyKeyError) -> anyhow::Error {
    let help = match &error {
        PolicyKeyError::Exposed { .. } => {
            "`chmod 600` it, and make another if somebody may have read it"
        }
        PolicyKeyError::Malformed { .. } => "`scopegate policy key new FILE` makes one",
        PolicyKeyError::File { error, .. } if error.kind() == std::io::ErrorKind::AlreadyExists => {
            "a key is never written over: name a new file"
        }
        PolicyKeyError::File { .. } | PolicyKeyError::NoRandomness => return error.into(),
    };
    Failure::new(error.to_string()).help(help).into()
}

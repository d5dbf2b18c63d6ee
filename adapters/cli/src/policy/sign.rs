//! `scopegate policy key`, `sign` and `verify`: who answers for a policy.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::bundle::{
    self, BadSignature, PolicyKeyError, PolicyPublicKey, PolicySigningKey, Trust,
};
use serde_json::json;

use super::{
    build::checks,
    file::{text, unreadable, write_in_one_step},
    limits::LimitsProfile,
};
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

Only what a gate would take is signed; a document is built first. The signature is put behind what is signed, in the same file; several keys may sign one.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  scopegate policy verify policy.wasm --trust policy-key.pub
  scopegate policy verify policy.wasm --trust old.pub new.pub

The digest is the one that `versions` and the audit show. The exit code is 0 if one of the keys has signed the file as it is.";

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
    /// The limits that it is loaded under
    #[arg(long, value_enum, default_value_t)]
    limits: LimitsProfile,
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
    let before = component(path)?;
    // As a gate will: nobody should answer for what no gate takes.
    let checks = checks(sign.limits)?;
    checks
        .check_unsigned(&before)
        .map_err(|bad| Failure::new(format!("nothing is signed: {bad}")).help(bad.help()))?;
    let signed = bundle::sign(before, &key);
    Trust(vec![key.public()]).verify(&signed).map_err(|bad| {
        Failure::new(format!("nothing is signed: {bad}"))
            .help("build it again with `scopegate policy build`, and sign that")
    })?;
    write_in_one_step(path, &signed)?;
    let shown = json!({
        "file": path.display().to_string(),
        "key_id": key.public().id(),
        "signers": bundle::signers(&signed),
        "digest": bundle::digest(&signed),
    });
    output.print(&shown, |shown| {
        format!(
            "`{}` is signed by {}; {}",
            path.display(),
            bundle::signers(&signed).join(", "),
            text(&shown["digest"])
        )
    })
}

pub(super) fn verify(verify: &Verify, output: Output) -> Result<()> {
    let trust = trusted(&verify.trust)?;
    let path = &verify.bundle;
    let component = component(path)?;
    match trust.verify(&component) {
        Ok(key) => {
            let digest = bundle::digest(&component);
            let shown = json!({
                "file": path.display().to_string(),
                "key_id": key.id(),
                "digest": digest,
            });
            output.print(&shown, |_| {
                format!("`{}` is signed by {}; {digest}", path.display(), key.id())
            })
        }
        Err(why) => {
            note(&format!("`{}` is not trusted", path.display()));
            let help = match why {
                BadSignature::NotWhole => "get the whole `.wasm`, or build and sign it again",
                BadSignature::Wrong(_) => {
                    "get it again from whoever signed it, and find out who changed it"
                }
                BadSignature::None | BadSignature::Unknown(_) => {
                    "sign it with `scopegate policy sign`, by a key whose public half is trusted"
                }
            };
            Err(Failure::new(why.to_string()).help(help).into())
        }
    }
}

/// A component's bytes. Of a document nothing is made here: what is signed is what was built, and its file is another.
fn component(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    if bundle::is_component(&bytes) {
        return Ok(bytes);
    }
    let shown = path.display();
    let built = path.with_extension("wasm");
    let built = match built == path {
        true => "policy.wasm".to_owned(),
        false => built.display().to_string(),
    };
    Err(Failure::new(format!("`{shown}` is not a component"))
        .help(format!(
            "build it first: `scopegate policy build {shown} -o {built}`"
        ))
        .into())
}

/// The keys in these files.
pub(super) fn trusted(files: &[PathBuf]) -> Result<Trust> {
    Trust::load(files).map_err(with_help)
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

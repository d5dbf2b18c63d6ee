//! `scopegate audit`: what was asked and what was changed. It reads the store directly, also while a server runs on it.

mod place;
mod search;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::audit::{AuditKey, AuditPublicKey};
use serde_json::to_value;

use self::place::Place;
use crate::{Common, failure::Failure, output::cell};

const EXAMPLES: &str = "\
Examples:
  scopegate audit verify
  scopegate audit verify --store copy.db --key public.json --heads heads-of-yesterday.jsonl
  scopegate audit tail --follow
  scopegate audit search --user editor@example.com --outcome refuse --since 24h
  scopegate audit search --action key.mint --output json | jq .subject
  scopegate audit create-key audit-key.json
  scopegate audit public-key --output json > public.json

Over the API (SCOPEGATE_URL) `search` finds the records of your own organization.
`verify` ends with 1 when anything is wrong. How the chain is made and signed: docs/audit.md.";

/// Verify, follow and search the audit
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Find every record that was edited, taken out, moved or cut off
    Verify(verify::Verify),
    /// Show the newest records, oldest first
    Tail(search::Tail),
    /// Find records, newest first
    Search(Box<search::Search>),
    /// Write a new key to a new file, with mode 600
    CreateKey {
        /// Where
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the public half of the key, to verify elsewhere
    PublicKey {
        /// The key's file, instead of the configuration's
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

pub(crate) async fn run(audit: Audit, common: &Common) -> Result<()> {
    match audit.action {
        Action::Verify(verify) => verify::run(verify, common).await,
        Action::Tail(tail) => search::tail(tail, common).await,
        Action::Search(search) => search::run(*search, common).await,
        Action::CreateKey { file } => print_public(&AuditKey::create(&file)?.public(), common),
        Action::PublicKey { key } => {
            let configured = || Ok::<_, anyhow::Error>(Place::configured(common)?.key);
            let Some(path) = key.map_or_else(configured, |key| Ok(Some(key)))? else {
                return Err(no_key());
            };
            print_public(&AuditPublicKey::load(&path)?, common)
        }
    }
}

fn print_public(public: &AuditPublicKey, common: &Common) -> Result<()> {
    common.output.print(&to_value(public)?, |shown| {
        format!("{}  {}", cell(&shown["key_id"]), cell(&shown["public_key"]))
    })
}

fn no_key() -> anyhow::Error {
    Failure::new("there is no key: `audit.key` is not set, and no `--key` was given")
        .help("name one; or verify the chain alone, without signatures, with `--unsigned`")
        .into()
}

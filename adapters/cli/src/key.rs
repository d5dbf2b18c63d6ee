//! `scopegate key`: API keys from a terminal.

mod import;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use scopegate_host::{
    admin::{Command, KeyRequest, Reply},
    store::CredentialKind::ApiKey,
};
use serde_json::json;

use crate::{
    Common,
    admin::Admin,
    credential::{self, Expiry},
    organization::Within,
    output::{self, cell},
};

const EXAMPLES: &str = "\
Examples:
  scopegate key mint --owner ada@example.com --name grafana --scope clusters:read
  scopegate key mint --owner admin@example.com --name ci --cluster prod --expires 90d
  scopegate key list --output json

  # A new key with the same rights; the old one stays good for two days
  scopegate key rotate grafana --overlap 48h
  scopegate key revoke 0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11

  # Keys that were minted elsewhere go on working
  scopegate key import keys.jsonl

  # For secret scanners
  scopegate key pattern

A key is printed once, when it is minted: only its hash is kept. A revoked key is refused from
the moment that `revoke` returns, by a running server too. Over the API (SCOPEGATE_URL) keys
are minted and rotated for oneself; a key rotates itself as `self`.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  scopegate key import keys.jsonl
  jq -c '.keys[]' old.json | scopegate key import -

A line, or a member of the list:
  { \"name\": \"grafana\", \"sha256\": \"9f86d0…\", \"owner\": \"ada@example.com\",
    \"scopes\": [\"clusters:read\"], \"allowed_cluster_ids\": [], \"expires_at\": null,
    \"prefix\": \"old_\", \"last_four\": \"x7Qp\" }
`sha256` is that of the whole key, in hex; the key itself is never needed. What is not known may
be left out. All of them are taken over or, when one is wrong, none.";

/// Mint, list, rotate, import and revoke API keys
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Key {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Mint a key and print it, once
    Mint(Mint),
    /// List keys: whose they are and what they may, never the keys themselves
    List {
        #[command(flatten)]
        within: Within,
    },
    /// Mint a successor with the same rights and print it, once; the old key stays good for a while
    Rotate(credential::Rotate),
    /// Revoke keys, at once
    Revoke(credential::Revoke),
    /// Take over keys that were minted elsewhere, by their hashes
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        #[command(flatten)]
        within: Within,
        /// JSON, one key a line or a list of them; `-` reads it from standard input
        file: PathBuf,
    },
    /// Print the regular expression by which secret scanners find keys and agent tokens
    Pattern,
}

#[derive(Args, Debug)]
struct Mint {
    /// The user whose key it is; required where the contract's keys act for their owner
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    #[command(flatten)]
    within: Within,
    /// What it is for, such as `grafana`; logs show it as the agent
    #[arg(long)]
    name: String,
    /// A permission that it carries, repeatable; without one it is not narrowed, where the contract allows that
    #[arg(long = "scope", value_name = "PERMISSION")]
    scopes: Vec<String>,
    /// A cluster that it is restricted to, repeatable; without one it is for every cluster, later ones too
    #[arg(long = "cluster", value_name = "ID")]
    clusters: Vec<String>,
    /// When it ends: a span such as `90d` or `12h`, or a moment such as `2027-01-31T00:00:00Z`
    #[arg(long, value_name = "SPAN|MOMENT")]
    expires: Option<Expiry>,
}

pub(crate) async fn run(key: Key, common: &Common) -> Result<()> {
    let output = common.output;
    match key.action {
        Action::Mint(mint) => {
            let request = KeyRequest {
                organization: mint.within.organization,
                owner: mint.owner,
                name: mint.name,
                scopes: (!mint.scopes.is_empty()).then_some(mint.scopes),
                allowed_cluster_ids: mint.clusters,
                expires_at: mint.expires.map(|expiry| expiry.at(Timestamp::now())),
            };
            let admin = Admin::open(common).await?;
            let reply = admin.execute(Command::KeyMint(request)).await?;
            credential::print_minted(&reply, output)
        }
        Action::List { within } => {
            let organization = within.organization;
            let admin = Admin::open(common).await?;
            let reply = admin.execute(Command::KeyList { organization }).await?;
            credential::print_list(&reply, output, ApiKey)
        }
        Action::Rotate(rotate) => {
            credential::rotate(&Admin::open(common).await?, rotate, ApiKey, output).await
        }
        Action::Revoke(revoke) => {
            credential::revoke(&Admin::open(common).await?, revoke, ApiKey, output).await
        }
        Action::Import { within, file } => {
            // Read before the store is taken: standard input may be slow.
            let keys = import::read(&file)?;
            let admin = Admin::open(common).await?;
            let command = Command::KeyImport {
                organization: within.organization,
                keys,
            };
            print_imported(&admin.execute(command).await?, common)
        }
        Action::Pattern => {
            let regex = crate::admin::pattern(common).await?;
            output.print(&json!({ "regex": regex }), |shown| cell(&shown["regex"]))
        }
    }
}

fn print_imported(reply: &Reply, common: &Common) -> Result<()> {
    let Reply::Imported { keys } = reply else {
        return output::unexpected(reply);
    };
    common
        .output
        .print(&json!({ "imported": keys }), |_| match keys.len() {
            1 => "imported 1 key".to_owned(),
            several => format!("imported {several} keys"),
        })
}

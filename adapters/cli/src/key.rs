//! `scopegate key`: API keys from a terminal.

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use scopegate_host::admin::{Command, KeyRequest, Reply};

use crate::{
    Common,
    admin::Admin,
    credential::{self, Expiry},
    output,
};

const EXAMPLES: &str = "\
Examples:
  scopegate key mint --owner admin@example.com --name grafana --scope clusters:read --scope nodes:read
  scopegate key mint --owner admin@example.com --name ci --cluster prod --expires 90d
  scopegate key list --output json
  scopegate key revoke 0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11

A key is printed once, when it is minted: only its hash is kept. A revoked key is refused from
the moment that `revoke` returns, by a running server too.";

/// Mint, list and revoke API keys
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
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
    },
    /// Revoke keys, at once
    Revoke {
        /// Which organization's, for keys given by name
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
        /// Ids as `key list` shows them, or names
        #[arg(required = true, value_name = "ID|NAME")]
        keys: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct Mint {
    /// The user whose key it is; required where the contract's keys act for their owner
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    /// Which organization's, where there are several and no owner says it
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
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
    let admin = Admin::open(common).await?;
    match key.action {
        Action::Mint(mint) => {
            let request = KeyRequest {
                organization: mint.organization,
                owner: mint.owner,
                name: mint.name,
                scopes: (!mint.scopes.is_empty()).then_some(mint.scopes),
                allowed_cluster_ids: mint.clusters,
                expires_at: mint.expires.map(|expiry| expiry.at(Timestamp::now())),
            };
            let reply = admin.execute(Command::KeyMint(request)).await?;
            credential::print_minted(&reply, common.output)
        }
        Action::List { organization } => {
            let reply = admin.execute(Command::KeyList { organization }).await?;
            credential::print_list(&reply, common.output, "keys")
        }
        Action::Revoke { organization, keys } => {
            let mut revoked = Vec::new();
            for key in keys {
                let command = Command::KeyRevoke {
                    organization: organization.clone(),
                    key: key.clone(),
                };
                match admin.execute(command).await? {
                    Reply::Done { changed } => revoked.push((key, changed)),
                    other => return output::unexpected(&other),
                }
            }
            credential::print_revoked(&revoked, common.output)
        }
    }
}

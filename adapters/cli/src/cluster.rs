//! `scopegate cluster`: the clusters that an organization has. A cluster that is not registered does not exist for the
//! gate.

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use scopegate_host::{
    admin::{AgentRequest, Command, Reply},
    store::Cluster as Stored,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    Common,
    admin::Admin,
    credential,
    organization::Within,
    output::{self, Output, cell, moment},
};

const EXAMPLES: &str = "\
Examples:
  scopegate cluster add prod staging
  scopegate cluster add prod --with-agent
  scopegate cluster list
  scopegate cluster delete staging

A key without a restriction is for every registered cluster, those included that are added
after it was minted. The id of a deleted cluster is never used again.";

/// Register, list and delete clusters
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Register clusters
    Add {
        /// Their ids, as the API behind the gate calls them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Mint a token for each one's agent as well, and print it, once
        #[arg(long)]
        with_agent: bool,
        #[command(flatten)]
        within: Within,
    },
    /// List clusters
    List {
        #[command(flatten)]
        within: Within,
    },
    /// Delete a cluster and revoke the tokens of its agents
    Delete {
        /// Its id
        id: String,
        #[command(flatten)]
        within: Within,
    },
}

pub(crate) async fn run(cluster: Cluster, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match cluster.action {
        Action::Add {
            ids,
            with_agent,
            within,
        } => add(&admin, &ids, with_agent, &within, common.output).await,
        Action::List { within } => {
            let organization = within.organization;
            match admin.execute(Command::ClusterList { organization }).await? {
                Reply::Clusters { clusters } => {
                    common
                        .output
                        .print(&clusters.iter().map(view).collect(), |shown| {
                            let columns = ["id", "created_at", "deleted_at"];
                            output::table(&columns, shown, "no clusters yet")
                        })
                }
                other => output::unexpected(&other),
            }
        }
        Action::Delete { id, within } => {
            let command = Command::ClusterDelete {
                organization: within.organization,
                id: id.clone(),
            };
            let reply = admin.execute(command).await?;
            let done = format!("`{id}` is deleted, and its agents' tokens are revoked");
            output::print_done(&reply, &done, common.output)
        }
    }
}

/// Registers clusters one after the other. A token is shown as soon as it is minted: what fails later must not lose it.
async fn add(
    admin: &Admin,
    ids: &[String],
    with_agent: bool,
    within: &Within,
    output: Output,
) -> Result<()> {
    let mut added = Vec::new();
    let mut failed = None;
    for id in ids {
        match add_one(admin, id, with_agent, within, output).await {
            Ok(shown) => added.push(shown),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    if failed.is_none() || !added.is_empty() {
        let shown = Value::Array(added);
        output.print(&shown, |shown| match with_agent {
            true => String::new(),
            false => {
                let ids = shown.as_array().into_iter().flatten();
                let ids: Vec<String> = ids.map(|one| cell(&one["id"])).collect();
                format!("added {}", ids.join(", "))
            }
        })?;
    }
    failed.map_or(Ok(()), Err)
}

async fn add_one(
    admin: &Admin,
    id: &str,
    with_agent: bool,
    within: &Within,
    output: Output,
) -> Result<Value> {
    let command = Command::ClusterAdd {
        organization: within.organization.clone(),
        id: id.to_owned(),
    };
    admin.execute(command).await?;
    if !with_agent {
        return Ok(json!({ "id": id }));
    }
    let command = Command::AgentMint(AgentRequest {
        organization: within.organization.clone(),
        cluster: id.to_owned(),
        ..AgentRequest::default()
    });
    let reply = admin.execute(command).await?;
    let Reply::Minted { credential, secret } = &reply else {
        output::unexpected(&reply)?;
        return Ok(json!({ "id": id }));
    };
    if output == Output::Text {
        output::note(&format!("added `{id}`"));
        credential::print_minted(&reply, output)?;
    }
    let mut agent = credential::view(credential, Timestamp::now());
    if let Some(object) = agent.as_object_mut() {
        object.insert("secret".to_owned(), json!(secret.expose_secret()));
    }
    Ok(json!({ "id": id, "agent": agent }))
}

fn view(cluster: &Stored) -> Value {
    json!({
        "id": cluster.id,
        "created_at": moment(Some(cluster.created_at)),
        "deleted_at": moment(cluster.deleted_at),
    })
}

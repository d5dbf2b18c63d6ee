//! `scopegate policy nodes`: which gate of a store decides by which policy, and whether all of them have the active one.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use scopegate_host::{
    admin::Reply,
    policies::{PolicyCommand, PolicyReply},
    store::Node,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::ship::{ask, short_digest};
use crate::{Common, failure::Failure, output};

/// How often it is looked whether all of them have it.
const LOOK: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "\
Examples:
  scopegate policy nodes
  scopegate policy nodes --wait 30

A gate that is not here has stopped without saying so, or cannot reach the store. With `--wait`, it
is waited until all that are here decide by the active policy, and exits with 1 if they do not.";

/// List the gates that serve from the same store, with the policy that decides at each
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Nodes {
    /// Wait until all of them have the active policy, so many seconds at most
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=3600))]
    wait: Option<u64>,
}

pub(crate) async fn run(nodes: Nodes, common: &Common) -> Result<()> {
    let Some(secs) = nodes.wait else {
        let (active, nodes) = read(common).await?;
        return print(active.as_deref(), &nodes, common);
    };
    wait(secs, common).await
}

/// Waits until all gates have the active policy, and shows them.
pub(super) async fn wait(secs: u64, common: &Common) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(secs);
    loop {
        let (active, nodes) = read(common).await?;
        let lacking = nodes
            .iter()
            .filter(|node| node.is_here && active.as_ref() != Some(&node.digest));
        let lacking = lacking.count();
        if lacking == 0 {
            return print(active.as_deref(), &nodes, common);
        }
        if Instant::now() >= end {
            print(active.as_deref(), &nodes, common)?;
            let message = format!(
                "{lacking} of {} gates do not have the active policy",
                nodes.len()
            );
            return Err(Failure::new(message)
                .help("`problem` says why, where the gate knows; its log has more")
                .into());
        }
        sleep(LOOK).await;
    }
}

async fn read(common: &Common) -> Result<(Option<String>, Vec<Node>)> {
    match ask(PolicyCommand::Nodes, common).await? {
        PolicyReply::Nodes { active, nodes } => Ok((active, nodes)),
        other => output::unexpected(&Reply::Policy(other)).map(|()| (None, Vec::new())),
    }
}

fn print(active: Option<&str>, nodes: &[Node], common: &Common) -> Result<()> {
    let shown: Value = nodes
        .iter()
        .map(|node| {
            json!({
                "id": node.id,
                "name": node.name,
                "version": node.version,
                "started_at": node.started_at,
                "seen_at": node.seen_at,
                "here": node.is_here,
                "policy": node.digest,
                "since": node.since,
                "follows": active == Some(node.digest.as_str()),
                "problem": node.problem,
            })
        })
        .collect();
    common.output.print(&shown, |shown| {
        let mut rows = shown.clone();
        for row in rows.as_array_mut().into_iter().flatten() {
            row["policy"] = short_digest(&row["policy"]);
            for column in ["here", "follows"] {
                row[column] = json!(if row[column] == true { "yes" } else { "no" });
            }
        }
        let columns = [
            "name", "here", "follows", "policy", "since", "seen_at", "problem",
        ];
        output::table(&columns, &rows, "no gate serves from this store")
    })
}

//! `scopegate cluster`: the clusters that an organization has. A cluster that is not registered does not exist for the
//! gate.

use anyhow::Result;
use clap::{Args, Subcommand};
use scopegate_host::admin::{Command, Reply};
use serde_json::{Value, json};

use crate::{
    Common,
    admin::Admin,
    output::{self, moment},
};

const EXAMPLES: &str = "\
Examples:
  scopegate cluster add prod staging
  scopegate cluster list

A key without a restriction is for every registered cluster, those included that are added
after it was minted.";

/// Register and list clusters
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
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
    },
    /// List clusters
    List {
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
    },
}

pub(crate) async fn run(cluster: Cluster, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match cluster.action {
        Action::Add { ids, organization } => {
            for id in &ids {
                let command = Command::ClusterAdd {
                    organization: organization.clone(),
                    id: id.clone(),
                };
                admin.execute(command).await?;
            }
            let shown = ids
                .iter()
                .map(|id| json!({ "id": id }))
                .collect::<Vec<Value>>();
            common.output.print(&Value::Array(shown), |_| {
                format!("added {}", ids.join(", "))
            })
        }
        Action::List { organization } => {
            match admin.execute(Command::ClusterList { organization }).await? {
                Reply::Clusters { clusters } => {
                    let rows = clusters.iter().map(|cluster| {
                        json!({
                            "id": cluster.id,
                            "created_at": moment(Some(cluster.created_at)),
                            "deleted_at": moment(cluster.deleted_at),
                        })
                    });
                    common.output.print(&rows.collect(), |shown| {
                        output::table(
                            &["id", "created_at", "deleted_at"],
                            shown,
                            "no clusters yet",
                        )
                    })
                }
                other => output::unexpected(&other),
            }
        }
    }
}

//! `scopegate agent`: the tokens of clusters' agents from a terminal.

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use scopegate_host::admin::{AgentRequest, Command, Reply};

use crate::{
    Common,
    admin::Admin,
    credential::{self, Expiry},
    output,
};

const EXAMPLES: &str = "\
Examples:
  scopegate agent mint --cluster prod
  scopegate agent list
  scopegate agent revoke prod

  # The Secret that an agent reads
  token=$(scopegate agent mint --cluster prod)
  kubectl create secret generic k8cost-agent --from-literal=api-token=\"$token\"

An agent may submit the metrics of its own cluster and do nothing else. Its token is printed
once, when it is minted.";

/// Mint, list and revoke tokens of clusters' agents
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Agent {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Mint a token for a cluster's agent and print it, once
    Mint {
        /// Its one cluster
        #[arg(long, value_name = "ID")]
        cluster: String,
        /// What it is called [default: the cluster's id]
        #[arg(long)]
        name: Option<String>,
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
        /// When it ends: a span such as `90d`, or a moment such as `2027-01-31T00:00:00Z`
        #[arg(long, value_name = "SPAN|MOMENT")]
        expires: Option<Expiry>,
    },
    /// List agents, never their tokens
    List {
        /// Which organization's, where there are several
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
    },
    /// Revoke agents' tokens, at once
    Revoke {
        /// Which organization's, for agents given by name
        #[arg(long, value_name = "NAME")]
        organization: Option<String>,
        /// Ids as `agent list` shows them, or names
        #[arg(required = true, value_name = "ID|NAME")]
        agents: Vec<String>,
    },
}

pub(crate) async fn run(agent: Agent, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    match agent.action {
        Action::Mint {
            cluster,
            name,
            organization,
            expires,
        } => {
            let expires_at = expires.map(|expiry| expiry.at(Timestamp::now()));
            let request = AgentRequest {
                organization,
                cluster,
                name,
                expires_at,
            };
            let reply = admin.execute(Command::AgentMint(request)).await?;
            credential::print_minted(&reply, common.output)
        }
        Action::List { organization } => {
            let reply = admin.execute(Command::AgentList { organization }).await?;
            credential::print_list(&reply, common.output, "agents")
        }
        Action::Revoke {
            organization,
            agents,
        } => {
            let mut revoked = Vec::new();
            for agent in agents {
                let command = Command::AgentRevoke {
                    organization: organization.clone(),
                    agent: agent.clone(),
                };
                match admin.execute(command).await? {
                    Reply::Done { changed } => revoked.push((agent, changed)),
                    other => return output::unexpected(&other),
                }
            }
            credential::print_revoked(&revoked, common.output)
        }
    }
}

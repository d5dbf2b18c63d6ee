//! `scopegate agent`: the tokens of clusters' agents from a terminal.

mod kubernetes;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use scopegate_host::{
    admin::{AgentRequest, Command},
    store::CredentialKind::Agent as AgentToken,
};

use crate::{
    Common,
    admin::Admin,
    credential::{self, Expiry},
    organization::Within,
};

const EXAMPLES: &str = "\
Examples:
  scopegate agent mint --cluster prod
  scopegate agent list
  scopegate agent rotate prod --overlap 1h
  scopegate agent revoke prod

  # The Secret that a product's agent reads, such as k8cost's from `k8cost-agent`, key `api-token`
  scopegate agent mint --cluster prod --format kubernetes-secret | kubectl apply -f -

An agent may submit the metrics of its own cluster and do nothing else. Its token is printed
once, when it is minted.";

/// Mint, list, rotate and revoke tokens of clusters' agents
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Agent {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Mint a token for a cluster's agent and print it, once
    Mint(Mint),
    /// List agents, never their tokens
    List {
        #[command(flatten)]
        within: Within,
    },
    /// Mint a successor for the same cluster and print it, once; the old token stays good for a while
    Rotate(credential::Rotate),
    /// Revoke agents' tokens, at once
    Revoke(credential::Revoke),
}

#[derive(Args, Debug)]
struct Mint {
    /// Its one cluster
    #[arg(long, value_name = "ID")]
    cluster: String,
    /// What it is called [default: the cluster's id]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    within: Within,
    /// When it ends: a span such as `90d`, or a moment such as `2027-01-31T00:00:00Z`
    #[arg(long, value_name = "SPAN|MOMENT")]
    expires: Option<Expiry>,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    secret: kubernetes::SecretNames,
}

/// What is printed of a new token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The token
    #[default]
    Token,
    /// A manifest of a Kubernetes Secret with the token in it, for `kubectl apply`
    KubernetesSecret,
}

pub(crate) async fn run(agent: Agent, common: &Common) -> Result<()> {
    let admin = Admin::open(common).await?;
    let output = common.output;
    match agent.action {
        Action::Mint(mint) => run_mint(mint, &admin, common).await,
        Action::List { within } => {
            let organization = within.organization;
            let reply = admin.execute(Command::AgentList { organization }).await?;
            credential::print_list(&reply, output, AgentToken)
        }
        Action::Rotate(rotate) => credential::rotate(&admin, rotate, AgentToken, output).await,
        Action::Revoke(revoke) => credential::revoke(&admin, revoke, AgentToken, output).await,
    }
}

async fn run_mint(mint: Mint, admin: &Admin, common: &Common) -> Result<()> {
    // A name that no Secret can have is found before a token is minted for it.
    let secret = match mint.format {
        Format::Token => None,
        Format::KubernetesSecret => Some(mint.secret.place(&admin.contract_name().await?)?),
    };
    let request = AgentRequest {
        organization: mint.within.organization,
        cluster: mint.cluster,
        name: mint.name,
        expires_at: mint.expires.map(|expiry| expiry.at(Timestamp::now())),
    };
    let reply = admin.execute(Command::AgentMint(request)).await?;
    match secret {
        None => credential::print_minted(&reply, common.output),
        Some(secret) => kubernetes::print(&secret, &reply, common.output),
    }
}

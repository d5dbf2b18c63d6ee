//! The management API of a gate elsewhere, in place of its store: each command becomes the requests that do the same, as
//! far as the credential of the environment may. The policy decides there, and what it refuses fails here.

mod address;
mod audit;
mod http;
mod keys;
mod organizations;
mod people;
mod policies;
mod trouble;
mod view;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use scopegate_host::{
    admin::{Command, Reply},
    store::CredentialKind::{Agent, ApiKey},
};
use serde::Deserialize;
use serde_json::Value;

pub(crate) use audit::AuditQuery;

use crate::{Common, failure::Failure};
use http::Gate;
use trouble::Trouble;

/// How a gate is reached over the network.
#[derive(Args, Debug)]
#[command(next_help_heading = "Over the API")]
pub(crate) struct Access {
    /// A gate's management listener, such as `http://127.0.0.1:9080`: commands go there, with the credential in
    /// SCOPEGATE_TOKEN
    #[arg(long, global = true, value_name = "URL", env = "SCOPEGATE_URL")]
    pub(crate) url: Option<String>,
    /// Who signed the gate's certificate, in place of the web's roots: a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "SCOPEGATE_CA")]
    ca: Option<PathBuf>,
    /// Allow http to another machine, where everybody on the way reads the credential
    #[arg(long, global = true)]
    insecure_http: bool,
}

/// A gate elsewhere, and a credential for it.
#[derive(Debug)]
pub(crate) struct Remote {
    gate: Gate,
}

impl Remote {
    /// The gate that the command line or the environment names, if it names one.
    pub(crate) fn open(common: &Common) -> Result<Option<Self>> {
        let Some(url) = &common.access.url else {
            return Ok(None);
        };
        let gate = Gate::new(url, &common.access)?.with_credential()?;
        Ok(Some(Self { gate }))
    }

    /// Executes a command there. What it changed is in force when this returns.
    pub(crate) async fn execute(&self, command: Command) -> Result<Reply> {
        use Command as C;
        match command {
            C::KeyMint(request) => self.mint_key(request).await,
            C::KeyRotate(request) => self.rotate(request, ApiKey).await,
            C::KeyImport { organization, keys } => self.import_keys(organization, keys).await,
            C::KeyList { organization } => self.list(organization, ApiKey).await,
            C::KeyRevoke { organization, key } => self.revoke(organization, &key, ApiKey).await,
            C::AgentMint(request) => self.mint_agent(request).await,
            C::AgentRotate(request) => self.rotate(request, Agent).await,
            C::AgentList { organization } => self.list(organization, Agent).await,
            C::AgentRevoke {
                organization,
                agent,
            } => self.revoke(organization, &agent, Agent).await,
            C::UserAdd(_) => Err(
                Failure::usage("over the API nobody's password is set for them")
                    .help("`--invite` prints an invitation, with which they choose one")
                    .into(),
            ),
            C::UserAddInvited(request) => self.invite_user(request).await,
            C::UserInvite { email } => self.invite_again(&email).await,
            C::UserList { organization } => self.list_users(organization).await,
            C::UserDisable { email } => self.disable_user(&email).await,
            C::UserRemoveFactor { email } => self.remove_factor(&email).await,
            C::UserSetRole { email, role } => self.set_user_role(&email, role).await,
            C::UserSetClusters { email, clusters } => {
                self.set_user_clusters(&email, clusters).await
            }
            C::SessionList { email } => self.list_sessions(&email).await,
            C::UserEndSessions { email } => self.end_sessions(&email).await,
            C::RoleSet {
                organization,
                name,
                permissions,
            } => self.set_role(organization, &name, permissions).await,
            C::RoleDelete { organization, name } => self.delete_role(organization, &name).await,
            C::RoleList { organization } => self.list_roles(organization).await,
            C::ClusterAdd { organization, id } => self.add_cluster(organization, &id).await,
            C::ClusterList { organization } => self.list_clusters(organization).await,
            C::ClusterDelete { organization, id } => self.delete_cluster(organization, &id).await,
            C::OrganizationCreate { .. } => Err(Failure::usage(
                "over the API an organization comes with its first administrator",
            )
            .help("name one with `--admin EMAIL`")
            .into()),
            C::OrganizationFound { name, admin } => self.found(name, admin).await,
            C::OrganizationList => self.list_organizations().await,
            C::OperatorAdd { .. } | C::OperatorList => machine_only("operators are managed"),
            C::Policy(command) => self.policy(command).await.map(Reply::Policy),
            C::KeysReload => machine_only("signing keys are changed"),
        }
    }

    /// The name of the gate's contract.
    pub(crate) async fn contract_name(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Policy {
            contract: String,
        }
        let policy: Policy = self.gate.get(&["policy"]).json().await?;
        Ok(policy.contract)
    }

    /// Who the gate takes the credential for.
    pub(crate) async fn me(&self) -> Result<Value> {
        Ok(self.gate.get(&["me"]).json().await?)
    }

    /// Ends the session of the credential.
    pub(crate) async fn log_out(&self) -> Result<()> {
        self.gate.post_own("logout", None).send().await?;
        Ok(())
    }
}

/// Logs in to a gate, without a credential yet, and gives what it answered.
pub(crate) async fn log_in(common: &Common, body: Value) -> Result<Result<Value, OtpRequired>> {
    let Some(url) = &common.access.url else {
        return Err(Failure::usage("which gate is not said")
            .help("name its management listener with `--url` or SCOPEGATE_URL, such as `http://127.0.0.1:9080`")
            .into());
    };
    let gate = Gate::new(url, &common.access)?;
    match gate.post_own("login", Some(body)).json().await {
        Ok(answer) => Ok(Ok(answer)),
        Err(Trouble::Refused(problem)) if problem.code == "otp_required" => {
            Ok(Err(OtpRequired(problem.detail)))
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// The password is right, and a code of the second factor is missing. What the gate said of it.
#[derive(Debug)]
pub(crate) struct OtpRequired(pub(crate) String);

/// The regular expression that the gate publishes to secret scanners; whoever asks gets it.
pub(crate) async fn pattern(common: &Common, url: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Published {
        patterns: Vec<Pattern>,
    }
    #[derive(Deserialize)]
    struct Pattern {
        regex: String,
    }
    let gate = Gate::new(url, &common.access)?;
    let mut published: Published = gate.get_own("secret-scanning").json().await?;
    match published.patterns.pop() {
        Some(pattern) => Ok(pattern.regex),
        None => bail!("the gate publishes no pattern"),
    }
}

/// What the API has no endpoint for.
pub(crate) fn machine_only<T>(what: &str) -> Result<T> {
    Err(
        Failure::new(format!("{what} on the gate's own machine alone"))
            .help("run it there, without `--url` and SCOPEGATE_URL")
            .into(),
    )
}

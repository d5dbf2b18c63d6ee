//! The whole gate on a store of its own: what a warm request with an API key costs from credential to audit record.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow, bail};
use http::{HeaderMap, HeaderValue};
use scopegate_host::{
    Contract, Gate, KeyRing, Policies, Request, Verdict,
    admin::{Admin, Command, KeyRequest, Reply, UserRequest},
    audit::Sink,
    authenticate::Issuers,
    bundle::Trust,
    contract::Limits,
    counters::{
        Counters,
        redis::{Redis, RedisConfig, RedisUrl},
    },
    engine::{Isolation, Sandbox, SandboxConfig, build_document},
    policies::Configured,
    store::{Credential, Missing, Purpose, Store},
};
use scopegate_server::assemble::{GateParts, checks, gate};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

use crate::{decide::finish, questions::document};

/// Milliseconds since the epoch, for every question.
pub(crate) const NOW_MS: i64 = 1_767_225_600_000;
/// The user of every gate.
pub(crate) const VIEWER: &str = "viewer@acme.example";

/// A gate with one organization, a viewer, and a viewer's key on two of three clusters.
pub struct GateWithKey {
    /// The gate.
    pub gate: Arc<Gate>,
    /// The key, in plain.
    pub key: String,
    /// Goes with the value.
    _directory: TempDir,
}

impl GateWithKey {
    /// Builds it: the `scopegate` contract with limits out of the way, the benches' policy, audit into a file.
    ///
    /// # Errors
    /// When something of it cannot be set up.
    pub async fn new(isolation: Isolation) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        // What the store takes is not the gate's time: it is written by another thread.
        let gate = open(directory.path(), isolation, false).await?;
        people(&gate).await?;
        let (_, key) = mint(&gate).await?;
        Ok(Self {
            gate: Arc::new(gate),
            key: key.expose_secret().to_owned(),
            _directory: directory,
        })
    }

    /// Checks a request that is admitted, again and again. Call it within a runtime.
    ///
    /// # Errors
    /// When the key does not fit into a header.
    pub fn checking(&self) -> Result<impl FnMut() -> bool + use<>> {
        let gate = Arc::clone(&self.gate);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("api.example"));
        headers.insert("user-agent", HeaderValue::from_static("bench/1"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        headers.insert("x-api-key", HeaderValue::from_str(&self.key)?);
        Ok(move || {
            let request = Request {
                method: "GET",
                path: "/v1/clusters/prod/workloads",
                query: "",
                authority: None,
                headers: &headers,
                peer: Ipv4Addr::LOCALHOST.into(),
                now_ms: NOW_MS,
            };
            matches!(finish(gate.check(&request)), Verdict::Admit(_))
        })
    }
}

/// What gates share that serve from one PostgreSQL and one Redis: the URLs of both.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Of PostgreSQL.
    pub store: String,
    /// Of Redis.
    pub counters: String,
}

/// The store of a gate in this directory.
pub(crate) fn store(directory: &Path) -> PathBuf {
    directory.join("gate.db")
}

/// A gate in this directory: the `scopegate` contract with limits out of the way, the benches' policy, audit into a
/// file and, where that is wanted, of requests into the store as well.
pub(crate) async fn open(
    directory: &Path,
    isolation: Isolation,
    record_requests: bool,
) -> Result<Gate> {
    let url = format!("sqlite://{}", store(directory).display());
    let counters = Counters::memory();
    open_on(&url, counters, directory, isolation, record_requests).await
}

/// The same gate on servers, with its audit's file in this directory.
pub(crate) async fn open_shared(
    shared: &Shared,
    directory: &Path,
    isolation: Isolation,
    record_requests: bool,
) -> Result<Gate> {
    let url = shared.counters.parse::<RedisUrl>();
    let url = url.map_err(|error| anyhow!("{}", error.what))?;
    let counters = Counters::Redis(Redis::open(&RedisConfig::new(url)).await?);
    open_on(
        &shared.store,
        counters,
        directory,
        isolation,
        record_requests,
    )
    .await
}

async fn open_on(
    store: &str,
    counters: Counters,
    directory: &Path,
    isolation: Isolation,
    record_requests: bool,
) -> Result<Gate> {
    let sandbox = Sandbox::new(SandboxConfig {
        isolation,
        ..SandboxConfig::default()
    })?;
    let policy = sandbox.load(&build_document("bench.yaml", &document(10))?)?;
    let mut contract = Contract::builtin("scopegate").context("the contract is built in")?;
    contract.limits = without_limits(contract.limits);
    Ok(gate(GateParts {
        contract,
        policy: Arc::new(policy),
        store: Store::open(store, Purpose::Serve, Missing::Create).await?,
        counters,
        keys: KeyRing::ephemeral()?.into(),
        issuers: Issuers::default(),
        trusted_proxies: Vec::new(),
        lines: Sink::File(directory.join("audit.jsonl")),
        record_requests,
        forward_credentials: false,
    })?)
}

/// The policies of a gate that [`open`] made.
pub(crate) async fn policies(gate: &Arc<Gate>) -> Result<Policies> {
    let configured = Configured {
        key: "bench".into(),
        component: build_document("bench.yaml", &document(10))?.into(),
        policy: gate.policy(),
    };
    let checks = Arc::new(checks(SandboxConfig::default(), Trust::default())?);
    Ok(Policies::start(Arc::clone(gate), checks, configured, NOW_MS).await?)
}

/// Makes an organization of three clusters, with a viewer.
pub(crate) async fn people(gate: &Gate) -> Result<()> {
    let policy = gate.policy();
    let admin = Admin::new(gate.directory(), gate.contract(), policy.description());
    let organization = Command::OrganizationCreate {
        name: "acme".into(),
    };
    admin.execute(organization, NOW_MS).await?;
    for id in ["prod", "staging", "dev"] {
        let cluster = Command::ClusterAdd {
            organization: None,
            id: id.into(),
        };
        admin.execute(cluster, NOW_MS).await?;
    }
    let user = Command::UserAdd(UserRequest {
        organization: None,
        email: VIEWER.into(),
        password: None,
        role: "viewer".into(),
        clusters: None,
    });
    admin.execute(user, NOW_MS).await?;
    Ok(())
}

/// Mints a key of the viewer on two of the three clusters.
pub(crate) async fn mint(gate: &Gate) -> Result<(Credential, SecretString)> {
    let policy = gate.policy();
    let admin = Admin::new(gate.directory(), gate.contract(), policy.description());
    let request = KeyRequest {
        organization: None,
        owner: Some(VIEWER.into()),
        name: "bench".into(),
        scopes: Some(vec!["clusters:read".into()]),
        allowed_cluster_ids: vec!["prod".into(), "staging".into()],
        expires_at: None,
    };
    match admin.execute(Command::KeyMint(request), NOW_MS).await? {
        Reply::Minted { credential, secret } => Ok((credential, secret)),
        _ => bail!("minting a key gave something else"),
    }
}

/// As many as can be counted: what is measured is a request that passes.
fn without_limits(limits: Limits) -> Limits {
    Limits {
        session: u32::MAX,
        api_key: u32::MAX,
        agent: u32::MAX,
        anonymous: u32::MAX,
        ..limits
    }
}

//! From a configuration to a server: reads what it names, opens the store, builds the gate.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use scopegate_axum::Clock;
use scopegate_host::{
    Audit, Contract, Directory, Gate, Policies, Sessions,
    audit::{AuditKey, AuditKeyError, Seal, SealError, Sink},
    authenticate::{BadIssuer, Issuers, KubernetesConfig},
    bundle::{BadSignature, PolicyKeyError, Trust},
    counters::{
        Counters,
        redis::{BadRedis, Redis},
    },
    engine::{CodeCache, Policy, Sandbox, SandboxConfig, SandboxError, Worlds},
    gate::{self, BadFilterSecret, FilterSecret},
    keyring::{KeyRingError, Keys},
    lock::{LockError, StoreLock, socket_path},
    password::{BadPassword, Passwords},
    policies::{BadCandidate, Checks, Configured, KEPT_MAX, PolicyError},
    scanning::{BadPartners, Partners},
    store::{Missing, OpenError, Purpose, Store},
};
use scopegate_policy::yaml::Report;
use uuid::Uuid;

use crate::{
    config::{
        AuditConfig, Config, ContractSource, CountersConfig, PolicySource, SealConfig, StoreConfig,
        UpstreamConfig,
    },
    metrics,
    policy_file::{Found, PolicyFile},
    proxy::Upstream,
    serve::ServerParts,
};

/// Why a configuration does not make a server.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A file that the configuration names cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A contract or a policy document is wrong.
    #[error("{0}")]
    Text(Box<Report>),
    /// The component is not a policy.
    #[error("the policy `{name}` is refused: {error}")]
    Policy {
        /// Which.
        name: String,
        /// Why.
        error: BadCandidate,
    },
    /// A key that policies are signed with cannot be used.
    #[error(transparent)]
    PolicyKey(#[from] PolicyKeyError),
    /// The store does not take the policy.
    #[error(transparent)]
    Policies(#[from] PolicyError),
    /// This program is broken.
    #[error("{0}")]
    Broken(String),
    /// Policies cannot run on this machine.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The keys of sessions cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// Every contract has sessions, be it for the management API alone, and there are no keys to sign them with.
    #[error("`sessions.keys` is not set: there is nothing to sign sessions with")]
    NoKeys,
    /// External issuers that cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Issuers(Vec<BadIssuer>),
    /// The keys of secret scanners cannot be used.
    #[error(transparent)]
    SecretScanning(#[from] BadPartners),
    /// The secret of filters cannot be used.
    #[error(transparent)]
    Filters(#[from] BadFilterSecret),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] BadRedis),
    /// Passwords cannot be hashed on this machine.
    #[error(transparent)]
    Passwords(#[from] BadPassword),
    /// The audit's file cannot be written.
    #[error("the audit log cannot be opened: {0}")]
    Audit(io::Error),
    /// The key that the audit is signed with cannot be used.
    #[error(transparent)]
    AuditKey(#[from] AuditKeyError),
    /// The audit's chain cannot be signed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// What a gate is built from, once everything is read.
#[derive(Debug)]
pub struct GateParts {
    /// How it speaks.
    pub contract: Contract,
    /// Its rules.
    pub policy: Arc<Policy>,
    /// What lasts.
    pub store: Store,
    /// Where calls are counted.
    pub counters: Counters,
    /// What sessions are signed with.
    pub keys: Keys,
    /// Others whose tokens are sessions here.
    pub issuers: Issuers,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where JSON lines go.
    pub lines: Sink,
    /// Whether requests are recorded in the store.
    pub record_requests: bool,
    /// Whether the upstream gets the caller's credential.
    pub forward_credentials: bool,
}

/// Builds a gate.
///
/// # Errors
/// When passwords cannot be hashed on this machine, or the lines' file cannot be opened.
pub fn gate(parts: GateParts) -> Result<Gate, AssembleError> {
    let authority = parts.contract.authority.clone();
    let directory = Directory::beside(&parts.counters, parts.store, authority);
    let audit = Audit::in_store(directory.clone(), parts.record_requests, &parts.lines)
        .map_err(AssembleError::Audit)?;
    let sessions = Sessions::new(
        directory.clone(),
        Passwords::new()?,
        &parts.contract,
        parts.keys.clone(),
    );
    Ok(Gate::new(gate::Parts {
        contract: parts.contract,
        directory,
        sessions,
        keys: parts.keys,
        issuers: parts.issuers,
        policy: parts.policy,
        counters: parts.counters,
        trusted_proxies: parts.trusted_proxies,
        audit,
        forward_credentials: parts.forward_credentials,
    }))
}

/// Reads what the configuration names, takes the store's lock, opens the store and builds the gate. A demonstration's
/// store is made here; the one to be served must be there.
///
/// # Errors
/// The first thing that cannot be used.
pub async fn assemble(config: Config, purpose: Purpose) -> Result<ServerParts, AssembleError> {
    // Before anything is counted: the first policy that becomes active is.
    let metrics = metrics::recorder();
    let contract = contract(&config.contract)?;
    let Some(path) = &config.session_keys else {
        return Err(AssembleError::NoKeys);
    };
    let keys = Keys::open(path, contract.session.algorithm)?;
    let homes = homes(&config.kubernetes);
    let issuers = Issuers::with_clusters(config.issuers, config.kubernetes)
        .map_err(AssembleError::Issuers)?;
    let upstream = upstream(config.upstream)?;
    let policy_file = policy_file(&config.policy, &contract);
    let path = config.store.local.clone();
    let sandbox = SandboxConfig {
        isolation: config.isolation,
        limits: config.policy_limits,
        worlds: Worlds::All,
        compiler: config.policy_compiler,
        cache: code_cache(&path, &keys),
    };
    let checks = Arc::new(checks(sandbox, Trust::load(&config.policy_keys)?)?);
    let configured = configured(&policy_file, &checks).await?;
    let secret_scanning = config
        .secret_scanning
        .map(|keys| Partners::new(&keys))
        .transpose()?;
    let filters = config
        .filters
        .as_deref()
        .map(FilterSecret::load)
        .transpose()?;
    let counters = counters(&config.counters).await?;
    let lock = StoreLock::take(&path)?;
    let missing = match purpose {
        Purpose::Serve => Missing::Refuse,
        Purpose::Demo => Missing::Create,
    };
    let store = open_store(&config.store, &config.audit, purpose, missing).await?;
    if config.audit.seal.is_none() {
        tracing::warn!("the audit is not signed: `audit.key` is not set");
    }
    let gate = gate(GateParts {
        contract,
        policy: Arc::clone(&configured.policy),
        store,
        counters,
        keys,
        issuers,
        trusted_proxies: config.trusted_proxies.clone(),
        lines: config.audit.lines,
        record_requests: config.audit.store,
        forward_credentials: config.forward_credentials,
    })?;
    warn_of_unregistered(gate.directory(), &homes).await;
    let (gate, clock) = (Arc::new(gate), Clock::System);
    let policy_file = Some((policy_file, configured.key.clone()));
    let policies = Policies::start(Arc::clone(&gate), checks, configured, clock.now_ms()).await?;
    Ok(ServerParts {
        gate,
        policies,
        policy_file,
        clock,
        listen: config.listen,
        management: config.management,
        public_url: config.public_url,
        upstream,
        proxy: config.proxy,
        connections: config.connections,
        trusted_proxies: config.trusted_proxies,
        check: config.check,
        list_bytes_max: config.list_bytes_max,
        command_line: Some((lock, socket_path(&path))),
        metrics,
        secret_scanning,
        filters,
        audit_keep: config.audit.keep,
        drain: config.drain,
    })
}

/// Where a configuration has calls counted.
///
/// # Errors
/// When a Redis can be reached and not be used. One that cannot be reached is away.
pub async fn counters(config: &CountersConfig) -> Result<Counters, AssembleError> {
    Ok(match &config.redis {
        Some(redis) => Counters::Redis(Redis::open(redis).await?),
        None => Counters::memory_of(config.window),
    })
}

/// Whose workloads may call.
fn homes(clusters: &[KubernetesConfig]) -> Vec<(Uuid, String)> {
    let homes = clusters.iter();
    homes
        .map(|one| (one.organization, one.cluster.clone()))
        .collect()
}

/// Says which clusters' workloads will be refused until somebody registers the cluster.
async fn warn_of_unregistered(directory: &Directory, clusters: &[(Uuid, String)]) {
    for (organization, cluster) in clusters {
        match directory.registered(*organization).await {
            Ok(registered) if registered.contains(cluster) => {}
            Ok(_) => tracing::warn!(
                %organization,
                cluster,
                "workloads of a cluster that is not registered may call: they are refused"
            ),
            Err(error) => tracing::warn!(%error, "the clusters cannot be read"),
        }
    }
}

/// What policies are checked with before they decide.
///
/// # Errors
/// When policies cannot run on this machine.
pub fn checks(sandbox: SandboxConfig, trust: Trust) -> Result<Checks, AssembleError> {
    Ok(Checks {
        sandbox: Arc::new(Sandbox::new(sandbox)?),
        trust,
    })
}

/// Where the code of policies is kept: beside the store. Without it, each start compiles them.
fn code_cache(store: &Path, keys: &Keys) -> Option<CodeCache> {
    /// Those that can be gone back to, and one more that the configuration names.
    const CODES_MAX: usize = KEPT_MAX as usize + 1;
    let mut directory = store.as_os_str().to_owned();
    directory.push(".compiled");
    let cache = CodeCache::open(directory.into(), keys.current().sealing(), CODES_MAX);
    cache
        .inspect_err(|error| tracing::warn!("each start compiles its policies: {error}"))
        .ok()
}

/// The policy that the configuration names, checked.
async fn configured(file: &PolicyFile, checks: &Arc<Checks>) -> Result<Configured, AssembleError> {
    // It would be refused for that in the end: none of it is read, let alone built.
    if let Some(path) = file.document()
        && checks.trust.is_asked_for()
    {
        return Err(AssembleError::Policy {
            name: path.display().to_string(),
            error: BadSignature::None.into(),
        });
    }
    let (file, checks) = (file.clone(), Arc::clone(checks));
    // Compiling takes its time.
    let work = tokio::task::spawn_blocking(move || {
        let Found {
            name,
            key,
            component,
        } = file.read()?;
        let checked = match file.is_builtin() {
            true => checks.check_unsigned(&component),
            false => checks.check(&component),
        };
        match checked {
            Ok(policy) => Ok(Configured {
                key,
                component,
                policy,
            }),
            Err(error) => Err(AssembleError::Policy { name, error }),
        }
    });
    work.await
        .map_err(|error| AssembleError::Broken(error.to_string()))?
}

/// Opens the store that a configuration names, whose lock the caller holds, so that every change of it is signed as the
/// configuration says.
///
/// # Errors
/// When it cannot be opened, or its audit cannot be signed.
pub async fn open_store(
    config: &StoreConfig,
    audit: &AuditConfig,
    purpose: Purpose,
    missing: Missing,
) -> Result<Store, AssembleError> {
    // Read first: a key that cannot be used is no reason to make a store.
    let seal = match &audit.seal {
        Some(SealConfig { key, heads }) => Some(Seal::open(AuditKey::load(key)?, heads)?),
        None => None,
    };
    let location = config.location()?;
    let mut store = Store::open_at(&location, purpose, missing).await?;
    if let Some(seal) = seal {
        store.seal_audit(seal).await?;
    }
    Ok(store)
}

/// The contract that a configuration names.
///
/// # Errors
/// When its file cannot be read, or is wrong.
pub fn contract(source: &ContractSource) -> Result<Contract, AssembleError> {
    match source {
        ContractSource::Builtin(name) => Contract::builtin(name).ok_or_else(|| {
            AssembleError::Broken(format!("there is no built-in contract `{name}`"))
        }),
        ContractSource::File(path) => {
            Contract::from_yaml(&path.display().to_string(), &read(path)?)
                .map_err(|report| AssembleError::Text(Box::new(report)))
        }
    }
}

/// What the configuration names as its policy, beside this contract.
pub fn policy_file(source: &PolicySource, contract: &Contract) -> PolicyFile {
    PolicyFile::new(source.clone(), contract.policy.clone())
}

fn upstream(config: UpstreamConfig) -> Result<Upstream, AssembleError> {
    let roots = match &config.ca {
        None => Vec::new(),
        Some(path) => {
            let failed = |error: io::Error| AssembleError::File {
                path: path.clone(),
                error,
            };
            let roots: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| failed(io::Error::other(error.to_string())))?;
            if roots.is_empty() {
                return Err(failed(io::Error::other("there is no certificate in it")));
            }
            roots
        }
    };
    Ok(Upstream {
        url: config.url,
        preserve_host: config.preserve_host,
        roots,
    })
}

fn read(path: &Path) -> Result<String, AssembleError> {
    std::fs::read_to_string(path).map_err(|error| AssembleError::File {
        path: path.to_owned(),
        error,
    })
}

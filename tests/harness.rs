//! A whole server in this process: any contract on free ports, a store in a directory of its own, a clock that tests
//! move, an upstream that records, and the actors who call it.
//!
//! ```ignore
//! let world = World::start("kubeadapt").await;
//! let key = world.key(Key { scopes: &["clusters:read"], clusters: &["prod"], ..Key::default() }).await;
//! let reply = key.get("/v1/clusters/dev").await;
//! assert_eq!(reply.status, 403);
//! world.upstream.answers(|seen| json_reply(200, json!({ "path": seen.path })));
//! world.clock.advance(Duration::from_secs(60));
//! ```
#![allow(dead_code, reason = "every suite uses its own part of it")]

use std::{
    collections::HashMap,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};

use rustls::pki_types::CertificateDer;
use scopegate_axum::Clock;
use scopegate_host::{
    Contract, KeyRing, Policies,
    audit::{AuditKey, AuditPublicKey, Evidence, ExportedHeads, Report, Seal, Sink},
    authenticate::Issuers,
    bundle::{PolicyPublicKey, Trust},
    counters::Counters,
    engine::{Sandbox, SandboxConfig, build_document},
    gate::FilterSecret,
    keyring::Keys,
    lock::{StoreLock, socket_path},
    policies::{Checks, Configured},
    scanning::Partners,
    store::{Missing, Purpose, Store},
};
use scopegate_policy::documents;
use scopegate_server::{
    Config, ConnectionLimits, Dialect, Management, ProxyLimits, Running, Server, ServerParts,
    assemble::{GateParts, gate},
    metrics,
};
use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;

pub mod actor;
pub mod browser;
pub mod people;
pub mod program;
pub mod random;
pub mod raw;
pub mod tls;
pub mod upstream;

pub use actor::{Actor, Reply};
pub use browser::{Browser, Screen};
pub use people::{Enrolled, Key};
pub use upstream::{Seen, Upstream, json_reply};

/// Where every world's clock starts: 2026-03-31 12:00:00 UTC, the start of a minute, in milliseconds.
pub const START_MS: i64 = 1_774_958_400_000;
/// The password of every user.
pub const PASSWORD: &str = "correct horse battery staple";
/// The clusters that every world has.
pub const CLUSTERS: [&str; 3] = ["dev", "prod", "staging"];
/// The name of every world's first organization.
pub const ORGANIZATION: &str = "acme";

/// What differs from world to world.
pub struct Options {
    /// The contract's name.
    pub contract: &'static str,
    /// Changes the contract before the gate is built.
    pub adjust: fn(&mut Contract),
    /// A policy document instead of the contract's.
    pub policy: Option<&'static str>,
    /// Whether there are users `admin`, `editor` and `viewer`; a policy without these roles wants none.
    pub people: bool,
    /// How the proxy is bounded.
    pub proxy: ProxyLimits,
    /// How connections are bounded.
    pub connections: ConnectionLimits,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: &'static [&'static str],
    /// The proxy that asks at `/-/check`.
    pub check: Option<Dialect>,
    /// The largest list that is narrowed, in bytes.
    pub list_bytes_max: usize,
    /// Whether the `/-/` pages are on the public listener.
    pub shared: bool,
    /// Another upstream than the recording one.
    pub upstream: Option<String>,
    /// Who signed its certificate.
    pub roots: Vec<CertificateDer<'static>>,
    /// Secret scanners whose reports are believed.
    pub partners: Option<Partners>,
    /// What filters inside Envoy show.
    pub filters: Option<FilterSecret>,
    /// How long a shutdown waits.
    pub drain: Duration,
    /// Whether the upstream gets credentials.
    pub forward_credentials: bool,
    /// Whose signatures on policies are good.
    pub policy_keys: Vec<PolicyPublicKey>,
}

impl Options {
    /// The contract as it comes.
    pub fn of(contract: &'static str) -> Self {
        Self {
            contract,
            adjust: |_| {},
            policy: None,
            people: true,
            proxy: ProxyLimits::default(),
            connections: ConnectionLimits::default(),
            trusted_proxies: &[],
            check: None,
            list_bytes_max: 8 << 20,
            shared: false,
            upstream: None,
            roots: Vec::new(),
            partners: None,
            filters: None,
            drain: Duration::from_secs(5),
            forward_credentials: false,
            policy_keys: Vec::new(),
        }
    }
}

/// Lifts limits that would stand in a test's way.
pub fn unlimited(contract: &mut Contract) {
    let limits = &mut contract.limits;
    for limit in [
        &mut limits.session,
        &mut limits.api_key,
        &mut limits.agent,
        &mut limits.anonymous,
        &mut limits.failures,
        &mut limits.logins,
    ] {
        *limit = 100_000;
    }
}

/// A running server and everything around it.
pub struct World {
    /// The server; taken by [`World::shutdown`].
    pub running: Option<Running>,
    /// `http://127.0.0.1:PORT` of the public listener.
    pub url: String,
    /// The same of the management listener; the public one's where they are shared.
    pub management: String,
    /// What time it is there.
    pub clock: Clock,
    /// What the gate forwards to.
    pub upstream: Upstream,
    /// The contract.
    pub contract: Contract,
    /// The id of [`ORGANIZATION`].
    pub organization: Uuid,
    /// Signs sessions as the gate does.
    pub keyring: Arc<KeyRing>,
    directory: tempfile::TempDir,
    users: HashMap<String, Uuid>,
    /// How far [`World::audit_tail`] has read.
    audit_read: Mutex<u64>,
}

impl World {
    /// A world of this contract.
    pub async fn start(contract: &'static str) -> Self {
        Self::with(Options::of(contract)).await
    }

    /// A world.
    pub async fn with(options: Options) -> Self {
        let mut contract = Contract::builtin(options.contract).expect("a built-in contract");
        (options.adjust)(&mut contract);
        let document = options
            .policy
            .unwrap_or_else(|| documents::builtin(&contract.policy).expect("a built-in policy"));
        let configured = configured(document).await;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("gate.db");
        let lock = StoreLock::take(&path).expect("the lock");
        let url = format!("sqlite://{}", path.display());
        let mut store = Store::open(&url, Purpose::Serve, Missing::Create)
            .await
            .expect("a store");
        let key = AuditKey::create(&directory.path().join("audit-key.json")).expect("a key");
        let seal = Seal::open(key, &directory.path().join("audit-heads.jsonl")).expect("a seal");
        store.seal_audit(seal).await.expect("a sealed audit");
        let clock = Clock::settable(START_MS);
        let upstream = Upstream::start().await;
        let trusted_proxies: Vec<_> = options
            .trusted_proxies
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect();
        // The gate takes its key ring whole; a second one from the same file signs for the tests.
        let keys = directory.path().join("keys.json");
        let keyring = KeyRing::create(&keys).expect("a key ring");
        let gate = gate(GateParts {
            contract: contract.clone(),
            policy: Arc::clone(&configured.policy),
            store,
            counters: Counters::memory(),
            keys: Keys::open(&keys, contract.session.algorithm).expect("the same key ring"),
            issuers: Issuers::default(),
            trusted_proxies: trusted_proxies.clone(),
            lines: Sink::File(directory.path().join("audit.jsonl")),
            record_requests: true,
            forward_credentials: options.forward_credentials,
        })
        .expect("a gate");
        let any = "127.0.0.1:0".parse().expect("an address");
        let target = options.upstream.unwrap_or_else(|| upstream.url.clone());
        let gate = Arc::new(gate);
        let checks = Arc::new(Checks {
            sandbox: Arc::clone(&checks().sandbox),
            trust: Trust(options.policy_keys),
        });
        let policies = Policies::start(Arc::clone(&gate), checks, configured, START_MS)
            .await
            .expect("policies");
        let running = Server::start(ServerParts {
            gate,
            policies,
            policy_file: None,
            clock: clock.clone(),
            listen: any,
            management: if options.shared {
                Management::Shared
            } else {
                Management::Listen(any)
            },
            public_url: None,
            upstream: scopegate_server::Upstream {
                url: target.parse().expect("a URL"),
                preserve_host: false,
                roots: options.roots,
            },
            proxy: options.proxy,
            connections: options.connections,
            trusted_proxies,
            check: options.check,
            list_bytes_max: options.list_bytes_max,
            command_line: Some((lock, socket_path(&path))),
            metrics: metrics::recorder(),
            secret_scanning: options.partners,
            filters: options.filters,
            audit_keep: None,
            drain: options.drain,
        })
        .await
        .expect("a server");
        let url = format!("http://{}", running.public_addr());
        let management = running
            .management_addr()
            .map_or(url.clone(), |address| format!("http://{address}"));
        let mut world = Self {
            running: Some(running),
            url,
            management,
            clock,
            upstream,
            contract,
            organization: Uuid::nil(),
            keyring: Arc::new(keyring),
            directory,
            users: HashMap::new(),
            audit_read: Mutex::default(),
        };
        world.organization = world.add_organization(ORGANIZATION).await;
        let roles: &[&str] = if options.people {
            &["admin", "editor", "viewer"]
        } else {
            &[]
        };
        for role in roles {
            world
                .add_user(ORGANIZATION, &format!("{role}@acme.example"), role, None)
                .await;
        }
        world
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        self.directory.path().join("gate.db")
    }

    /// The audit's records of requests so far, whole.
    pub async fn audit(&self) -> Vec<Value> {
        let mut records = self.audit_lines().await;
        records.retain(|record| record["kind"] != "change");
        records
    }

    /// The audit's lines so far, those of changes too.
    pub async fn audit_lines(&self) -> Vec<Value> {
        self.running().gate().flush().await;
        let text = std::fs::read_to_string(self.directory.path().join("audit.jsonl"))
            .expect("the audit log");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect()
    }

    /// The audit's lines since this was called last.
    pub async fn audit_tail(&self) -> Vec<Value> {
        self.running().gate().flush().await;
        let path = self.directory.path().join("audit.jsonl");
        let mut read = self.audit_read.lock().await;
        let mut file = std::fs::File::open(path).expect("the audit log");
        let mut text = String::new();
        file.seek(SeekFrom::Start(*read)).expect("its length");
        *read += file.read_to_string(&mut text).expect("text") as u64;
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect()
    }

    /// What verifying the audit finds, with the world's own key and heads.
    pub async fn verify_audit(&self) -> Report {
        let key = self.directory.path().join("audit-key.json");
        // Before the store: it may be written to.
        let heads = ExportedHeads::read(&self.directory.path().join("audit-heads.jsonl"));
        let evidence = Evidence {
            keys: vec![AuditPublicKey::load(&key).expect("the key")],
            heads: Some(heads.expect("heads")),
            unsigned: false,
        };
        let url = format!("sqlite://{}", self.store_path().display());
        let store = Store::open_to_read(&url).await.expect("a store");
        store.verify_audit(evidence).await.expect("a report")
    }

    /// The server.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("a running server")
    }

    /// Stops the server and waits for its end.
    pub async fn shutdown(&mut self) {
        self.running
            .take()
            .expect("a running server")
            .shutdown()
            .await;
    }
}

/// A world that is not shut down ends with its test's runtime. The gate outlives that: its audit waits for the store, which has
/// its connection back only when the runtime has let go of it, and they would wait for each other.
impl Drop for World {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let gate = Arc::clone(running.gate());
        thread::spawn(move || {
            let begun = Instant::now();
            while Arc::strong_count(&gate) > 1 && begun.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(20));
            }
        });
    }
}

/// What policies are checked with, in every world.
pub fn checks() -> Arc<Checks> {
    static CHECKS: LazyLock<Arc<Checks>> = LazyLock::new(|| {
        Arc::new(Checks {
            sandbox: Arc::new(Sandbox::new(SandboxConfig::default()).expect("a sandbox")),
            trust: Trust::default(),
        })
    });
    Arc::clone(&CHECKS)
}

/// A policy document, built and loaded once for all tests.
pub async fn configured(document: &'static str) -> Configured {
    static POLICIES: LazyLock<Mutex<HashMap<&'static str, Configured>>> =
        LazyLock::new(Mutex::default);
    let mut policies = POLICIES.lock().await;
    if let Some(policy) = policies.get(document) {
        return policy.clone();
    }
    let component =
        build_document("policy.yaml", document).unwrap_or_else(|error| panic!("{error}"));
    let loaded = checks().sandbox.load(&component);
    let configured = Configured {
        key: "the test's".to_owned(),
        component: component.into(),
        policy: Arc::new(loaded.unwrap_or_else(|error| panic!("{error}"))),
    };
    policies.insert(document, configured.clone());
    configured
}

/// What `scopegate.yaml` says, with nothing in the environment.
pub fn config(
    text: &str,
    directory: &std::path::Path,
) -> Result<Config, scopegate_policy::yaml::Report> {
    Config::read("scopegate.yaml", text, directory, |_| None)
}

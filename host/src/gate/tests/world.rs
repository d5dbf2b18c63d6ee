//! A gate with everything real behind it, and short ways to ask it.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use scopegate_policy::Clusters;
use secrecy::ExposeSecret;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Admission, Audit, Cause, Contract, Directory, Gate, KeyRing, Refusal, Request, Sessions,
    Verdict,
    authenticate::Issuers,
    counters::Counters,
    engine::{Policy, Sandbox, SandboxConfig, build_document},
    gate::Parts,
    key::{self, KeyKind},
    keyring::{Keys, SessionClaims},
    password::Passwords,
    store::{Change, Credential, CredentialKind, NewCredential, Session, fixture::Fixture},
};

pub(super) use crate::store::fixture::NOW_MS;

const POLICY: &str = r#"
policy: test
permissions:
  clusters:read: { category: Clusters, unlocks: Cluster inventory }
  clusters:write: { category: Clusters, unlocks: Changing clusters }
  metrics:write: { category: Agents, unlocks: Submit metrics, scope: false }
roles:
  admin: ["*"]
  viewer: [clusters:read]
  agent: [metrics:write]
routes:
  - { match: GET /v1/health, public: true }
  - { match: GET /v1/clusters, requires: clusters:read, lists: { items: /clusters, cluster: /id } }
  - { match: "GET /v1/clusters/{cluster}/**", requires: clusters:read }
  - { match: "PATCH /v1/clusters/{cluster}", requires: clusters:write }
  - { match: GET /v1/organization, requires: clusters:read, cluster: none }
  - { match: GET /v1/upstream, requires: clusters:read, cluster: upstream }
  - { match: GET /v1/everything, requires: clusters:read }
  - { match: GET /v1/costs, requires: clusters:read, cluster: { query: cluster } }
  - { match: POST /v1/metrics, requires: metrics:write, cluster: { header: x-cluster-id } }
  - { match: POST /v1/samples, requires: metrics:write, cluster: { query: cluster } }
"#;

/// One sandbox and one compiled policy for all tests.
static TEST_POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    Arc::new(
        sandbox
            .load(&build_document("test.yaml", POLICY).unwrap())
            .unwrap(),
    )
});

pub(super) struct World {
    pub(super) gate: Gate,
    pub(super) fixture: Fixture,
    log: Log,
}

/// What gates record.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn audit(&self) -> Audit {
        Audit::to(Box::new(self.clone())).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    pub(super) fn records(&self) -> Vec<Value> {
        let text = self.text();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        records.collect()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Parts of a gate that writes no audit.
pub(super) fn parts(
    contract: Contract,
    directory: Directory,
    keys: Keys,
    counters: Counters,
) -> Parts {
    Parts {
        sessions: Sessions::new(
            directory.clone(),
            Passwords::new().unwrap(),
            &contract,
            keys.clone(),
        ),
        contract,
        directory,
        keys,
        issuers: Issuers::default(),
        policy: Arc::clone(&TEST_POLICY),
        counters,
        trusted_proxies: Vec::new(),
        audit: Audit::to(Box::new(std::io::sink())).unwrap(),
        forward_credentials: false,
    }
}

impl World {
    pub(super) async fn new(contract: &str) -> Self {
        Self::with(contract, |_| {}).await
    }

    pub(super) async fn with(contract: &str, change: impl FnOnce(&mut Parts)) -> Self {
        Self::within(contract, |parts, _| change(parts)).await
    }

    /// The same, for changes that are about the fixture's organization.
    pub(super) async fn within(contract: &str, change: impl FnOnce(&mut Parts, Uuid)) -> Self {
        let contract = Contract::builtin(contract).unwrap();
        let fixture = Fixture::new(contract.authority.clone()).await;
        let log = Log::default();
        let directory = fixture.directory.clone();
        let keys = Keys::from(KeyRing::ephemeral().unwrap());
        let mut parts = parts(contract, directory, keys, Counters::memory());
        parts.audit = log.audit();
        change(&mut parts, fixture.organization);
        Self {
            gate: Gate::new(parts),
            fixture,
            log,
        }
    }

    /// An administrator.
    pub(super) async fn admin(&self) -> Uuid {
        self.fixture
            .user(&format!("{}@example.com", Uuid::new_v4()), "admin")
            .await
    }

    /// A key of an owner, for scopes contracts of everything.
    pub(super) async fn key(
        &self,
        owner: Option<Uuid>,
        change: impl FnOnce(&mut Credential),
    ) -> String {
        self.mint(CredentialKind::ApiKey, owner, change).await.1
    }

    pub(super) async fn agent(&self, cluster: &str) -> String {
        let of_cluster =
            |credential: &mut Credential| credential.cluster = Some(cluster.to_owned());
        self.mint(CredentialKind::Agent, None, of_cluster).await.1
    }

    pub(super) async fn mint(
        &self,
        kind: CredentialKind,
        owner: Option<Uuid>,
        change: impl FnOnce(&mut Credential),
    ) -> (Uuid, String) {
        let prefix = &self.gate.contract().key_prefix;
        let word = if kind == CredentialKind::Agent {
            KeyKind::Agent
        } else {
            KeyKind::Live
        };
        let minted = key::mint(prefix, word).unwrap();
        let (mut new, _) = self.fixture.new_key(owner);
        new.credential.kind = kind;
        change(&mut new.credential);
        let credential = new.credential;
        let (id, _) = self
            .fixture
            .mint(NewCredential {
                credential,
                hash: minted.hash,
                idempotency: None,
            })
            .await;
        (id, minted.secret.expose_secret().to_owned())
    }

    /// What a session of this user would have in its token.
    pub(super) async fn claims(&self, user: Uuid) -> SessionClaims {
        let now = NOW_MS / 1000;
        let session = Session {
            id: Uuid::new_v4(),
            user,
            auth_time: now,
            mfa: false,
            expires_at: now + 7 * 86_400,
            revoked_at: None,
        };
        let sid = session.id;
        self.fixture.make(Change::OpenSession(session)).await;
        SessionClaims {
            iss: self.keyring().issuer().to_owned(),
            aud: self.gate.contract().name.clone(),
            sub: user,
            sid,
            org_id: self.fixture.organization,
            iat: now,
            exp: now + 86_400,
            auth_time: now,
            jti: Uuid::new_v4(),
        }
    }

    pub(super) async fn session(&self, user: Uuid) -> String {
        let claims = self.claims(user).await;
        self.keyring()
            .sign(&claims)
            .unwrap()
            .expose_secret()
            .to_owned()
    }

    pub(super) fn keyring(&self) -> Arc<KeyRing> {
        self.gate.keys().current()
    }

    /// The audit log so far.
    pub(super) async fn log(&self) -> Vec<Value> {
        self.gate.flush().await;
        self.log.records()
    }

    pub(super) async fn text_of_log(&self) -> String {
        self.gate.flush().await;
        self.log.text()
    }
}

/// A question under construction.
#[derive(Clone)]
pub(super) struct Ask {
    method: &'static str,
    path: String,
    query: String,
    headers: HeaderMap,
    peer: IpAddr,
    now_ms: i64,
}

pub(super) fn ask(method: &'static str, target: &str) -> Ask {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ask {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: HeaderMap::new(),
        peer: "192.0.2.1".parse().unwrap(),
        now_ms: NOW_MS,
    }
}

pub(super) fn get(target: &str) -> Ask {
    ask("GET", target)
}

impl Ask {
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn bearer(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub(super) fn from(mut self, peer: &str) -> Self {
        self.peer = peer.parse().unwrap();
        self
    }

    pub(super) fn at(mut self, now_ms: i64) -> Self {
        self.now_ms = now_ms;
        self
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            authority: None,
            headers: &self.headers,
            peer: self.peer,
            now_ms: self.now_ms,
        }
    }

    pub(super) async fn on(&self, world: &World) -> Verdict {
        world.gate.check(&self.request()).await
    }

    /// 200 stands for an admission.
    pub(super) async fn status(&self, world: &World) -> u16 {
        match self.on(world).await {
            Verdict::Admit(_) => 200,
            Verdict::Refuse(refusal) => refusal.status.as_u16(),
        }
    }

    pub(super) async fn admitted(&self, world: &World) -> Admission {
        match self.on(world).await {
            Verdict::Admit(admission) => Arc::into_inner(admission).unwrap(),
            Verdict::Refuse(refusal) => panic!("refused: {:?}", refusal.cause),
        }
    }

    pub(super) async fn refused(&self, world: &World) -> Refusal {
        match self.on(world).await {
            Verdict::Admit(_) => panic!("admitted"),
            Verdict::Refuse(refusal) => *refusal,
        }
    }

    pub(super) async fn cause(&self, world: &World) -> Cause {
        self.refused(world).await.cause
    }
}

pub(super) fn only(clusters: &[&str]) -> Clusters {
    Clusters::only(clusters.iter().copied())
}

/// Limit and remaining, as the headers of a refusal say them.
pub(super) fn limits(headers: &HeaderMap) -> (u32, u32) {
    let number = |name: &str| headers[name].to_str().unwrap().parse().unwrap();
    (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
}

//! A product as its users meet it: roles log in, keys are minted, and the texts' own curl lines run.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use scopegate_host::{
    admin::{AdminError, AgentRequest, Command, KeyRequest, Reply as AdminReply},
    engine::Policy,
    store::{Actor as StoreActor, Change, Session},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::Row;

use super::call::{Answer, Call};
use crate::harness::{self, Enrolled, ORGANIZATION, Options, PASSWORD, json_reply};

/// A running product.
pub struct World {
    inner: harness::World,
}

/// A minted credential, whose text is in nobody else's hands.
pub struct Minted {
    pub secret: String,
    pub id: String,
}

/// A key that is being minted.
pub struct KeyOf<'w> {
    world: &'w World,
    owner: String,
    name: String,
    scopes: Option<Vec<String>>,
    clusters: Vec<String>,
    expires_in_secs: Option<i64>,
}

impl KeyOf<'_> {
    /// What it is called.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// What it may carry.
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
        self
    }

    /// `allowed_cluster_ids`.
    pub fn clusters(mut self, clusters: &[&str]) -> Self {
        self.clusters = clusters
            .iter()
            .map(|cluster| (*cluster).to_owned())
            .collect();
        self
    }

    /// When it ends.
    pub fn expires_in_secs(mut self, secs: i64) -> Self {
        self.expires_in_secs = Some(secs);
        self
    }

    /// Mints it, or says why not.
    pub async fn try_mint(self) -> Result<Minted, AdminError> {
        let request = KeyRequest {
            organization: Some(ORGANIZATION.to_owned()),
            owner: Some(email(&self.owner)),
            name: self.name,
            scopes: self.scopes,
            allowed_cluster_ids: self.clusters,
            expires_at: self
                .expires_in_secs
                .map(|secs| self.world.now_secs() + secs),
        };
        self.world
            .inner
            .command(Command::KeyMint(request))
            .await
            .map(minted)
    }

    /// Mints it.
    pub async fn mint(self) -> Minted {
        self.try_mint()
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

fn minted(reply: AdminReply) -> Minted {
    match reply {
        AdminReply::Minted { credential, secret } => Minted {
            secret: secret.expose_secret().to_owned(),
            id: credential.id.to_string(),
        },
        _ => panic!("minting answered with something else"),
    }
}

fn email(role: &str) -> String {
    format!("{role}@acme.example")
}

impl World {
    /// A product with users `admin`, `editor` and `viewer` and clusters `dev`, `prod` and `staging`.
    pub async fn start(contract: &'static str) -> Self {
        Self::with(Options::of(contract)).await
    }

    /// One with something else in its contract.
    pub async fn with(options: Options) -> Self {
        let inner = harness::World::with(options).await;
        inner.upstream.answers(product);
        Self { inner }
    }

    async fn done(&self, command: Command) -> AdminReply {
        self.inner
            .command(command)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The address and password of a role's user.
    pub fn password_of(&self, role: &str) -> (String, String) {
        (email(role), PASSWORD.to_owned())
    }

    /// Gives a role's user a second factor.
    pub async fn enrol(&self, role: &str) -> Enrolled {
        self.inner.enrol(&email(role)).await
    }

    /// Logs in and gives the token.
    pub async fn login(&self, role: &str) -> String {
        let session = self.inner.session(role).await;
        session
            .credential_value()
            .trim_start_matches("Bearer ")
            .to_owned()
    }

    /// A good token of a user: its session is in the store, and it is signed with the gate's own key.
    pub async fn sign_session(&self, role: &str) -> String {
        let claims = self.inner.claims(&email(role));
        let session = Session {
            id: claims.sid,
            user: claims.sub,
            auth_time: claims.auth_time,
            mfa: false,
            expires_at: claims.exp,
            revoked_at: None,
        };
        let directory = self.inner.running().gate().directory();
        let opened = directory.apply(
            Change::OpenSession(session),
            StoreActor::Machine,
            self.inner.clock.now_ms(),
        );
        opened.await.expect("the store takes a session");
        self.inner.sign(claims)
    }

    /// A key of a role's user.
    pub fn key(&self, owner: &str) -> KeyOf<'_> {
        KeyOf {
            world: self,
            owner: owner.to_owned(),
            name: "ci".to_owned(),
            scopes: None,
            clusters: Vec::new(),
            expires_in_secs: None,
        }
    }

    /// The token of a cluster's agent.
    pub async fn agent(&self, cluster: &str) -> Minted {
        self.mint_agent(cluster, None).await
    }

    /// The same, for so long.
    pub async fn agent_for_secs(&self, cluster: &str, secs: i64) -> Minted {
        self.mint_agent(cluster, Some(self.now_secs() + secs)).await
    }

    async fn mint_agent(&self, cluster: &str, expires_at: Option<i64>) -> Minted {
        let request = AgentRequest {
            organization: Some(ORGANIZATION.to_owned()),
            cluster: cluster.to_owned(),
            expires_at,
            ..AgentRequest::default()
        };
        minted(self.done(Command::AgentMint(request)).await)
    }

    /// Revokes a key.
    pub async fn revoke(&self, key: &Minted) {
        self.done(Command::KeyRevoke {
            organization: None,
            key: key.id.clone(),
        })
        .await;
    }

    /// Gives a user another role.
    pub async fn set_role(&self, user: &str, role: &str) {
        self.done(Command::UserSetRole {
            email: email(user),
            role: role.to_owned(),
        })
        .await;
    }

    /// Restricts a user to clusters.
    pub async fn set_clusters(&self, user: &str, clusters: &[&str]) {
        let clusters = clusters
            .iter()
            .map(|cluster| (*cluster).to_owned())
            .collect();
        self.done(Command::UserSetClusters {
            email: email(user),
            clusters: Some(clusters),
        })
        .await;
    }

    /// Lifts a user's restriction.
    pub async fn set_all_clusters(&self, user: &str) {
        self.done(Command::UserSetClusters {
            email: email(user),
            clusters: None,
        })
        .await;
    }

    /// Disables a user.
    pub async fn disable(&self, user: &str) {
        self.done(Command::UserDisable { email: email(user) }).await;
    }

    /// Registers a cluster.
    pub async fn add_cluster(&self, id: &str) {
        self.inner.add_cluster(ORGANIZATION, id).await;
    }

    /// Another tenant, with clusters of its own.
    pub async fn second_organization(&self, name: &str, clusters: &[&str]) {
        self.done(Command::OrganizationCreate {
            name: name.to_owned(),
        })
        .await;
        for cluster in clusters {
            self.inner.add_cluster(name, cluster).await;
        }
    }

    /// The first tenant's id.
    pub fn organization_id(&self) -> String {
        self.inner.organization.to_string()
    }

    /// Seconds since the epoch, there.
    pub fn now_secs(&self) -> i64 {
        self.inner.clock.now_ms() / 1000
    }

    /// Moves the clock.
    pub fn advance_secs(&self, secs: u64) {
        self.inner.clock.advance(Duration::from_secs(secs));
    }

    /// A request without a credential.
    pub fn request(&self, method: &str, path: &str) -> Call {
        let actor = self.inner.anonymous();
        let request = actor.request(method, path);
        Call { actor, request }
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    /// `POST` of JSON.
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.request("POST", path).json(body)
    }

    /// `PATCH` with JSON.
    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.request("PATCH", path).json(body)
    }

    /// Runs a curl line of a product's text: its host becomes this gate, and each placeholder the real thing.
    pub async fn curl(&self, line: &str, placeholders: &[(&str, &str)]) -> Answer {
        let host = regex::Regex::new(r"https://[A-Za-z_.0-9-]+").expect("a pattern");
        let line = host
            .replace_all(line, self.inner.url.as_str())
            .replace("\\\n", " ");
        let line = placeholders
            .iter()
            .fold(line, |line, (from, to)| line.replace(from, to));
        let quiet = line.replacen("curl ", "curl --silent --show-error --include ", 1);
        let output = tokio::process::Command::new("sh")
            .args(["-c", &quiet])
            .output()
            .await
            .expect("sh runs");
        assert!(
            output.status.success(),
            "`{quiet}` failed; is curl there (`apt-get install curl`)? {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status line");
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        Answer {
            status: status.parse().expect("a status"),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    /// The last request that reached the product.
    pub fn upstream_saw(&self) -> Heard {
        Heard(self.inner.upstream.last())
    }

    /// The product answers every list with these items from now on.
    pub fn upstream_lists(&self, member: &str, items: Value) {
        let member = member.to_owned();
        self.inner
            .upstream
            .answers(move |_| json_reply(200, json!({ member.clone(): items })));
    }

    /// The active policy.
    pub fn policy(&self) -> std::sync::Arc<Policy> {
        self.inner.running().gate().policy()
    }

    /// The audit log.
    pub async fn audit(&self) -> Vec<Value> {
        self.inner.audit().await
    }

    /// Every hash in the store.
    pub async fn stored_hashes(&self) -> Vec<Vec<u8>> {
        let url = format!("sqlite://{}?mode=ro", self.inner.store_path().display());
        let pool = sqlx::SqlitePool::connect(&url)
            .await
            .expect("the store opens");
        let rows = sqlx::query("SELECT hash FROM credentials")
            .fetch_all(&pool)
            .await
            .expect("credentials");
        rows.iter().map(|row| row.get::<Vec<u8>, _>(0)).collect()
    }

    /// No file of the store, its log or the audit has this text.
    pub async fn assert_nowhere_on_disk(&self, secret: &str) {
        self.audit().await;
        let store = self.inner.store_path();
        let folder = store.parent().expect("a folder");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).expect("the folder lists") {
            let path = entry.expect("an entry").path();
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            files += 1;
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{} has the plaintext", path.display());
        }
        assert!(files >= 2, "the store and the audit log are there");
    }

    /// The claims of a token, changed and signed again with the gate's own key.
    pub fn sign_claims(&self, token: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = jwt_claims(token);
        change(&mut claims);
        let folder = self
            .inner
            .store_path()
            .parent()
            .expect("a folder")
            .to_owned();
        let file = std::fs::read_to_string(folder.join("keys.json")).expect("the key file");
        let ring: Value = serde_json::from_str(&file).expect("JSON");
        let key = &ring["keys"][0];
        let secret = BASE64_URL_SAFE_NO_PAD
            .decode(key["secret"].as_str().expect("a secret"))
            .expect("base64url");
        let header = Header {
            kid: key["kid"].as_str().map(str::to_owned),
            ..Header::default()
        };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).expect("a token")
    }

    /// The same claims under `"alg": "none"`, without a signature.
    pub fn unsigned(&self, token: &str) -> String {
        let mut header = jwt_header(token);
        header["alg"] = json!("none");
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{header}.{}.", token.split('.').nth(1).expect("claims"))
    }
}

/// A request as the product heard it.
pub struct Heard(harness::Seen);

impl Heard {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0
            .headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).expect("JSON")
    }
}

/// The product behind the gate: collections, single things, and 202 for metrics.
pub(super) fn product(seen: harness::Seen) -> http::Response<axum::body::Body> {
    if seen.method == "POST" && seen.path.ends_with("/metrics") {
        return json_reply(202, json!({ "accepted": true }));
    }
    json_reply(
        200,
        json!({
            "clusters": [{ "id": "prod" }, { "id": "staging" }, { "id": "dev" }],
            "items": [{ "cluster_id": "prod" }, { "cluster_id": "staging" }],
            "id": "one",
        }),
    )
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// What a token says, unverified.
pub fn jwt_claims(token: &str) -> Value {
    part(token, 1)
}

/// A token's header, unverified.
pub fn jwt_header(token: &str) -> Value {
    part(token, 0)
}

/// The token with one bit of its signature turned.
pub fn tampered(token: &str) -> String {
    let (rest, signature) = token.rsplit_once('.').expect("three parts");
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    signature[0] ^= 1;
    format!("{rest}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

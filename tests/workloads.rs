//! Workloads of Kubernetes with the tokens of their service accounts, through a gate that `scopegate serve` runs. Behind TLS
//! stands somebody who answers as an API server does.

mod page;
mod reviewed;
mod signed;

use std::{path::Path, sync::LazyLock};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::{
    cli::{
        binary::{Running, run_ok},
        own_gate::{self, json as shown},
    },
    harness::{Actor, Upstream, tls},
};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The name of a cluster's key.
const KID: &str = "one";
const ACCOUNT: &str = "system:serviceaccount:monitoring:agent";

/// A cluster: what signs its tokens, and its API server.
struct Cluster {
    key: EncodingKey,
    api: Upstream,
    /// `https://localhost:PORT` of the API server.
    url: String,
    authority: String,
}

impl Cluster {
    /// One that signs as clusters do unless they are told otherwise.
    async fn start() -> Self {
        // It takes its time: one for all.
        static PEM: LazyLock<String> = LazyLock::new(rsa);
        let key = EncodingKey::from_rsa_pem(PEM.as_bytes()).expect("a key");
        let api = Upstream::start().await;
        let address = api.url.trim_start_matches("http://");
        let encrypted = tls::before(address.parse().expect("an address")).await;
        Self {
            key,
            api,
            url: format!("https://localhost:{}", encrypted.address.port()),
            authority: encrypted.authority,
        }
    }

    /// A token of the account, as it is projected into a pod: made a minute ago for an hour. A `null` takes a claim away.
    fn token(&self, changes: Value) -> String {
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "iss": ISSUER, "aud": ["scopegate"], "sub": ACCOUNT, "jti": "6f7c1e2a",
            "iat": now - 60, "nbf": now - 60, "exp": now + 3540,
            "kubernetes.io": {
                "namespace": "monitoring",
                "pod": { "name": "agent-7d9f", "uid": "91ce" },
                "serviceaccount": { "name": "agent", "uid": "5d1f" },
            },
        });
        let claims_map = claims.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            claims_map.insert(name.clone(), value.clone());
        }
        claims_map.retain(|_, value| !value.is_null());
        let header = Header {
            kid: Some(KID.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a token")
    }

    /// As `/openid/v1/jwks` shows them.
    fn keys(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::RS256).expect("a key");
        jwk.common.key_id = Some(KID.to_owned());
        json!({ "keys": [jwk] })
    }

    /// Writes what the gate needs of it, and that its workloads may call: its account, proven as `proof` says.
    fn configure(&self, gate: &Path, proof: &str) {
        std::fs::write(gate.join("api-ca.pem"), &self.authority).expect("writable");
        std::fs::write(gate.join("gate-token"), "gate-1\n").expect("writable");
        let organization = shown(gate, &["organization", "list"])[0]["id"].clone();
        let organization = organization.as_str().expect("an id");
        let path = gate.join("scopegate.yaml");
        let configuration = std::fs::read_to_string(&path).expect("written");
        let cluster = format!(
            "kubernetes:\n  - cluster: prod\n    organization: {organization}\n    issuer: {ISSUER}\n    \
             audiences: [scopegate]\n    service_accounts: [monitoring/agent]\n    {proof}\n"
        );
        std::fs::write(&path, configuration + &cluster).expect("writable");
    }
}

fn rsa() -> String {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    pair.serialize_pem()
}

/// A gate with the cluster `prod`, in front of this upstream.
fn gate_before(upstream: &Upstream, contract: &str) -> tempfile::TempDir {
    let gate = own_gate::gate(contract);
    run_ok(gate.path(), &["cluster", "add", "prod"]);
    let path = gate.path().join("scopegate.yaml");
    let configuration = std::fs::read_to_string(&path).expect("written");
    let address = upstream.url.trim_start_matches("http://");
    let configuration = configuration.replace("127.0.0.1:3000", address);
    std::fs::write(&path, configuration).expect("writable");
    gate
}

fn serve(gate: &Path) -> (Running, String) {
    own_gate::serve(gate)
}

/// Who presents this token.
fn workload(url: &str, token: &str) -> Actor {
    Actor::new(url, Some(("authorization", format!("Bearer {token}"))))
}

//! A cluster of Kubernetes whose signing key the test has, and a gate that its workloads call.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    issuers::Provider,
    tokens::{NOW, with},
    world::{Ask, World, ask},
};
use crate::authenticate::{IssuerConfig, Issuers, KubernetesConfig, ProofConfig};

pub(super) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
pub(super) const ACCOUNT: &str = "system:serviceaccount:monitoring:agent";

/// A cluster whose signing key the test has.
pub(super) struct Cluster(pub(super) Provider);

impl Cluster {
    pub(super) fn new() -> Self {
        Self(Provider::new())
    }

    pub(super) fn config(&self) -> KubernetesConfig {
        let keys = self.0.fixed();
        Self::proven_by(ProofConfig::Signature {
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            keys,
        })
    }

    pub(super) fn proven_by(proof: ProofConfig) -> KubernetesConfig {
        KubernetesConfig {
            cluster: "prod".into(),
            organization: Uuid::nil(),
            issuer: ISSUER.into(),
            audiences: vec!["scopegate".into(), "costs".into()],
            service_accounts: vec!["monitoring/agent".into(), "agents/*".into()],
            leeway_secs: 0,
            proof,
        }
    }

    /// As Kubernetes projects one into a pod.
    pub(super) fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": ["scopegate"], "sub": ACCOUNT, "jti": "6f7c1e2a",
            "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3540,
            "kubernetes.io": {
                "namespace": "monitoring",
                "node": { "name": "one", "uid": "0b7a" },
                "pod": { "name": "agent-7d9f", "uid": "91ce" },
                "serviceaccount": { "name": "agent", "uid": "5d1f" },
            },
        })
    }

    /// Claims of another account, in another pod.
    pub(super) fn claims_of(namespace: &str, name: &str, pod: &str) -> Value {
        let bound = json!({
            "namespace": namespace,
            "pod": { "name": pod, "uid": "22ab" },
            "serviceaccount": { "name": name, "uid": "5d1f" },
        });
        let sub = format!("system:serviceaccount:{namespace}:{name}");
        json!({ "sub": sub, "kubernetes.io": bound })
    }

    pub(super) fn token(&self, changes: Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "e" });
        self.0.sign(&header, &with(&Self::claims(), changes))
    }
}

/// A gate of a contract whose callers are workloads of these clusters, and people of these issuers.
pub(super) async fn gate_of(
    contract: &str,
    mut clusters: Vec<KubernetesConfig>,
    mut people: Vec<IssuerConfig>,
) -> World {
    World::within(contract, |parts, home| {
        for cluster in &mut clusters {
            cluster.organization = home;
        }
        for issuer in &mut people {
            issuer.organization = home;
        }
        parts.issuers = Issuers::with_clusters(people, clusters).unwrap();
    })
    .await
}

pub(super) fn metrics(token: &str) -> Ask {
    ask("POST", "/v1/metrics").bearer(token)
}

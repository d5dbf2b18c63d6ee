//! Tokens that the cluster's API server is asked about.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::{ACCOUNT, Cluster, gate_before, serve, workload};
use crate::harness::{Seen, Upstream, json_reply};

const METRICS: &str = "/api/v1/metrics";

/// What an API server knows: the tokens that are good, and the gate's own.
#[derive(Default)]
struct Known {
    tokens: BTreeSet<String>,
    gate: String,
    is_away: bool,
}

impl Known {
    fn answer(&self, seen: &Seen) -> Response<Body> {
        if self.is_away {
            return json_reply(500, json!({ "kind": "Status", "code": 500 }));
        }
        if seen.header("authorization") != format!("Bearer {}", self.gate) {
            return json_reply(401, json!({ "kind": "Status", "code": 401 }));
        }
        let is_asked = (seen.method.as_str(), seen.path.as_str())
            == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews");
        let mut review: Value = serde_json::from_slice(&seen.body).expect("JSON");
        let spec = &review["spec"];
        if !is_asked || spec["audiences"] != json!(["scopegate"]) {
            return json_reply(404, json!({ "kind": "Status", "code": 404 }));
        }
        review["status"] = match self
            .tokens
            .contains(spec["token"].as_str().expect("a token"))
        {
            true => json!({
                "authenticated": true,
                "user": { "username": ACCOUNT, "uid": "5d1f", "groups": ["system:serviceaccounts"] },
                "audiences": ["scopegate"],
            }),
            false => json!({ "error": "[invalid bearer token, Token has been invalidated]" }),
        };
        json_reply(201, review)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_says_which_pods_are_there() {
    let (cluster, upstream) = (Cluster::start().await, Upstream::start().await);
    let known = Arc::new(Mutex::new(Known {
        gate: "gate-1".to_owned(),
        ..Known::default()
    }));
    let answering = Arc::clone(&known);
    cluster
        .api
        .answers(move |seen| answering.lock().expect("no panic").answer(&seen));
    let change = |change: &dyn Fn(&mut Known)| change(&mut known.lock().expect("no panic"));

    let gate = gate_before(&upstream, "kubewatch");
    let review = format!(
        "token_review: {{ url: '{}', ca: api-ca.pem, token: gate-token, cache_time: 0s }}",
        cluster.url
    );
    cluster.configure(gate.path(), &review);
    let (server, url) = serve(gate.path());
    let token = cluster.token(json!({}));
    let pod = workload(&url, &token);
    let submit = || pod.post(METRICS, json!({}));
    let says = |status: u16, text: &str| (status, json!({ "error": text }));
    let refused = async || {
        let reply = submit().await;
        (reply.status, reply.json())
    };

    let make = |known: &mut Known| {
        known.tokens.insert(token.clone());
    };
    // Not before the API server knows it, and not after.
    assert_eq!(refused().await, says(401, "invalid token"));
    change(&make);
    assert_eq!(submit().await.status, 200);
    assert_eq!(upstream.last().header("x-scopegate-clusters"), "prod");
    change(&|known| known.tokens.clear());
    assert_eq!(refused().await, says(401, "invalid token"));
    change(&make);

    // An API server that does not answer, or does not know the gate, vouches for nobody.
    change(&|known| known.is_away = true);
    assert_eq!(refused().await, says(503, "temporarily unavailable"));
    change(&|known| known.is_away = false);
    assert_eq!(submit().await.status, 200);
    change(&|known| known.gate = "gate-2".to_owned());
    assert_eq!(refused().await, says(503, "temporarily unavailable"));
    std::fs::write(gate.path().join("gate-token"), "gate-2\n").expect("writable");
    assert_eq!(submit().await.status, 200);

    // KubeWatch's causes in their order, and nobody is asked about these.
    let asked = cluster.api.count();
    let of_other = json!({
        "namespace": "monitoring", "serviceaccount": { "name": "other", "uid": "x" },
    });
    for (changes, text) in [
        (
            json!({ "aud": ["other"], "iat": 1_000, "exp": 2_000 }),
            "invalid token",
        ),
        (json!({ "iss": "https://other" }), "invalid token"),
        (
            json!({ "sub": "system:serviceaccount:monitoring:other", "kubernetes.io": of_other }),
            "invalid token",
        ),
        (json!({ "iat": 1_000, "exp": 2_000 }), "token expired"),
        (json!({ "nbf": 4_000_000_000_i64 }), "unauthorized"),
    ] {
        let reply = workload(&url, &cluster.token(changes))
            .post(METRICS, json!({}))
            .await;
        assert_eq!((reply.status, reply.json()), says(401, text));
    }
    assert_eq!(cluster.api.count(), asked);
    server.interrupt();
}

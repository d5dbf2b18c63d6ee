//! Tokens that the cluster's keys verify.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use serde_json::json;

use super::{ACCOUNT, Cluster, gate_before, serve, workload};
use crate::{
    cli::{binary::run_ok, own_gate::json as shown},
    harness::{Upstream, json_reply},
};

const PROOF: &str = "jwks: { url: 'URL/openid/v1/jwks', ca: api-ca.pem, token: gate-token }";

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_submits_with_its_own_token_until_its_cluster_is_deleted() {
    let (cluster, upstream) = (Cluster::start().await, Upstream::start().await);
    let keys = cluster.keys();
    cluster.api.answers(move |seen| {
        let is_known = seen.header("authorization") == "Bearer gate-1";
        match is_known && seen.path == "/openid/v1/jwks" {
            true => json_reply(200, keys.clone()),
            false => json_reply(403, json!({})),
        }
    });
    let gate = gate_before(&upstream, "k8cost");
    let directory = gate.path();
    cluster.configure(directory, &PROOF.replace("URL", &cluster.url));
    let (server, url) = serve(directory);
    let pod = workload(&url, &cluster.token(json!({})));
    let metrics = "/api/v1/metrics";

    let reply = pod.post(metrics, json!({})).await;
    assert_eq!(
        (reply.status, reply.header("x-ratelimit-limit")),
        (200, "20")
    );
    let seen = upstream.last();
    seen.has_one_identity("a workload");
    assert_eq!(seen.header("x-scopegate-clusters"), "prod");
    assert_eq!(seen.header("x-scopegate-roles"), "agent");
    assert_eq!(seen.header("x-cluster-id"), "prod");
    assert_eq!(
        seen.header("authorization"),
        "",
        "the token stays at the gate"
    );
    // A token of the gate's own goes beside it.
    let minted = shown(directory, &["agent", "mint", "--cluster", "prod"]);
    let minted = workload(&url, minted["secret"].as_str().expect("a secret"));
    assert_eq!(minted.post(metrics, json!({})).await.status, 200);
    let elsewhere = pod
        .request("POST", metrics)
        .header("x-cluster-id", "staging");
    assert_eq!(pod.send(elsewhere).await.code(), "agent-outside-cluster");
    assert_eq!(
        pod.get("/api/v1/clusters").await.code(),
        "missing-permission"
    );

    let other = cluster.token(json!({ "jti": "other" }));
    let signature = pod.credential_value().rsplit('.').next();
    let (message, _) = other.rsplit_once('.').expect("a token");
    let forged = format!("{message}.{}", signature.expect("a signature"));
    for (token, code) in [
        (forged, "invalid-token"),
        (cluster.token(json!({ "aud": ["other"] })), "invalid-token"),
        (cluster.token(json!({ "exp": null })), "invalid-token"),
        (
            cluster.token(json!({ "exp": 2_000_000_000 })),
            "invalid-token",
        ),
        (
            cluster.token(json!({ "sub": "system:serviceaccount:monitoring:x" })),
            "invalid-token",
        ),
        (
            cluster.token(json!({ "iat": 1_000, "exp": 2_000 })),
            "token-expired",
        ),
    ] {
        let refused = workload(&url, &token).post(metrics, json!({})).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, code));
        assert!(refused.header("www-authenticate").contains("invalid_token"));
    }

    // One that is under way when its cluster is deleted ends with it.
    upstream.streams(|_| async {
        let part = |_| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Infallible>(Bytes::from_static(b"more"))
        };
        Response::new(Body::from_stream(stream::iter(0..).then(part)))
    });
    let under_way = pod
        .request("POST", metrics)
        .send()
        .await
        .expect("an answer");
    assert_eq!(under_way.status(), 200);
    let mut parts = under_way.bytes_stream();
    parts.next().await.expect("a part").expect("bytes");
    run_ok(directory, &["cluster", "delete", "prod"]);
    let end = tokio::time::timeout(Duration::from_secs(5), async {
        while let Some(part) = parts.next().await {
            part?;
        }
        Ok::<_, reqwest::Error>(())
    });
    assert!(
        end.await.expect("it ends at once").is_err(),
        "it breaks off"
    );
    let refused = pod.post(metrics, json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "revoked"));

    server.interrupt();
    let records = run_ok(
        directory,
        &["audit", "search", "--path", metrics, "--output", "json"],
    );
    assert!(
        records.contains(&format!(r#""name":"{ACCOUNT}","agent":"agent-7d9f""#)),
        "{records}"
    );
    let revoked = records
        .lines()
        .filter(|line| line.contains(r#""reason":"revoked""#));
    // What was under way, and what came afterwards.
    let of_the_pod = revoked.filter(|line| line.contains(r#""agent":"agent-7d9f""#));
    assert_eq!(of_the_pod.count(), 2, "{records}");
    assert!(!records.contains("eyJ"), "{records}");
}

/// Kubeadapt has no sessions on its API; a filter in front of it takes tokens for workloads' sake.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_without_sessions_takes_workloads() {
    let (cluster, upstream) = (Cluster::start().await, Upstream::start().await);
    let gate = gate_before(&upstream, "kubeadapt");
    let directory = gate.path();
    let filter = || {
        let printed = run_ok(directory, &["envoy", "config", "--only-filter"]);
        let printed: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        printed["contract"]["sessions"].clone()
    };
    assert_eq!(filter(), false);
    let keys = cluster.keys();
    cluster.api.answers(move |_| json_reply(200, keys.clone()));
    cluster.configure(directory, &PROOF.replace("URL", &cluster.url));
    assert_eq!(filter(), true);
    let (server, url) = serve(directory);
    let pod = workload(&url, &cluster.token(json!({})));
    assert_eq!(pod.post("/v1/metrics", json!({})).await.status, 200);
    let wrong = workload(&url, &cluster.token(json!({ "aud": "other" })));
    let refused = wrong.post("/v1/metrics", json!({})).await;
    assert_eq!(refused.status, 401);
    assert!(
        refused.body.starts_with(r#"{"detail":"API key required."#),
        "{}",
        refused.body
    );
    server.interrupt();
}

//! Tokens of workloads that the cluster's API server is asked about: over TLS, by a stand-in for it.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    cluster::{ACCOUNT, Cluster, ISSUER, gate_of, metrics},
    issuers::Provider,
    tls_server::{TlsServer, http_ok},
    tokens::{NOW, cause, with},
    world::{NOW_MS, World, get},
};
use crate::{
    Cause, Verdict,
    authenticate::{JWKS_BYTES_MAX, KubernetesConfig, Place, ProofConfig, TokenReview},
    store::Change,
};

/// A cluster with its API server, and the file of the gate's own token.
struct Reviewed {
    cluster: Cluster,
    api: TlsServer,
}

impl Reviewed {
    /// Its API server vouches for every token of the one account.
    async fn new() -> Self {
        let cluster = Cluster::new();
        let folder = cluster.0.folder.path();
        std::fs::write(folder.join("token"), "gate-1").unwrap();
        let api = TlsServer::start(folder, review(&vouched())).await;
        Self { cluster, api }
    }

    fn config(&self) -> KubernetesConfig {
        let api = Place {
            url: self.api.url.clone(),
            ca_file: Some(self.api.ca.clone()),
            token_file: Some(self.cluster.0.folder.path().join("token")),
        };
        let cache_secs = 10;
        Cluster::proven_by(ProofConfig::TokenReview(TokenReview { api, cache_secs }))
    }

    async fn gate(&self) -> World {
        gate_of("scopegate", vec![self.config()], Vec::new()).await
    }

    fn token(&self, changes: Value) -> String {
        self.cluster.token(changes)
    }
}

fn vouched() -> Value {
    json!({
        "authenticated": true,
        "user": {
            "username": ACCOUNT, "uid": "5d1f",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:monitoring", "system:authenticated"],
            "extra": { "authentication.kubernetes.io/pod-name": ["agent-7d9f"] },
        },
        "audiences": ["scopegate"],
    })
}

/// A review as an API server has made it.
fn made(status: &Value) -> Value {
    json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": null }, "spec": { "token": "…" }, "status": status,
    })
}

fn review(status: &Value) -> String {
    http_ok(&made(status).to_string()).replace("200 OK", "201 Created")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_is_asked_about_a_token_for_a_short_time_once() {
    let reviewed = Reviewed::new().await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let requests = Arc::clone(&seen);
    reviewed.api.answers(move |request| {
        requests.lock().push(request.to_owned());
        Some(review(&vouched()))
    });
    let world = Arc::new(reviewed.gate().await);
    let good = reviewed.token(json!({}));
    let at = |ms: i64| metrics(&good).at(NOW_MS + ms);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (world, request) = (Arc::clone(&world), at(0));
            tokio::spawn(async move { request.status(&world).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(reviewed.api.requests(), 1, "one question for all who wait");
    let request = seen.lock()[0].clone();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\n"));
    let head = head.to_lowercase();
    assert!(
        head.contains("\r\nauthorization: bearer gate-1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/json\r\n"),
        "{head}"
    );
    let asked: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        asked,
        json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": { "token": good, "audiences": ["scopegate", "costs"] },
        })
    );
    // For ten seconds, and then with the token that the gate has by then. A minute later its bucket has room again.
    let folder = reviewed.cluster.0.folder.path();
    std::fs::write(folder.join("token"), "gate-2\n").unwrap();
    let known = at(9_999).status(&world).await;
    assert!(matches!(known, 200 | 429));
    assert_eq!(reviewed.api.requests(), 1);
    assert_eq!(at(130_000).status(&world).await, 200);
    assert_eq!(reviewed.api.requests(), 2);
    assert!(
        seen.lock()[1]
            .to_lowercase()
            .contains("authorization: bearer gate-2\r\n")
    );
    // Never beyond the token's end.
    let end = (NOW + 3540) * 1000 - NOW_MS;
    assert_eq!(at(end - 1).status(&world).await, 200);
    assert_eq!(at(end).cause(&world).await, Cause::TokenExpired);
    assert_eq!(reviewed.api.requests(), 3);
    assert!(!world.text_of_log().await.contains("eyJ"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_vouch_for_is_refused() {
    let reviewed = Reviewed::new().await;
    let world = reviewed.gate().await;
    let changed = |changes: Value| with(&vouched(), changes);
    let user = |username: &str, uid: &str| json!({ "user": { "username": username, "uid": uid } });
    let invalid = Cause::InvalidToken;
    let token = reviewed.token(json!({}));
    for (status, expected) in [
        (
            changed(json!({ "authenticated": null })),
            invalid("token review"),
        ),
        (
            changed(json!({ "authenticated": false })),
            invalid("token review"),
        ),
        (
            changed(json!({ "error": "[invalid bearer token, token lookup failed]" })),
            invalid("token review"),
        ),
        (json!({}), invalid("token review")),
        (changed(json!({ "audiences": null })), invalid("audience")),
        (changed(json!({ "audiences": [] })), invalid("audience")),
        (
            changed(json!({ "audiences": [ISSUER] })),
            invalid("audience"),
        ),
        (changed(json!({ "user": null })), invalid("service account")),
        (
            changed(user("system:serviceaccount:monitoring:admin", "5d1f")),
            invalid("service account"),
        ),
        (
            changed(user("kubernetes-admin", "5d1f")),
            invalid("service account"),
        ),
        (changed(user("", "")), invalid("service account")),
        // Another account of the same name: the one that the token was made for was deleted.
        (changed(user(ACCOUNT, "6e2a")), invalid("service account")),
    ] {
        reviewed.api.replies(review(&status));
        let before = reviewed.api.requests();
        assert_eq!(cause(&world, &token).await, expected, "{status}");
        assert_eq!(cause(&world, &token).await, expected, "{status}");
        assert_eq!(reviewed.api.requests(), before + 2, "nothing of it is kept");
    }
    reviewed.api.replies(review(&vouched()));
    assert_eq!(metrics(&token).status(&world).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_vouches_for_nobody() {
    let reviewed = Reviewed::new().await;
    let elsewhere = TlsServer::start(tempfile::tempdir().unwrap().path(), review(&vouched())).await;
    let world = reviewed.gate().await;
    let known = reviewed.token(json!({ "jti": "known" }));
    assert_eq!(metrics(&known).status(&world).await, 200);
    let token = reviewed.token(json!({}));
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n");
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url
    );
    let good = review(&vouched());
    let (head, body) = good.split_once("\r\n\r\n").unwrap();
    let padding = " ".repeat(JWKS_BYTES_MAX);
    let length = format!("content-length: {}", body.len());
    let longer = format!("content-length: {}", body.len() + padding.len());
    let huge = format!("{}\r\n\r\n{body}{padding}", head.replace(&length, &longer));
    let endless = format!("{}\r\n\r\n{body}{padding}", head.replace(&length, "x: y"));
    let odd = |changes| http_ok(&with(&made(&vouched()), changes).to_string());
    for reply in [
        status("500 Internal Server Error"),
        status("401 Unauthorized"),
        status("403 Forbidden"),
        status("429 Too Many Requests"),
        status("204 No Content"),
        redirect,
        huge,
        endless,
        http_ok(""),
        http_ok("nonsense"),
        http_ok("{}"),
        http_ok(&json!({ "status": vouched() }).to_string()),
        odd(json!({ "kind": "SubjectAccessReview" })),
        odd(json!({ "kind": null })),
        odd(json!({ "apiVersion": "authentication.k8s.io/v2" })),
        odd(json!({ "status": null })),
        odd(json!({ "status": { "authenticated": "true" } })),
        odd(json!({ "status": { "authenticated": 1 } })),
        "nonsense".to_owned(),
    ] {
        reviewed.api.replies(reply.clone());
        let Verdict::Refuse(refusal) = metrics(&token).on(&world).await else {
            panic!("{reply}");
        };
        assert!(matches!(refusal.cause, Cause::Unavailable(_)), "{reply}");
        assert_eq!(refusal.status, 503);
    }
    assert_eq!(elsewhere.requests(), 0);
    // Without the gate's own token, too.
    reviewed.api.replies(good);
    let own = reviewed.cluster.0.folder.path().join("token");
    for wrong in ["", "\n", "a\nb"] {
        std::fs::write(&own, wrong).unwrap();
        assert!(matches!(
            metrics(&token).cause(&world).await,
            Cause::Unavailable(_)
        ));
    }
    std::fs::remove_file(&own).unwrap();
    let before = reviewed.api.requests();
    assert!(matches!(
        metrics(&token).cause(&world).await,
        Cause::Unavailable(_)
    ));
    assert_eq!(reviewed.api.requests(), before);
    // Who was vouched for a moment ago goes on, and for no longer.
    assert_eq!(metrics(&known).at(NOW_MS + 9_999).status(&world).await, 200);
    let later = metrics(&known).at(NOW_MS + 10_000);
    assert!(matches!(later.cause(&world).await, Cause::Unavailable(_)));
    // It is not the caller's failure.
    let bad = get("/v1/organization").bearer("bad").refused(&world).await;
    assert_eq!(bad.headers["x-ratelimit-remaining"], "99");
}

#[tokio::test]
async fn an_api_server_that_never_answers_is_not_waited_for() {
    let reviewed = Reviewed::new().await;
    let world = reviewed.gate().await;
    reviewed.api.answers(|_| None);
    let token = reviewed.token(json!({}));
    tokio::time::pause();
    let waiting = (0..3).map(|_| metrics(&token)).collect::<Vec<_>>();
    let began = tokio::time::Instant::now();
    let waiting = waiting.iter().map(|request| request.cause(&world));
    for cause in futures_util::future::join_all(waiting).await {
        assert!(matches!(cause, Cause::Unavailable(_)));
    }
    // All of them together no longer than one.
    assert!(began.elapsed() < std::time::Duration::from_secs(6));
}

/// A token that could not be accepted here is shown to nobody, and neither is one of somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_could_be_accepted_is_sent() {
    let reviewed = Reviewed::new().await;
    let people = Provider::new();
    let people_config = people.config(people.fixed());
    let world = gate_of("scopegate", vec![reviewed.config()], vec![people_config]).await;
    let session = world.session(world.admin().await).await;
    assert_eq!(
        get("/v1/organization")
            .bearer(&session)
            .status(&world)
            .await,
        200
    );
    let person = people.token(json!({}));
    assert_eq!(
        get("/v1/organization").bearer(&person).status(&world).await,
        200
    );
    let invalid = Cause::InvalidToken;
    for (changes, expected) in [
        (json!({ "iss": "https://other" }), invalid("issuer")),
        (json!({ "iss": null }), invalid("issuer")),
        (json!({ "aud": [ISSUER] }), invalid("audience")),
        (json!({ "exp": null }), invalid("no expiry")),
        (json!({ "exp": NOW + 86_400 }), invalid("lifetime")),
        (json!({ "exp": NOW }), Cause::TokenExpired),
        (json!({ "nbf": NOW + 1 }), Cause::UnknownCredential),
        (
            Cluster::claims_of("default", "agent", "x"),
            invalid("service account"),
        ),
        (json!({ "sub": "system:admin" }), invalid("service account")),
        (
            json!({ "padding": "x".repeat(16 * 1024) }),
            invalid("too long"),
        ),
    ] {
        let token = reviewed.token(changes.clone());
        assert_eq!(cause(&world, &token).await, expected, "{changes}");
    }
    let good = reviewed.token(json!({}));
    let in_key_header = get("/v1/organization").header("x-api-key", &good);
    assert_eq!(in_key_header.cause(&world).await, Cause::UnknownCredential);
    assert_eq!(reviewed.api.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_too_many_failures_is_let_in_by_what_is_known() {
    let reviewed = Reviewed::new().await;
    let world = reviewed.gate().await;
    let known = reviewed.token(json!({ "jti": "known" }));
    assert_eq!(metrics(&known).status(&world).await, 200);
    for n in 0..100 {
        get("/v1/organization")
            .bearer(&format!("sg_live_{n}"))
            .on(&world)
            .await;
    }
    let fresh = reviewed.token(json!({}));
    assert_eq!(metrics(&fresh).cause(&world).await, Cause::TooManyFailures);
    assert_eq!(metrics(&known).status(&world).await, 200);
    assert_eq!(reviewed.api.requests(), 1);
    assert_eq!(metrics(&fresh).from("192.0.2.2").status(&world).await, 200);
    // Its cluster ends it, whoever vouches for it.
    let delete = Change::DeleteCluster {
        organization: world.fixture.organization,
        id: "prod".into(),
    };
    world.fixture.make(delete).await;
    assert_eq!(cause(&world, &fresh).await, Cause::Revoked);
}

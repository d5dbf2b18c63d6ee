//! Refusals in the contract's words: problem documents, challenges, and the products' own texts.

use serde_json::json;

use crate::harness::{Actor, Key, Reply, World};

fn is_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (status, code),
        "{}",
        reply.body
    );
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    assert!(problem["type"].as_str().unwrap().ends_with(code));
    for member in ["title", "detail"] {
        assert!(!problem[member].as_str().unwrap().is_empty(), "{member}");
    }
    assert_eq!(problem["instance"], reply.header("x-request-id"));
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    if [401, 403, 429].contains(&status) {
        assert_eq!(reply.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn each_status_has_its_problem_document() {
    let world = World::start("scopegate").await;
    let anonymous = world.anonymous();
    let admin = world.session("admin").await;
    is_problem(
        &anonymous.get("/api/v1/clusters/prod").await,
        401,
        "not-authenticated",
    );
    is_problem(&admin.get("/no/such/thing").await, 404, "no-route");
    is_problem(
        &admin.get("/api/v1/clusters/nowhere").await,
        403,
        "cluster-not-allowed",
    );
    is_problem(
        &world
            .session("viewer")
            .await
            .call("DELETE", "/api/v1/clusters/prod")
            .await,
        403,
        "missing-permission",
    );
    is_problem(
        &anonymous.get("/auth/login").await,
        405,
        "method-not-allowed",
    );
    is_problem(&anonymous.get("/-/metrics").await, 404, "no-route");
    is_problem(
        &admin.get("/api/v1/clusters/prod%2Fx").await,
        400,
        "invalid_request",
    );
    let long = json!({ "email": "x@y", "password": "x".repeat(20_000) });
    is_problem(
        &anonymous.post("/auth/login", long).await,
        413,
        "body-too-large",
    );
}

#[tokio::test]
async fn challenges_say_what_is_missing() {
    let world = World::start("scopegate").await;
    let challenge = |reply: Reply| (reply.status, reply.header("www-authenticate").to_owned());
    let path = "/api/v1/clusters/prod";
    assert_eq!(
        challenge(world.anonymous().get(path).await),
        (401, "Bearer realm=\"scopegate\"".into())
    );
    let wrong = challenge(world.bearer("sg_live_nonsense").get(path).await);
    assert_eq!(
        wrong,
        (
            401,
            "Bearer realm=\"scopegate\", error=\"invalid_token\"".into()
        )
    );
    let lacking = challenge(world.session("viewer").await.call("DELETE", path).await);
    assert_eq!(lacking.0, 403);
    assert!(
        lacking
            .1
            .contains("error=\"insufficient_scope\", scope=\"clusters:write\""),
        "{}",
        lacking.1
    );
    assert_eq!(
        challenge(world.session("admin").await.get("/nowhere").await).1,
        ""
    );
}

#[tokio::test]
async fn several_credentials_are_refused_before_any_look_up() {
    let world = World::start("scopegate").await;
    let key = world.key(Key::default()).await;
    let path = "/api/v1/clusters/prod";
    let session = world.session("admin").await;
    let secret = key.credential_value();
    for headers in [
        vec![
            format!("X-API-Key: {secret}"),
            format!("X-API-Key: {secret}"),
        ],
        vec![
            format!("X-API-Key: {secret}"),
            format!("Authorization: {}", session.credential_value()),
        ],
        vec![
            "Authorization: Bearer x".into(),
            format!("Authorization: {}", session.credential_value()),
        ],
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let reply = world
            .raw_request(&format!("GET {path} HTTP/1.1"), &headers)
            .await;
        assert!(reply.starts_with("HTTP/1.1 400"), "{reply}");
        assert!(reply.contains("invalid_request"), "{reply}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn kubeadapt_speaks_its_own_words() {
    let world = World::start("kubeadapt").await;
    let missing = world.anonymous().get("/v1/clusters").await;
    assert_eq!(missing.status, 401);
    assert_eq!(
        missing.body,
        r#"{"detail":"API key required. Use 'Authorization: Bearer <api_key>'"}"#
    );
    let key = world
        .key(Key {
            scopes: &["nodes:read"],
            ..Key::default()
        })
        .await;
    let lacking = key.get("/v1/clusters/prod").await;
    assert_eq!(lacking.status, 403);
    assert_eq!(
        lacking.body,
        r#"{"detail":"Missing required permission: clusters:read"}"#
    );
    assert_eq!(world.anonymous().get("/v1/health").await.status, 200);
}

#[tokio::test]
async fn a_head_request_is_refused_without_a_body() {
    let world = World::start("scopegate").await;
    let reply = world
        .anonymous()
        .call("HEAD", "/api/v1/clusters/prod")
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (401, ""));
    assert_eq!(reply.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_preflight_is_a_request_like_any_other() {
    let world = World::start("scopegate").await;
    let request = world
        .anonymous()
        .request("OPTIONS", "/api/v1/clusters")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "DELETE");
    let reply = world.anonymous().send(request).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("access-control-allow-origin"), "");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn the_credential_is_in_no_reply() {
    let world = World::start("scopegate").await;
    let key = world
        .key(Key {
            owner: "viewer@acme.example",
            ..Key::default()
        })
        .await;
    let mangled = Actor::new(
        &world.url,
        Some(("x-api-key", format!("{}x", key.credential_value()))),
    );
    for reply in [
        key.call("DELETE", "/api/v1/clusters/prod").await,
        mangled.get("/api/v1/clusters/prod").await,
    ] {
        assert!(
            !reply.body.contains(key.credential_value())
                && !format!("{:?}", reply.headers).contains(key.credential_value())
        );
    }
}

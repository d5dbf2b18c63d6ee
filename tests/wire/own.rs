//! The gate's own pages: where they are, and where they are not.

use crate::harness::{Actor, Options, World};

#[tokio::test]
async fn health_is_everywhere_and_the_rest_on_the_management_listener() {
    let world = World::start("k8cost").await;
    let (public, management) = (world.anonymous(), Actor::new(&world.management, None));
    for actor in [&public, &management] {
        let healthy = actor.get("/-/healthy").await;
        assert_eq!(healthy.json()["status"], "ok");
        assert_eq!(healthy.header("x-ratelimit-remaining"), "100");
        assert!(!healthy.header("x-request-id").is_empty());
        let ready = actor.get("/-/ready").await;
        assert_eq!(
            (ready.status, ready.json()["store"].as_bool()),
            (200, Some(true))
        );
        let wrong = actor.call("POST", "/-/healthy").await;
        assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD"));
        assert_eq!(actor.call("HEAD", "/-/healthy").await.body, "");
    }
    let ready = |actor: Actor| async move { actor.get("/-/ready").await.json() };
    assert!(ready(management.clone()).await["policy"].is_string());
    assert!(ready(public.clone()).await.get("policy").is_none());
    assert_eq!(public.get("/-/metrics").await.status, 404);
    assert_eq!(management.get("/-/metrics").await.status, 200);
    assert_eq!(management.get("/-/nothing").await.status, 404);
    assert_eq!(management.get("/api/v1/health").await.status, 404);
    assert_eq!(management.call("POST", "/auth/login").await.status, 404);
}

#[tokio::test]
async fn sharing_the_public_listener_is_a_choice() {
    let world = World::with(Options {
        shared: true,
        ..Options::of("k8cost")
    })
    .await;
    assert_eq!(world.anonymous().get("/-/metrics").await.status, 200);
}

/// `/-/` is the gate's, however it is spelt and whatever the policy says.
#[tokio::test]
async fn nothing_under_the_gates_own_path_reaches_the_upstream() {
    const OPEN: &str = "policy: open\npermissions:\n  all:read: { category: All, unlocks: All }\nroles: { admin: ['*'], editor: ['*'], viewer: ['*'] }\nroutes:\n  - { match: 'GET /**', public: true }\n";
    let world = World::with(Options {
        policy: Some(OPEN),
        ..Options::of("k8cost")
    })
    .await;
    assert_eq!(world.anonymous().get("/anything").await.status, 200);
    let before = world.upstream.count();
    for path in [
        "/-/metrics",
        "/-/api/keys",
        "/%2D/metrics",
        "//-/metrics",
        "/x/../-/metrics",
        "/-",
        "/./auth/login",
        "/auth//login",
    ] {
        let reply = world
            .raw_request(&format!("GET {path} HTTP/1.1"), &[])
            .await;
        let status = crate::harness::raw::status_of(&reply);
        assert!([401, 404, 405].contains(&status), "{path}: {reply}");
    }
    assert_eq!(world.upstream.count(), before);
}

#[tokio::test]
async fn metrics_name_no_secrets_and_no_tenants() {
    let world = World::start("k8cost").await;
    let key = world.key(crate::harness::Key::default()).await;
    key.get("/api/v1/clusters/prod").await;
    key.call("DELETE", "/api/v1/clusters/nowhere").await;
    world
        .with_key("k8c_live_wrong")
        .get("/api/v1/clusters/prod")
        .await;
    let metrics = Actor::new(&world.management, None)
        .get("/-/metrics")
        .await
        .body;
    assert!(metrics.contains("scopegate_"), "{metrics}");
    for secret in [
        key.credential_value(),
        "acme",
        "admin@",
        "prod",
        &world.organization.to_string(),
    ] {
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
    }
}

//! What changes at the gate reaches the filter within a tick, and a gate that says nothing is not believed for long.

use std::time::{Duration, Instant};

use super::envoy::{Envoy, Setup, TICK, answers_filters};
use crate::harness::{Actor, Key, Options, World};

const POLICY: &str = "\
policy: two
permissions:
  clusters:read: { category: Clusters, unlocks: Clusters }
  nodes:read: { category: Nodes, unlocks: Nodes }
roles:
  viewer: [clusters:read]
  editor: [clusters:read, nodes:read]
  admin: [\"*\"]
routes:
  - { match: GET /v1/health, public: true }
  - { match: GET /v1/things, requires: clusters:read, cluster: none }
  - { match: GET /v1/nodes, requires: nodes:read, cluster: none }
";

async fn world() -> World {
    World::with(answers_filters(Options::of("scopegate"))).await
}

/// How long it takes until an actor gets this status.
async fn until(actor: &Actor, path: &str, status: u16) -> Duration {
    let since = Instant::now();
    loop {
        let reply = actor.get(path).await;
        if reply.status == status {
            return since.elapsed();
        }
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "still {} {}",
            reply.status,
            reply.body
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every worker thread has seen the credential.
async fn warm(actor: &Actor, path: &str) {
    for _ in 0..20 {
        assert_eq!(actor.get(path).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_within_the_tick() {
    let world = world().await;
    let setup = Setup {
        tick: Duration::from_secs(1),
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    // What a busy machine takes besides.
    let late = Duration::from_secs(2);
    for _ in 0..3 {
        let key = world
            .key(Key {
                scopes: &["clusters:read"],
                ..Key::default()
            })
            .await;
        let through = envoy.through(&key);
        warm(&through, "/v1/things").await;
        world.revoke(&key).await;
        let took = until(&through, "/v1/things", 401).await;
        assert!(took < Duration::from_secs(1) + late, "{took:?}");
        // And with every thread: nothing flickers.
        tokio::time::sleep(late).await;
        for _ in 0..20 {
            let reply = through.get("/v1/things").await;
            assert_eq!((reply.status, reply.code().as_str()), (401, "revoked"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_user_reaches_the_filter() {
    use scopegate_host::admin::Command;

    let world = world().await;
    let envoy = Envoy::start(&world, Setup::of(POLICY)).await;
    let editor = envoy.through(&world.session("editor").await);
    warm(&editor, "/v1/nodes").await;
    let email = "editor@acme.example".to_owned();
    let role = "viewer".to_owned();
    let set = Command::UserSetRole {
        email: email.clone(),
        role,
    };
    world.command(set).await.expect("done");
    until(&editor, "/v1/nodes", 403).await;
    warm(&editor, "/v1/things").await;
    world
        .command(Command::UserDisable { email })
        .await
        .expect("done");
    until(&editor, "/v1/things", 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_away_is_missed_after_two_ticks() {
    let mut world = world().await;
    let setup = Setup {
        tick: Duration::from_millis(500),
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    let known = envoy.through(&world.session("viewer").await);
    let other = envoy.through(&world.session("editor").await);
    let anyone = envoy.through(&world.anonymous());
    warm(&known, "/v1/things").await;
    world.shutdown().await;
    // Whom the filter does not know it cannot tell from nobody.
    let unknown = other.get("/v1/things").await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (503, "unavailable")
    );
    assert!(!unknown.header("retry-after").is_empty());
    let took = until(&known, "/v1/things", 503).await;
    assert!(took < Duration::from_secs(4), "{took:?}");
    let before = world.upstream.count();
    for _ in 0..20 {
        assert_eq!(known.get("/v1/things").await.status, 503);
    }
    assert_eq!(
        anyone.get("/v1/health").await.status,
        200,
        "this asks nobody"
    );
    assert_eq!(world.upstream.count(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_with_another_secret_gets_nothing() {
    let world = world().await;
    let setup = Setup {
        adjust: |filter| filter["gate"]["secret"] = "another-secret-of-thirty-two-bytes".into(),
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    let viewer = envoy.through(&world.session("viewer").await);
    assert_eq!(viewer.get("/v1/things").await.status, 503);
    assert_eq!(world.upstream.count(), 0);
}

/// The gate's own side: whom it answers, and what.
#[tokio::test(flavor = "multi_thread")]
async fn the_gate_answers_filters_and_nobody_else() {
    use serde_json::json;

    use super::envoy::SECRET;

    let open = world().await;
    let key = open
        .key(Key {
            scopes: &["clusters:read"],
            ..Key::default()
        })
        .await;
    let secret = key
        .credential_value()
        .trim_start_matches("Bearer ")
        .to_owned();
    let ask = json!({ "kind": "key", "credential": secret });
    let filter = |secret: &str| {
        Actor::new(
            &open.url,
            Some(("authorization", format!("Bearer {secret}"))),
        )
    };
    let path = "/-/filter/introspect";

    let told = filter(SECRET).post(path, ask.clone()).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let told = told.json();
    assert_eq!(told["answer"]["known"]["credential"], json!(key.id));
    assert!(!told.to_string().contains(&secret));
    // In the place of a token it is none.
    let as_token = json!({ "kind": "token", "credential": secret });
    let as_token = filter(SECRET).post(path, as_token).await.json();
    assert_eq!(as_token["answer"]["refused"], "unknown-credential");
    let nonsense = filter(SECRET).post(path, json!({ "credential": 7 })).await;
    assert_eq!(nonsense.status, 400);

    let news = filter(SECRET).get("/-/filter/changes").await.json();
    assert_eq!(news["stale"], json!(null));
    let position = news["position"].clone();
    let here = format!(
        "/-/filter/changes?{}.{}",
        position["run"].as_str().expect("a run"),
        position["sequence"]
    );
    assert_eq!(filter(SECRET).get(&here).await.json()["stale"], json!([]));
    open.revoke(&key).await;
    let stale = filter(SECRET).get(&here).await.json()["stale"].clone();
    assert_eq!(stale, json!([{ "rotations": key.id }]));
    let told = filter(SECRET).post(path, ask.clone()).await.json();
    assert_eq!(told["answer"]["refused"], "revoked");

    // Guesses are counted, and the right secret is not kept out by them.
    let mut statuses = Vec::new();
    for _ in 0..=open.contract.limits.failures {
        statuses.push(filter("wrong").post(path, ask.clone()).await.status);
    }
    assert_eq!((statuses[0], statuses.pop()), (401, Some(429)));
    assert_eq!(filter(SECRET).post(path, ask.clone()).await.status, 200);
    assert_eq!(open.anonymous().get("/-/filter/changes").await.status, 429);

    let untrusted = World::with(Options {
        trusted_proxies: &["192.0.2.0/24"],
        ..answers_filters(Options::of("scopegate"))
    });
    let closed = World::with(Options {
        filters: None,
        ..answers_filters(Options::of("scopegate"))
    });
    for world in [untrusted.await, closed.await] {
        let actor = Actor::new(
            &world.url,
            Some(("authorization", format!("Bearer {SECRET}"))),
        );
        assert_eq!(actor.post(path, ask.clone()).await.status, 404);
        assert_eq!(actor.get("/-/filter/changes").await.status, 404);
    }
    let _ = TICK;
}

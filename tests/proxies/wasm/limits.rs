//! Limits inside one Envoy, over all its threads; and what the filter keeps.

use std::sync::Arc;

use serde_json::json;

use super::envoy::{Envoy, Setup, answers_filters};
use crate::harness::{Actor, Key, Options, World};

const POLICY: &str = "\
policy: limited
permissions:
  clusters:read: { category: Clusters, unlocks: Clusters }
roles:
  viewer: [clusters:read]
  editor: [clusters:read]
  admin: [\"*\"]
routes:
  - { match: GET /v1/open, public: true }
  - { match: GET /v1/things, requires: clusters:read, cluster: none }
";

/// Sends so many requests from 16 clients at once: how many were let in, and how many met the limit.
async fn storm(actor: &Actor, path: &'static str, each: usize) -> (usize, usize) {
    let actor = Arc::new(actor.clone());
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let actor = Arc::clone(&actor);
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                for _ in 0..each {
                    let reply = actor.get(path).await;
                    assert!(!reply.header("x-ratelimit-limit").is_empty());
                    assert!(!reply.header("x-ratelimit-remaining").is_empty());
                    assert!(!reply.header("x-ratelimit-reset").is_empty());
                    statuses.push(reply.status);
                }
                statuses
            })
        })
        .collect();
    let (mut admitted, mut limited) = (0, 0);
    for client in clients {
        for status in client.await.expect("no panic") {
            match status {
                200 => admitted += 1,
                429 => limited += 1,
                other => panic!("{other}"),
            }
        }
    }
    (admitted, limited)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_clients_and_two_threads_get_exactly_the_limit() {
    let world = World::with(Options {
        adjust: |contract| contract.limits.api_key = 150,
        ..answers_filters(Options::of("scopegate"))
    });
    let world = world.await;
    let setup = Setup {
        adjust: |filter| filter["contract"]["limits"]["anonymous"] = json!(70),
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    let key = world
        .key(Key {
            scopes: &["clusters:read"],
            ..Key::default()
        })
        .await;
    let key = envoy.through(&key);
    assert_eq!(storm(&key, "/v1/things", 25).await, (150, 250));
    let refused = key.get("/v1/things").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "rate-limited")
    );
    assert_eq!(refused.header("x-ratelimit-limit"), "150");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert!(!refused.header("retry-after").is_empty());

    let anyone = envoy.through(&world.anonymous());
    assert_eq!(storm(&anyone, "/v1/open", 10).await, (70, 90));
    assert_eq!(world.upstream.count(), 220);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_credentials_count_against_their_address_and_keep_out_only_who_is_unknown() {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let setup = Setup {
        adjust: |filter| filter["contract"]["limits"]["failures"] = json!(10),
        threads: 1,
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    let viewer = envoy.through(&world.session("viewer").await);
    let editor = envoy.through(&world.session("editor").await);
    assert_eq!(viewer.get("/v1/things").await.status, 200);
    let guess = Actor::new(
        &format!("http://{}", envoy.address),
        Some(("x-api-key", "a-guess-of-a-key".to_owned())),
    );
    for left in (0..10).rev() {
        let reply = guess.get("/v1/things").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "unknown-credential")
        );
        assert_eq!(reply.header("x-ratelimit-remaining"), left.to_string());
    }
    for actor in [&guess, &editor, &envoy.through(&world.anonymous())] {
        let reply = actor.get("/v1/things").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (429, "too-many-failures")
        );
    }
    assert_eq!(
        viewer.get("/v1/things").await.status,
        200,
        "it is known already"
    );
    let elsewhere = editor
        .get_with("/v1/things", &[("x-forwarded-for", "203.0.113.7")])
        .await;
    assert_eq!(elsewhere.status, 200);
}

/// How many questions about credentials this gate was asked.
async fn asked(world: &World) -> usize {
    let lines = world.audit_lines().await;
    // Questions leave no record: what they are counted by is the sum over all worlds, so this counts nothing.
    assert!(
        lines
            .iter()
            .all(|line| line["path"] != "/-/filter/introspect")
    );
    let metrics = Actor::new(&world.management, None).get("/-/metrics").await;
    let line = metrics
        .body
        .lines()
        .find_map(|line| line.strip_prefix("scopegate_filter_questions_total "));
    line.map_or(0, |count| count.trim().parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_kept_than_was_said() {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let setup = Setup {
        adjust: |filter| filter["cache"] = json!({ "entries": 8, "seconds": 300 }),
        threads: 1,
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    let mut keys = Vec::new();
    for _ in 0..40 {
        let key = world
            .key(Key {
                scopes: &["clusters:read"],
                ..Key::default()
            })
            .await;
        keys.push(envoy.through(&key));
    }
    let before = asked(&world).await;
    for _ in 0..2 {
        for key in &keys {
            assert_eq!(key.get("/v1/things").await.status, 200);
        }
    }
    let both = asked(&world).await - before;
    assert!(
        both >= 40 + 40 - 8,
        "{both} questions for 40 keys, twice, with room for 8"
    );
    let before = asked(&world).await;
    for _ in 0..20 {
        assert_eq!(keys[0].get("/v1/things").await.status, 200);
    }
    let busy = asked(&world).await - before;
    assert!(busy <= 2, "{busy} questions for one key");
}

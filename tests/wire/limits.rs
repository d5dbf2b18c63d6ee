//! The limits' headers are on every response, and a used-up limit is a 429 that says when to come back.

use std::time::Duration;

use crate::harness::{Key, Options, Reply, START_MS, World};

const PATH: &str = "/api/v1/clusters/prod";

fn state(reply: &Reply) -> (String, String, String) {
    let header = |name: &str| reply.header(&format!("x-ratelimit-{name}")).to_owned();
    (header("limit"), header("remaining"), header("reset"))
}

fn expected(limit: u32, remaining: u32) -> (String, String, String) {
    (
        limit.to_string(),
        remaining.to_string(),
        (START_MS / 1000 + 60).to_string(),
    )
}

#[tokio::test]
async fn every_kind_has_its_own_and_refusals_show_it() {
    let world = World::start("k8cost").await;
    let key = world
        .key(Key {
            owner: "viewer@acme.example",
            ..Key::default()
        })
        .await;
    assert_eq!(state(&key.get(PATH).await), expected(200, 199));
    let refused = key.call("DELETE", PATH).await;
    assert_eq!((refused.status, state(&refused)), (403, expected(200, 198)));
    let missing = key.get("/nowhere").await;
    assert_eq!((missing.status, state(&missing)), (404, expected(200, 197)));
    let session = world.session("admin").await;
    assert_eq!(state(&session.get(PATH).await), expected(100, 99));
    let agent = world.agent("prod").await;
    assert_eq!(state(&agent.get(PATH).await), expected(20, 19));
    for path in [
        "/nowhere",
        "/api/v1/health",
        "/auth/login",
        "/-/nothing",
        "/a/..%2f",
    ] {
        assert!(
            !world
                .anonymous()
                .get(path)
                .await
                .header("x-ratelimit-limit")
                .is_empty(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_used_up_limit_is_429_until_the_window_moves_on() {
    let world = World::start("k8cost").await;
    let agent = world.agent("prod").await;
    for left in (0..20).rev() {
        let reply = agent.post("/api/v1/metrics", serde_json::json!({})).await;
        assert_eq!((reply.status, state(&reply)), (200, expected(20, left)));
    }
    let limited = agent.get(PATH).await;
    assert_eq!(
        (limited.status, limited.code().as_str()),
        (429, "rate-limited")
    );
    assert_eq!(state(&limited), expected(20, 0));
    assert_eq!(limited.header("cache-control"), "no-store");
    assert_eq!(limited.header("www-authenticate"), "");
    assert!(limited.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(world.upstream.count(), 20);
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(
        agent
            .post("/api/v1/metrics", serde_json::json!({}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn concurrency_admits_exactly_the_limit() {
    let world = World::start("k8cost").await;
    let agent = world.agent("prod").await;
    let calls = (0..60).map(|_| {
        let agent = agent.clone();
        tokio::spawn(async move {
            agent
                .post("/api/v1/metrics", serde_json::json!({}))
                .await
                .status
        })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        admitted += u32::from(call.await.unwrap() == 200);
    }
    assert_eq!(admitted, 20);
}

#[tokio::test]
async fn an_upstream_cannot_overwrite_the_state() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|_| {
        let mut reply = crate::harness::json_reply(200, serde_json::json!({}));
        reply
            .headers_mut()
            .append("x-ratelimit-limit", "9999".parse().unwrap());
        reply
            .headers_mut()
            .append("x-request-id", "theirs".parse().unwrap());
        reply
    });
    let reply = world.key(Key::default()).await.get(PATH).await;
    assert_eq!(state(&reply), expected(200, 199));
    assert_eq!(reply.headers.get_all("x-ratelimit-limit").iter().count(), 1);
    assert_eq!(
        reply.header("x-request-id"),
        world.upstream.last().header("x-request-id")
    );
}

#[tokio::test]
async fn rejected_credentials_count_against_the_address() {
    let options = Options {
        adjust: |contract| contract.limits.failures = 3,
        ..Options::of("k8cost")
    };
    let world = World::with(options).await;
    let good = world.key(Key::default()).await;
    assert_eq!(good.get(PATH).await.status, 200);
    let bad = world.with_key("k8c_live_wrong");
    for _ in 0..3 {
        let reply = bad.get(PATH).await;
        assert_eq!(
            (reply.status, reply.header("x-ratelimit-limit")),
            (401, "3")
        );
    }
    assert_eq!(bad.get(PATH).await.status, 429);
    // Who is known already gets in from the same address.
    assert_eq!(good.get(PATH).await.status, 200);
}

//! Limits by kind of credential, by user, under concurrency, on every response.

use std::sync::Arc;

use super::world::{Ask, NOW_MS, World, ask, get, limits};
use crate::{Cause, Verdict, limit};

/// How many of `calls` are admitted.
async fn admitted(world: &World, request: &Ask, calls: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..calls {
        admitted += u32::from(request.status(world).await != 429);
    }
    admitted
}

/// K8C-13, K8C-14.
#[tokio::test]
async fn each_kind_has_its_limit() {
    let world = World::new("k8cost").await;
    let owner = world.admin().await;
    let session = get("/v1/organization").bearer(&world.session(owner).await);
    let key = get("/v1/organization").header("x-api-key", &world.key(Some(owner), |_| {}).await);
    let agent = ask("POST", "/v1/metrics").bearer(&world.agent("prod").await);
    for (request, limit) in [(session, 100), (key, 200), (agent, 20)] {
        assert_eq!(admitted(&world, &request, limit + 30).await, limit);
        let refusal = request.refused(&world).await;
        assert_eq!(refusal.cause, Cause::RateLimited);
        assert_eq!(limits(&refusal.headers), (limit, 0));
        assert!(
            refusal.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
                >= 1
        );
    }
    assert_eq!(admitted(&world, &get("/v1/health"), 130).await, 100);
}

#[tokio::test]
async fn the_state_is_on_admissions_and_denials() {
    let world = World::new("k8cost").await;
    let owner = world.fixture.user("v@example.com", "viewer").await;
    let key = world.key(Some(owner), |_| {}).await;
    let admission = get("/v1/organization")
        .header("x-api-key", &key)
        .admitted(&world)
        .await;
    let header = |name: &str| {
        let found = admission.response.iter().find(|(known, _)| known == name);
        found.unwrap().1.to_str().unwrap().to_owned()
    };
    assert_eq!(header("x-ratelimit-limit"), "200");
    assert_eq!(header("x-ratelimit-remaining"), "199");
    assert_eq!(
        header("x-ratelimit-reset"),
        ((NOW_MS / 60_000 + 1) * 60).to_string()
    );
    assert_eq!(header("x-request-id"), admission.request_id.to_string());
    // A refusal by the policy counts against the credential.
    let denied = ask("PATCH", "/v1/clusters/prod")
        .header("x-api-key", &key)
        .refused(&world)
        .await;
    assert_eq!(
        (denied.status.as_u16(), limits(&denied.headers)),
        (403, (200, 198))
    );
    let again = world
        .gate
        .refuse_admitted(Cause::GatewayTimeout, &admission)
        .await;
    assert_eq!(limits(&again.headers), (200, 199));
    assert_eq!(
        again.headers["x-request-id"],
        admission.request_id.to_string().as_str()
    );
    // Its end is in the log beside its admission.
    let log = world.log().await;
    let of_it: Vec<_> = log
        .iter()
        .filter(|line| line["request_id"] == admission.request_id.to_string())
        .map(|line| (line["outcome"].as_str(), line["reason"].as_str()))
        .collect();
    assert_eq!(
        of_it,
        [
            (Some("admit"), None),
            (Some("refuse"), Some("gateway-timeout"))
        ]
    );
}

/// Somebody who goes on over their limit cannot fill the disk with it.
#[tokio::test]
async fn calls_over_a_limit_are_counted_in_the_log() {
    let world = World::new("k8cost").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    let request = get("/v1/organization").header("x-api-key", &key);
    for _ in 0..300 {
        request.status(&world).await;
    }
    let next = request.clone().at(NOW_MS + 60_000);
    assert_eq!(next.status(&world).await, 429);
    let log = world.log().await;
    let refused: Vec<_> = log
        .iter()
        .filter(|line| line["reason"] == "rate-limited")
        .collect();
    assert_eq!(
        refused.len(),
        12,
        "ten, the rest as one, and the next minute's"
    );
    assert_eq!(refused[10]["count"], 90);
    assert_eq!(refused[10]["credential"], refused[0]["credential"]);
}

/// KV-08.
#[tokio::test]
async fn kubevision_has_one_bucket_for_a_user() {
    let world = World::new("kubevision").await;
    let owner = world.admin().await;
    let sessions = [world.session(owner).await, world.session(owner).await];
    let key = world.key(Some(owner), |_| {}).await;
    let by_session = |n: usize| get("/v1/organization").bearer(&sessions[n]);
    let by_key = get("/v1/organization").header("authorization", &format!("ApiKey {key}"));
    assert_eq!(admitted(&world, &by_session(0), 40).await, 40);
    assert_eq!(admitted(&world, &by_key, 40).await, 40);
    assert_eq!(admitted(&world, &by_session(1), 40).await, 20);
    assert_eq!(by_key.status(&world).await, 429);
    let other = world.key(Some(world.admin().await), |_| {}).await;
    assert_eq!(
        get("/v1/organization")
            .header("authorization", &format!("ApiKey {other}"))
            .status(&world)
            .await,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrency_admits_exactly_what_the_arithmetic_says() {
    let world = Arc::new(World::new("k8cost").await);
    let key = world.key(Some(world.admin().await), |_| {}).await;
    let mut cells = limit::Cells::default();
    // A minute from nothing, one after a full one, and one after a half-full one.
    for (now_ms, calls) in [
        (NOW_MS, 300),
        (NOW_MS + 90_000, 300),
        (NOW_MS + 120_000, 50),
        (NOW_MS + 180_000, 300),
    ] {
        let expected = (0..calls).filter(|_| {
            let (next, taken) = limit::take(limit::Window::MINUTE, cells, 200, now_ms);
            cells = next;
            taken.admitted
        });
        let expected = expected.count();
        let request = get("/v1/organization").header("x-api-key", &key).at(now_ms);
        let tasks: Vec<_> = (0..calls)
            .map(|_| {
                let (world, request) = (Arc::clone(&world), request.clone());
                tokio::spawn(async move { matches!(request.on(&world).await, Verdict::Admit(_)) })
            })
            .collect();
        let mut admitted = 0;
        for task in tasks {
            admitted += usize::from(task.await.unwrap());
        }
        assert_eq!(admitted, expected, "at {now_ms}");
    }
}

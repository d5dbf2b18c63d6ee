//! An active policy that fails for good is taken back by the gate itself; one that somebody makes fail now and then is not.

use std::time::Duration;

use scopegate_host::{
    policies::PolicyCommand,
    store::{PolicySource, PolicyVersion},
};
use serde_json::Value;

use super::{active, by_hand, by_hand_of, component, on_the_machine, operator, push_there, world};
use crate::harness::{Actor, World};

/// Sends what the policy [`by_hand`] traps over.
async fn fail(actor: &Actor, count: usize) {
    for _ in 0..count {
        let reply = actor.call("DELETE", "/v1/clusters/prod").await;
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert_eq!(reply.code(), "policy-fault");
    }
}

/// Sends what it refuses in order.
async fn succeed(actor: &Actor, count: usize) {
    for _ in 0..count {
        assert_eq!(actor.get("/v1/clusters/prod").await.code(), "no-route");
    }
}

async fn soon(world: &World, digest: &str) {
    for _ in 0..400 {
        if active(world) == digest {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("`{}` serves instead of `{digest}`", active(world));
}

/// Long enough for whatever would be done about a fault.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

async fn versions(world: &World) -> Vec<PolicyVersion> {
    let versions = world.running().policies().versions().await;
    versions.expect("versions")
}

async fn activations(world: &World) -> Vec<Value> {
    let mut lines = world.audit_lines().await;
    lines.retain(|line| line["action"] == "policy.activate");
    lines
}

#[tokio::test]
async fn a_policy_that_fails_for_good_is_taken_back_loudly() {
    let world = world().await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    // Two of them to go back to: the newest that is good is taken.
    push_there(&world, component(2, "")).await;
    let second = active(&world);
    push_there(&world, by_hand()).await;
    let failing = active(&world);

    fail(&viewer, 19).await;
    a_while().await;
    assert_eq!(active(&world), failing);
    fail(&viewer, 1).await;
    soon(&world, &second).await;
    assert_eq!(viewer.get("/v1/clusters/prod").await.status, 200);

    let last = activations(&world).await.pop().expect("a record");
    assert_eq!(
        (&last["subject"], &last["actor"], &last["detail"]["source"]),
        (&second.as_str().into(), &"gate".into(), &"fault".into())
    );
    assert_eq!(last["detail"]["replaces"], failing);
    let metrics = world.manages(&viewer).get("/-/metrics").await.body;
    assert!(
        metrics.contains("scopegate_policy_taken_back_total{outcome=\"done\"}"),
        "{metrics}"
    );
    // It stays where it is: nobody needs a further look, and whoever goes back without a name does not meet it again.
    assert_eq!(versions(&world).await[0].source, PolicySource::Fault);
    let back = on_the_machine(&world, PolicyCommand::Rollback { to: None }).await;
    assert_eq!(back.digest, first);
    // Whoever wants it all the same gets it by its name, or pushes it.
    push_there(&world, by_hand()).await;
    assert_eq!(active(&world), failing);
}

#[tokio::test]
async fn going_back_over_the_api_passes_over_one_that_failed() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    push_there(&world, by_hand()).await;
    fail(&viewer, 20).await;
    soon(&world, &first).await;
    // The one that failed is the newest before, by the order alone.
    push_there(&world, component(2, "")).await;
    push_there(&world, by_hand()).await;
    world.clock.advance(Duration::from_secs(10));
    fail(&viewer, 20).await;
    let second = versions(&world).await[1].digest.clone();
    soon(&world, &second).await;
    let done = operator
        .call("POST", "/-/api/policies/previous/activate")
        .await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.json()["digest"], first);
}

#[tokio::test]
async fn a_few_requests_that_make_it_fail_bring_no_older_one_back() {
    let world = world().await;
    push_there(&world, by_hand()).await;
    let failing = active(&world);
    let viewer = world.session("viewer").await;
    let hostile = world.session("editor").await;
    for _ in 0..3 {
        succeed(&viewer, 31).await;
        fail(&hostile, 30).await;
        world.clock.advance(Duration::from_secs(4));
    }
    a_while().await;
    assert_eq!(active(&world), failing);
    let activations = activations(&world).await;
    assert_eq!(activations.last().expect("one")["detail"]["source"], "push");
}

#[tokio::test]
async fn it_is_not_taken_back_again_at_once_and_never_to_one_that_failed() {
    let world = world().await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    push_there(&world, by_hand()).await;
    let failing = active(&world);
    fail(&viewer, 20).await;
    soon(&world, &first).await;

    // Pushed again, it fails again: for ten seconds nothing is done about that.
    push_there(&world, by_hand()).await;
    fail(&viewer, 20).await;
    world.clock.advance(Duration::from_millis(9_999));
    fail(&viewer, 20).await;
    a_while().await;
    assert_eq!(active(&world), failing);
    world.clock.advance(Duration::from_millis(1));
    fail(&viewer, 1).await;
    soon(&world, &first).await;
}

#[tokio::test]
async fn with_no_good_one_left_the_active_one_goes_on() {
    let world = world().await;
    let viewer = world.session("viewer").await;
    // As many as are kept, and all of them fail.
    for number in 0..10 {
        let failing = by_hand_of(&format!("failing-{number}"));
        push_there(&world, failing).await;
    }
    let listed = versions(&world).await;
    for before in &listed[1..] {
        fail(&viewer, 20).await;
        soon(&world, &before.digest).await;
        world.clock.advance(Duration::from_secs(601));
    }
    let last = active(&world);
    fail(&viewer, 20).await;
    a_while().await;
    assert_eq!(active(&world), last);
    let metrics = world.manages(&viewer).get("/-/metrics").await.body;
    let none = "scopegate_policy_taken_back_total{outcome=\"none\"}";
    assert!(metrics.contains(none), "{metrics}");
    // A good one that is pushed is taken at once.
    push_there(&world, component(2, "")).await;
    assert_eq!(viewer.get("/v1/clusters/prod").await.status, 200);
}

//! Envoy that asks over HTTP.

use super::{Kind, modes};
use crate::harness::Key;

/// Whoever provokes a fault of the gate is refused even where the gate's failures let requests through.
#[tokio::test]
async fn a_fault_is_a_refusal_and_no_failure() {
    let mut options = Kind::Envoy.options("scopegate");
    options.policy = Some(modes::OPEN);
    options.people = false;
    let world = crate::harness::World::with(options).await;
    let upstream = super::behind::address_of(&world.upstream.url);
    let gate = world.running().public_addr();
    let proxy = Kind::Envoy
        .start(gate, upstream, |text| {
            text.replace("failure_mode_allow: false", "failure_mode_allow: true")
        })
        .await;
    // The audit's end is a fault of the gate: nothing is admitted unrecorded.
    world.running().gate().close_audit().await;
    let caller = crate::harness::Actor::new(&format!("http://{}", proxy.address), None);
    let reply = caller.get("/open").await;
    assert_eq!(reply.status, 403, "{}", reply.body);
    assert_eq!(reply.code(), "unavailable");
    assert_eq!(world.upstream.count(), 0);
}

/// The client's limit comes with every answer, and its refusals in the gate's own words.
#[tokio::test]
async fn the_reply_is_the_gates_own() {
    let (world, proxy) = Kind::Envoy.world("scopegate").await;
    let caller = modes::through(&proxy, &world.key(Key::default()).await);
    let reply = caller.get("/v1/nothing-here").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "no-route"));
    assert_eq!(reply.header("content-type"), "application/problem+json");
}

//! A gate that is away, silent, broken or somebody else: the filter lets nobody in whom it would have to ask about.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::envoy::{Envoy, Setup, answers_filters};
use crate::{
    harness::{Actor, Options, World, tls},
    proxies::failures::impostors,
};

const POLICY: &str = "\
policy: failures
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
/// The filter waits a second for the gate.
const WITHIN: Duration = Duration::from_secs(8);

async fn is_refused(what: &str, world: &World, envoy: &Envoy, viewer: &Actor) {
    let before = world.upstream.count();
    let through = envoy.through(viewer);
    for path in ["/v1/things", "/v1/open"] {
        let begun = Instant::now();
        let reply = through.get(path).await;
        let shown = format!("{what}: {path}: {reply:?}");
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "unavailable"),
            "{shown}"
        );
        assert_eq!(reply.header("retry-after"), "1", "{shown}");
        assert!(begun.elapsed() < WITHIN, "{shown}");
    }
    let nobody = envoy.through(&world.anonymous());
    assert_eq!(nobody.get("/v1/things").await.status, 401, "{what}");
    assert_eq!(world.upstream.count(), before, "{what}");
    // Nobody has to be asked about this.
    assert_eq!(nobody.get("/v1/open").await.status, 200, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_by_a_gate_that_is_none() {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let viewer = world.session("viewer").await;
    let encrypted = tls::before(world.running().public_addr()).await;
    let mut gates = impostors().await;
    gates.push(("it speaks TLS", encrypted.address));
    for (what, gate) in gates {
        let setup = Setup {
            gate: Some(gate),
            ..Setup::of(POLICY)
        };
        let envoy = Envoy::start(&world, setup).await;
        is_refused(what, &world, &envoy, &viewer).await;
    }
}

fn trusting(authority: &Path) -> Option<Value> {
    Some(json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "localhost",
            "common_tls_context": { "validation_context": {
                "trusted_ca": { "filename": authority },
                "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": "localhost" } }],
            } },
        },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_with_a_wrong_certificate_is_not_asked() {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let viewer = world.session("viewer").await;
    let gate = world.running().public_addr();
    let encrypted = tls::before(gate).await;
    let directory = tempfile::tempdir().expect("a directory");
    let authority = |name: &str, pem: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).expect("written");
        path
    };
    let right = authority("right.pem", &encrypted.authority);
    let wrong = authority("wrong.pem", &encrypted.stranger);
    for (what, gate, authority) in [
        ("another authority", encrypted.address, &wrong),
        ("no TLS", gate, &right),
    ] {
        let setup = Setup {
            gate: Some(gate),
            transport: trusting(authority),
            ..Setup::of(POLICY)
        };
        let envoy = Envoy::start(&world, setup).await;
        is_refused(what, &world, &envoy, &viewer).await;
    }
    // That it was the certificate shows where it is the right one.
    let setup = Setup {
        gate: Some(encrypted.address),
        transport: trusting(&right),
        ..Setup::of(POLICY)
    };
    let envoy = Envoy::start(&world, setup).await;
    let reply = envoy.through(&viewer).get("/v1/things").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

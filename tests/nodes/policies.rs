//! Policies that are activated on one gate: all serve them, and one that cannot find out what is active stops in time.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::Method;
use serde_json::Value;

use super::{
    network::Cable,
    site::{Options, Site},
};
use crate::{
    cli::binary::{run, run_ok},
    shipping::by_hand,
};

/// Of `store`: how long a gate decides without having heard what is active.
const CONTACT_MAX: Duration = Duration::from_secs(4);
/// Another policy: nobody gets at clusters by it.
const CLOSED: &str = "\
policy: closed
permissions:
  metrics:read: { category: Metrics, unlocks: Metrics }
roles:
  viewer: [metrics:read]
  editor: [metrics:read]
  admin: [\"*\"]
routes:
  - { match: GET /v1/metrics, requires: metrics:read, cluster: none }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_activated_on_one_gate_decides_on_all() {
    let mut site = Site::start(Options::default()).await;
    let key = site.office.mint(site.address(0), "load").await;
    let statuses = async |site: &Site| {
        let mut statuses = Vec::new();
        for gate in site.addresses() {
            statuses.push(site.office.ask(gate, &key).await.status);
        }
        statuses
    };
    assert_eq!(statuses(&site).await, [200; 3]);
    fs::write(site.place_of(0).join("closed.yaml"), CLOSED).expect("writable");
    let push = ["policy", "push", "closed.yaml", "--wait", "30"];
    run_ok(&site.place_of(0), &push);
    assert_eq!(statuses(&site).await, [404; 3]);
    let nodes = nodes(&site.place_of(2));
    assert_eq!(nodes.len(), 3);
    for node in &nodes {
        assert_eq!(node["follows"], true, "{node}");
        assert_eq!(node["policy"], nodes[0]["policy"]);
    }
    run_ok(&site.place_of(2), &["policy", "rollback"]);
    run_ok(&site.place_of(1), &["policy", "nodes", "--wait", "30"]);
    assert_eq!(statuses(&site).await, [200; 3]);
    // In the shadow on all, and promoted by one that was not asked to put it there.
    run_ok(
        &site.place_of(0),
        &["policy", "push", "closed.yaml", "--shadow"],
    );
    run_ok(&site.place_of(1), &["policy", "shadow", "promote"]);
    run_ok(&site.place_of(0), &["policy", "nodes", "--wait", "30"]);
    assert_eq!(statuses(&site).await, [404; 3]);
    let emptied = run(&site.place_of(2), &["policy", "shadow", "status"]);
    assert!(!emptied.status.success());
    // One that starts later serves what was activated last, whatever its configuration names.
    site.gates[2].take().expect("it runs").kill();
    site.run_again(2).await;
    assert_eq!(statuses(&site).await, [404; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_does_not_know_what_is_active_stops_in_time() {
    const CUT: usize = 2;
    let site = Site::start(Options {
        is_apart: true,
        store: |url| {
            format!(
                "{{ url: \"{url}\", contact_max: {}s }}",
                CONTACT_MAX.as_secs()
            )
        },
        ..Options::default()
    })
    .await;
    let key = site.office.mint(site.address(0), "load").await;
    for gate in site.addresses() {
        assert_eq!(site.office.ask(gate, &key).await.status, 200);
    }
    site.cut(CUT, &[Cable::Postgres]);
    // Redis confirms who is known, and what is active was heard a moment ago.
    assert_eq!(site.office.ask(site.address(CUT), &key).await.status, 200);
    fs::write(site.place_of(0).join("closed.yaml"), CLOSED).expect("writable");
    run_ok(&site.place_of(0), &["policy", "push", "closed.yaml"]);
    // Two beats after the bound it is over, on a machine that does something else besides.
    tokio::time::sleep(CONTACT_MAX + Duration::from_secs(2)).await;
    let answer = site.office.ask(site.address(CUT), &key).await;
    assert!(answer.is(503, "unavailable"), "{answer:?}");
    assert_eq!(site.office.ask(site.address(0), &key).await.status, 404);
    site.mend(CUT, &[Cable::Postgres]);
    site.office.until_asked(site.address(CUT), &key, 404).await;
    run_ok(&site.place_of(0), &["policy", "nodes", "--wait", "30"]);
}

/// What fails on one gate fails on all: each of them notices, one takes it back, and it is not taken back twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_fails_is_taken_back_once_for_all_gates() {
    let site = Site::start(Options::default()).await;
    let key = site.office.mint(site.address(0), "load").await;
    let place = site.place_of(0);
    let before = nodes(&place)[0]["policy"].clone();
    fs::write(place.join("failing.wasm"), by_hand()).expect("writable");
    run_ok(&place, &["policy", "push", "failing.wasm", "--wait", "30"]);
    // Whoever asks on each of them for what it traps over goes on until it does not decide there any more.
    join_all(site.addresses().into_iter().map(|gate| {
        let (site, key) = (&site, &key);
        async move {
            let begun = Instant::now();
            loop {
                let answer = site.office.ask_to(gate, key, Method::DELETE, "").await;
                if answer.code != "policy-fault" {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_secs(30), "{answer:?}");
            }
        }
    }))
    .await;
    for gate in site.addresses() {
        assert_eq!(site.office.ask(gate, &key).await.status, 200);
    }
    run_ok(&place, &["policy", "nodes", "--wait", "30"]);
    assert!(nodes(&place).iter().all(|node| node["policy"] == before));
    // The audit has it within a second, and whatever else anybody did.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let recorded = run_ok(&place, &["audit", "search", "--action", "policy.activate"]);
    // At the first start, and back to that one.
    assert_eq!(recorded.matches(" by gate").count(), 2, "{recorded}");
}

fn nodes(place: &Path) -> Vec<Value> {
    let listed = run_ok(place, &["policy", "nodes", "--output", "json"]);
    serde_json::from_str(&listed).expect("JSON")
}

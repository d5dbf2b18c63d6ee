//! The filter inside Envoy decides as the gate does: the corpus, other policies while it runs, and what is printed for it.

mod envoy;
mod failures;
mod limits;
mod requests;
mod revocation;

use std::time::{Duration, Instant};

use crate::{
    corpus::{files, is_of_routes, over_http},
    harness::{Actor, Key, Options, World},
};
pub(crate) use envoy::SECRET;
use envoy::{Envoy, Setup, TICK};
pub(crate) use envoy::{answers_filters, filter, printed};
use over_http::Front;

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_corpus_through_envoys_filter() {
    let mut differences = Vec::new();
    for file in files().iter().filter(|file| !is_of_routes(file)) {
        let policy = file.subject.text().expect("a document").to_owned();
        let start = async |world: &World| {
            let envoy = Envoy::start(world, Setup::of(&policy)).await;
            Front {
                address: envoy.address,
                asks: true,
                decides: Some(TICK * 4),
                programs: vec![envoy.program],
            }
        };
        let adjust = |options: &mut Options| {
            *options = answers_filters(std::mem::replace(options, Options::of("scopegate")));
        };
        differences.extend(over_http::differences_through(file, adjust, start).await);
    }
    assert!(
        differences.is_empty(),
        "{} cases through Envoy's filter:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

const ONE_ROUTE: &str = "\
policy: one
permissions:
  clusters:read: { category: Clusters, unlocks: Clusters }
  nodes:read: { category: Nodes, unlocks: Nodes }
roles:
  viewer: [clusters:read]
  editor: [clusters:read, nodes:read]
  admin: [\"*\"]
routes:
  - { match: GET /v1/things, requires: PERMISSION, cluster: none }
";

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_takes_over_while_envoy_runs_and_a_wrong_one_does_not() {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let reads_clusters = ONE_ROUTE.replace("PERMISSION", "clusters:read");
    let envoy = Envoy::start(&world, Setup::of(&reads_clusters)).await;
    let viewer = envoy.through(&world.session("viewer").await);
    becomes(&envoy, &viewer, 200, "").await;

    let reads_nodes = ONE_ROUTE.replace("PERMISSION", "nodes:read");
    envoy.swap(&world, &Setup::of(&reads_nodes));
    becomes(&envoy, &viewer, 403, "missing-permission").await;

    // The gate's tools would not print it; a control plane may send it all the same.
    let wrong = Setup {
        adjust: |filter| filter["policy"] = "policy: broken\n".into(),
        ..Setup::of(&reads_clusters)
    };
    envoy.swap(&world, &wrong);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        viewer.get("/v1/things").await.status,
        403,
        "{}",
        envoy.program.log()
    );
    let editor = envoy.through(&world.session("editor").await);
    becomes(&envoy, &editor, 200, "").await;
}

/// Waits until this is the answer. Before it come those of the policy before, which are 200 here, and 503: that the gate answers
/// within the filter's second is not promised on a busy machine.
async fn becomes(envoy: &Envoy, actor: &Actor, status: u16, code: &str) {
    let since = Instant::now();
    loop {
        let reply = actor.get("/v1/things").await;
        if reply.status == status {
            assert_eq!(reply.code(), code);
            return;
        }
        assert!(
            matches!(reply.status, 200 | 503) && since.elapsed() < Duration::from_secs(30),
            "{reply:?}\n{}",
            envoy.program.log()
        );
        tokio::time::sleep(TICK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_through_envoy_is_answered_by_the_gate() {
    let world = World::with(answers_filters(Options::of("scopegate"))).await;
    let policy = ONE_ROUTE.replace("PERMISSION", "clusters:read");
    let envoy = Envoy::start(&world, Setup::of(&policy)).await;
    let anyone = envoy.through(&world.anonymous());
    let body =
        serde_json::json!({ "email": "viewer@acme.example", "password": crate::harness::PASSWORD });
    let reply = anyone.post("/auth/login", body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let token = reply.json()["token"].as_str().expect("a token").to_owned();
    let viewer = envoy.through(&world.bearer(&token));
    assert_eq!(viewer.get("/v1/things").await.status, 200);
    // The gate's own pages are not there.
    let own = viewer.get("/-/api/me").await;
    assert_eq!((own.status, own.code().as_str()), (404, "no-route"));
    let key = world
        .key(Key {
            scopes: &["clusters:read"],
            ..Key::default()
        })
        .await;
    assert_eq!(envoy.through(&key).get("/v1/things").await.status, 200);
}

//! A policy in the shadow: it decides without effect, what differs is counted and listed, and then it is promoted or
//! dropped.

mod disturbance;

use std::time::Duration;

use scopegate_host::{
    Clusters, bundle,
    policies::{
        PolicyCommand,
        shadow::{DifferenceKind, ExampleAnswer, ShadowStatus},
    },
    store::Actor as By,
};

use super::{active, component, file, on_the_machine, operator, push, world};
use crate::harness::{Actor, Reply, World};

const SHADOW: &str = "/-/api/policies/shadow";
const PROMOTE: &str = "/-/api/policies/shadow/promote";

async fn push_shadow(operator: &Actor, component: Vec<u8>) -> Reply {
    let request = operator.request("POST", SHADOW);
    let request = request.header("content-type", "application/wasm");
    operator.send(request.body(component)).await
}

/// What is told of the shadow once so many questions were compared with it or skipped: it decides a little later.
async fn compared(world: &World, questions: u64) -> ShadowStatus {
    let mut last = None;
    for _ in 0..2000 {
        let status = world.running().policies().shadow().expect("a shadow");
        if status.counted.asked + status.counted.skipped >= questions {
            return status;
        }
        last = Some(status);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{last:?}");
}

/// The actions of audit records about policies, each with what it is about.
async fn actions(world: &World) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let lines = world.audit_lines().await;
    let lines = lines
        .iter()
        .map(|line| (text(&line["action"]), text(&line["subject"])));
    lines
        .filter(|(action, _)| action.starts_with("policy."))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_difference_is_listed_with_an_example() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let before = component(
        1,
        "  - { match: GET /v1/lost, requires: clusters:read, cluster: none }\n  \
         - { match: GET /v1/narrowed, requires: clusters:read, cluster: upstream }\n  \
         - { match: GET /v1/listed, requires: clusters:read, lists: { items: /clusters, cluster: /id } }\n",
    );
    let after = component(
        2,
        "  - { match: GET /v1/gained, requires: clusters:read, cluster: none }\n  \
         - { match: GET /v1/narrowed, requires: clusters:read, cluster: { query: cluster } }\n  \
         - { match: GET /v1/listed, requires: clusters:read, lists: { items: /clusters, cluster: /name } }\n  \
         - { match: \"GET /v1/odd/{cluster}\", requires: clusters:read }\n",
    );
    assert_eq!(push(&operator, before).await.status, 201);
    let pushed = push_shadow(&operator, after).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    assert_eq!(pushed.json()["beside"], active(&world));
    let paths = [
        ("/v1/clusters/prod", 200),
        ("/v1/lost", 200),
        ("/v1/lost", 200),
        ("/v1/gained", 404),
        ("/v1/narrowed?cluster=prod&token=sg_live_secret", 200),
        ("/v1/listed", 502),
        ("/v1/odd/nowhere", 404),
        ("/v1/neither", 404),
    ];
    for (path, status) in paths {
        assert_eq!(viewer.get(path).await.status, status, "{path}");
    }
    // Nobody is asked who they are by both.
    assert_eq!(world.anonymous().get("/v1/lost").await.status, 401);

    let ShadowStatus { counted, .. } = compared(&world, paths.len() as u64 + 1).await;
    let counts = (
        counted.same,
        counted.different,
        counted.faults,
        counted.skipped,
    );
    assert_eq!(counts, (3, 6, 0, 0), "{counted:#?}");
    assert_eq!(counted.asked, 9);
    let told: Vec<_> = counted
        .differences
        .iter()
        .map(|one| {
            (
                one.kind,
                one.route.as_deref().unwrap_or_default(),
                one.count,
            )
        })
        .collect();
    use DifferenceKind::{NewlyAllowed, NewlyRefused, OtherClusters, OtherList, OtherReason};
    assert_eq!(
        told,
        [
            (NewlyAllowed, "GET /v1/gained", 1),
            (NewlyRefused, "GET /v1/lost", 2),
            (OtherClusters, "GET /v1/narrowed", 1),
            (OtherList, "GET /v1/listed", 1),
            (OtherReason, "GET /v1/odd/{cluster}", 1),
        ]
    );
    let [_, lost, narrowed, ..] = counted.differences.as_slice() else {
        panic!("{counted:?}");
    };
    // The same once more tells nothing new.
    let [example] = lost.examples.as_slice() else {
        panic!("{lost:?}");
    };
    assert_eq!(
        (example.method.as_str(), example.path.as_str()),
        ("GET", "/v1/lost")
    );
    assert_eq!(example.caller.name.as_deref(), Some("viewer@acme.example"));
    assert_eq!(example.caller.roles, ["viewer"]);
    assert!(
        matches!(&example.active, ExampleAnswer::Allow { .. }),
        "{example:?}"
    );
    let refused = ExampleAnswer::Deny {
        reason: "no-route".to_owned(),
        about: None,
    };
    assert_eq!(example.shadow, refused);
    // What the shadow declares and the active policy does not is read for it, and nothing else of the query is kept.
    let [example] = narrowed.examples.as_slice() else {
        panic!("{narrowed:?}");
    };
    assert_eq!(example.query, ["cluster=prod"]);
    let visible = |ids: Clusters| ExampleAnswer::Allow {
        clusters: match ids {
            Clusters::All => None,
            Clusters::Only(ids) => Some(ids),
        },
        more: 0,
    };
    assert_eq!(
        (&example.active, &example.shadow),
        (&visible(Clusters::All), &visible(Clusters::only(["prod"])))
    );
    let listed = operator.get(SHADOW).await;
    assert!(!listed.body.contains("sg_live"), "{}", listed.body);
    assert_eq!(listed.json()["differences"][0]["kind"], "newly-allowed");
    let metrics = world.manages(&world.anonymous()).get("/-/metrics").await;
    let metric = "scopegate_policy_shadow_total{result=\"different\"}";
    assert!(metrics.body.contains(metric), "{}", metrics.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shadow_reads_the_headers_that_it_declares() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let extra = "  - { match: GET /v1/seen, requires: clusters:read, cluster: none }\n";
    assert_eq!(push(&operator, component(1, extra)).await.status, 201);
    let extra =
        "  - { match: GET /v1/seen, requires: clusters:read, cluster: { header: x-cluster } }\n";
    assert_eq!(
        push_shadow(&operator, component(2, extra)).await.status,
        201
    );
    let named = viewer
        .get_with("/v1/seen", &[("x-cluster", "nowhere")])
        .await;
    let twice = [("x-cluster", "dev"), ("x-cluster", "prod")];
    let twice = viewer.get_with("/v1/seen", &twice).await;
    assert_eq!((named.status, twice.status), (200, 200));
    let ShadowStatus { counted, .. } = compared(&world, 2).await;
    let [refused] = counted.differences.as_slice() else {
        panic!("{counted:?}");
    };
    let reasons: Vec<_> = refused
        .examples
        .iter()
        .map(|example| match &example.shadow {
            ExampleAnswer::Deny { reason, .. } => (reason.as_str(), example.headers.as_slice()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [("cluster-not-allowed", &["x-cluster:nowhere".to_owned()][..])]
    );
    assert_eq!(refused.count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_promoted_in_one_step() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    let extra = "  - { match: GET /v1/nodes, requires: clusters:read, cluster: none }\n";
    let digest = push_shadow(&operator, component(2, extra)).await.json()["digest"].clone();
    let digest = digest.as_str().expect("a digest");
    assert_eq!(active(&world), first);
    assert_eq!(viewer.get("/v1/nodes").await.code(), "no-route");

    let promoted = operator.call("POST", PROMOTE).await;
    assert_eq!(promoted.status, 200, "{}", promoted.body);
    let promoted = promoted.json();
    assert_eq!(
        (
            &promoted["digest"],
            &promoted["source"],
            &promoted["changed"]
        ),
        (&digest.into(), &"promote".into(), &true.into())
    );
    assert_eq!(active(&world), digest);
    assert_eq!(viewer.get("/v1/nodes").await.status, 200);
    for (method, path) in [("GET", SHADOW), ("DELETE", SHADOW), ("POST", PROMOTE)] {
        let none = operator.call(method, path).await;
        assert_eq!(none.status, 404, "{method} {path}");
        assert!(
            none.body.contains("no policy is in the shadow"),
            "{}",
            none.body
        );
    }
    // And the way back is as ever.
    on_the_machine(&world, PolicyCommand::Rollback { to: None }).await;
    assert_eq!(active(&world), first);
    let told = actions(&world).await;
    let told = told
        .iter()
        .map(|(action, about)| (action.as_str(), about.as_str()));
    let first = first.as_str();
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("policy.activate", first),
            ("policy.shadow", digest),
            ("policy.activate", digest),
            ("policy.activate", first),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_shadow_that_is_meant_is_promoted_or_dropped() {
    let world = world().await;
    let operator = operator(&world).await;
    let first = active(&world);
    let seen = push_shadow(&operator, component(2, "")).await.json()["digest"].clone();
    let seen = seen.as_str().expect("a digest");
    // Somebody else pushes another one in between.
    let other = push_shadow(&operator, component(3, "")).await.json()["digest"].clone();
    let other = other.as_str().expect("a digest");
    let meant = |path: &str, digest: &str| format!("{path}?digest={digest}");
    for (method, path) in [("POST", PROMOTE), ("DELETE", SHADOW)] {
        for wanted in [seen, &seen[..20], "", "sha256:"] {
            let refused = operator.call(method, &meant(path, wanted)).await;
            assert_eq!(refused.status, 409, "{}", refused.body);
            let both = format!("the policy in the shadow is `{other}`, not `{wanted}`");
            assert!(refused.body.contains(&both), "{}", refused.body);
        }
    }
    let still = world.running().policies().shadow().expect("a shadow");
    assert_eq!((active(&world), still.digest.as_str()), (first, other));
    let start = &other["sha256:".len()..][..8];
    let promoted = operator.call("POST", &meant(PROMOTE, start)).await;
    assert_eq!(promoted.status, 200, "{}", promoted.body);
    assert_eq!(active(&world), other);
    assert_eq!(push_shadow(&operator, component(2, "")).await.status, 201);
    let dropped = operator.call("DELETE", &meant(SHADOW, seen)).await;
    assert_eq!(dropped.status, 204, "{}", dropped.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_replaced_and_dropped() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let of = |reply: Reply| {
        reply.json()["digest"]
            .as_str()
            .expect("a digest")
            .to_owned()
    };
    let one = of(push_shadow(&operator, component(2, "")).await);
    viewer.get("/v1/clusters/prod").await;
    compared(&world, 1).await;
    // One that is refused changes nothing.
    let refused = push_shadow(&operator, b"no component".to_vec()).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let bad = bundle::digest(b"no component");
    let status = compared(&world, 1).await;
    assert_eq!(status.digest, one);

    let two = of(push_shadow(&operator, component(3, "")).await);
    let status = world.running().policies().shadow().expect("a shadow");
    assert_eq!(
        (status.digest.as_str(), status.counted.asked),
        (two.as_str(), 0)
    );
    let dropped = operator.call("DELETE", SHADOW).await;
    assert_eq!(dropped.status, 204, "{}", dropped.body);
    assert_eq!(operator.get(SHADOW).await.status, 404);
    let told = actions(&world).await;
    let told = told
        .iter()
        .map(|(action, about)| (action.as_str(), about.as_str()));
    assert_eq!(
        told.skip(1).collect::<Vec<_>>(),
        [
            ("policy.shadow", one.as_str()),
            ("policy.refuse", bad.as_str()),
            ("policy.shadow", two.as_str()),
            ("policy.drop-shadow", two.as_str()),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_active_policy_leaves_the_shadow_and_starts_its_counts_anew() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    push_shadow(&operator, component(9, "")).await;
    viewer.get("/v1/clusters/prod").await;
    compared(&world, 1).await;
    let extra = "  - { match: GET /v1/nodes, requires: clusters:read, cluster: none }\n";
    assert_eq!(push(&operator, component(2, extra)).await.status, 201);
    let status = world.running().policies().shadow().expect("a shadow");
    assert_eq!((status.version.as_str(), status.counted.asked), ("9", 0));
    assert_eq!(status.counted.beside, active(&world));
    assert_eq!(status.counted.since, None);
    assert_eq!(viewer.get("/v1/nodes").await.status, 200);
    assert_eq!(compared(&world, 1).await.counted.different, 1);
    on_the_machine(&world, PolicyCommand::Rollback { to: None }).await;
    let status = world.running().policies().shadow().expect("a shadow");
    assert_eq!((status.version.as_str(), status.counted.asked), ("9", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_who_have_just_signed_in_change_the_shadow() {
    let world = world().await;
    let operator = operator(&world).await;
    let admin = world.manager("admin@acme.example").await;
    for (method, path) in [
        ("GET", SHADOW),
        ("POST", SHADOW),
        ("DELETE", SHADOW),
        ("POST", PROMOTE),
    ] {
        let refused = admin.call(method, path).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "operator-required")
        );
        let refused = world.manages(&world.anonymous()).call(method, path).await;
        assert_eq!(refused.status, 401);
    }
    assert_eq!(push_shadow(&operator, component(2, "")).await.status, 201);
    world.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(operator.get(SHADOW).await.status, 200);
    for (method, path) in [("POST", SHADOW), ("DELETE", SHADOW), ("POST", PROMOTE)] {
        let refused = operator.call(method, path).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "sign-in-required")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_with_the_shadow() {
    let directory = file::directory().await;
    let path = directory.path();
    let running = file::start(path).await;
    let policies = running.policies();
    let pushed = policies.push_shadow(component(7, "").into(), By::Machine.into(), 0);
    let pushed = pushed.await.expect("pushed");
    running.shutdown().await;

    let running = file::start(path).await;
    let shadow = running.policies().shadow().expect("a shadow");
    assert_eq!(
        (&shadow.digest, &shadow.pushed_by, shadow.version.as_str()),
        (&pushed.digest, &"machine".to_owned(), "7")
    );
    assert_eq!(file::version(&running), "1");
    let promoted = running
        .policies()
        .promote(None, By::Machine.into(), 0)
        .await;
    promoted.expect("promoted");
    running.shutdown().await;

    let running = file::start(path).await;
    assert_eq!(file::version(&running), "7");
    assert!(running.policies().shadow().is_err());
    running.shutdown().await;
}

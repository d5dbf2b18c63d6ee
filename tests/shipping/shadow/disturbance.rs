//! However badly the policy in the shadow does, the active one answers as if it were alone.

use std::time::Instant;

use scopegate_host::{Reason, policies::shadow::DifferenceKind};
use scopegate_policy::{Decision, Grant, Outcome, Restriction, Rule};

use super::{compared, push_shadow};
use crate::{
    harness::{Options, World},
    sandbox::guest::Guest,
    shipping::{active, operator},
};

/// A world with a policy of one route, where nobody meets a limit.
async fn world() -> World {
    World::with(Options {
        adjust: |contract| contract.limits.session = 1 << 30,
        policy: Some(
            "policy: first\npermissions:\n  clusters:read: { category: C, unlocks: c }\nroles:\n  admin: ['*']\n  editor: [clusters:read]\n  viewer: [clusters:read]\nroutes:\n  - { match: GET /v1/clusters/**, requires: clusters:read, cluster: none }\n",
        ),
        ..Options::of("scopegate")
    })
    .await
}

/// Refuses everything, and does this where a question has a path of 7500 bytes, which no probe has.
fn failing(instructions: &str) -> Vec<u8> {
    let decide =
        format!("(if (i32.gt_u (global.get $next) (i32.const 70000)) (then {instructions}))");
    let decision = Decision {
        outcome: Outcome::Deny(Reason::NoRoute),
        rule: Rule {
            route: None,
            grant: Grant::None,
            restriction: Restriction::None,
        },
    };
    Guest {
        decision,
        ..Guest::deciding(&decide)
    }
    .build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_traps_is_counted_and_told() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let pushed = push_shadow(&operator, failing("unreachable")).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let long = format!("/v1/clusters/{}", "x".repeat(7500));
    for path in [&long, "/v1/clusters/prod", &long] {
        assert_eq!(viewer.get(path).await.status, 200);
    }
    let counted = compared(&world, 3).await.counted;
    assert_eq!((counted.asked, counted.faults), (3, 2), "{counted:#?}");
    let fault = counted.differences.last().expect("a difference");
    assert_eq!((fault.kind, fault.count), (DifferenceKind::Fault, 2));
    // Examples are cut to what people read.
    assert!(fault.examples[0].path.len() < 300, "{fault:?}");
}

/// Hundreds of requests, over each of which the shadow would think for 50 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_loops_holds_nobody_up_and_what_it_misses_is_counted() {
    const REQUESTS: u64 = 450;
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let digest = active(&world);
    let long = format!("/v1/clusters/{}", "x".repeat(7500));
    let began = Instant::now();
    for _ in 0..REQUESTS {
        assert_eq!(viewer.get(&long).await.status, 200);
    }
    let alone = began.elapsed();
    let pushed = push_shadow(&operator, failing("(loop $again (br $again))")).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let began = Instant::now();
    for _ in 0..REQUESTS {
        assert_eq!(viewer.get(&long).await.status, 200);
    }
    let beside = began.elapsed();
    let counted = world
        .running()
        .policies()
        .shadow()
        .expect("a shadow")
        .counted;
    // A long path takes more than two places of the queue, and next to nothing is answered meanwhile.
    assert!(counted.skipped > 0, "{counted:?}");
    assert_eq!(counted.faults, counted.asked, "{counted:?}");
    let fault = counted.differences.first().expect("a difference");
    let told = serde_json::to_string(&fault.examples).expect("JSON");
    assert!(told.contains("it ran longer than a policy may"), "{told}");
    println!("{REQUESTS} requests: {alone:?} alone, {beside:?} beside a shadow that loops");
    // Had each waited, this would have been twenty seconds more; a quarter of a core is what the shadow gets.
    assert!(
        beside < alone * 3 + std::time::Duration::from_secs(5),
        "{alone:?} {beside:?}"
    );
    let records = world.audit().await;
    let decided = records
        .iter()
        .filter(|record| record["path"].as_str().is_some_and(|path| path.len() > 300));
    assert!(decided.clone().count() >= 2 * REQUESTS as usize);
    assert!(
        decided
            .clone()
            .all(|record| record["policy"] == digest.as_str())
    );
    // Nobody waits for what it is at.
    let dropped = operator.call("DELETE", "/-/api/policies/shadow").await;
    assert_eq!(dropped.status, 204, "{}", dropped.body);
}

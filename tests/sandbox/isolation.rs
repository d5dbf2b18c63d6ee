//! What survives from one decision to the next: nothing in fresh instances; and kept instances are only those of
//! policies that were built from a document, and not for long.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use scopegate_host::engine::{DecideError, Isolation, Limits, Policy, Worlds, build_document};
use scopegate_policy::{Caller, Clusters, Outcome, Reason};

use super::{GOOD, ask, assert_unharmed, get, good, guest::Guest, sandbox, sandbox_with, viewer};

/// Allows while a counter in its memory is zero, and counts.
fn counting() -> Vec<u8> {
    Guest {
        items: "(global $calls (mut i32) (i32.const 0))".to_owned(),
        ..Guest::deciding(
            "(if (i32.or (global.get $calls) (i32.load (i32.const 0))) (then unreachable))
            (global.set $calls (i32.const 1))
            (i32.store (i32.const 0) (i32.const 1))",
        )
    }
    .build()
}

#[tokio::test]
async fn a_fresh_instance_never_sees_the_last_call() {
    for isolation in [Isolation::Fresh, Isolation::Pooled { calls_max: 1000 }] {
        let policy = sandbox(isolation).load(&counting()).unwrap();
        assert!(!policy.is_from_document());
        for _ in 0..200 {
            ask(&policy, &viewer(), &get("/v1/x")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_component_that_claims_a_document_is_believed_only_when_it_is_what_the_document_builds() {
    let sandbox = sandbox(Isolation::Pooled { calls_max: 1000 });
    let honest = build_document("good.yaml", GOOD).unwrap();
    assert!(sandbox.load(&honest).unwrap().is_from_document());

    // The honest component's custom sections, behind a hostile component.
    let sections = honest.len() - custom_sections(&honest);
    let mut forged = counting();
    forged.extend_from_slice(&honest[sections..]);
    let forged = sandbox.load(&forged).unwrap();
    assert!(!forged.is_from_document());
    for _ in 0..50 {
        ask(&forged, &viewer(), &get("/v1/x")).await.unwrap();
    }

    // The honest component with another section behind it.
    let mut longer = honest.clone();
    longer.extend_from_slice(&[0, 5, 1, b'x', 1, 2, 3]);
    assert!(!sandbox.load(&longer).unwrap().is_from_document());
}

/// Bytes of the document's two sections at the end: found by the first one's name.
fn custom_sections(component: &[u8]) -> usize {
    let name = b"scopegate:document";
    let at = component
        .windows(name.len())
        .rposition(|window| window == name)
        .unwrap();
    // Before the name: its length in one byte, the section's length in two, the section's number.
    component.len() - (at - 4)
}

#[test]
fn the_same_document_builds_the_same_bytes() {
    let first = build_document("one.yaml", GOOD).unwrap();
    assert_eq!(first, build_document("another.yaml", GOOD).unwrap());
    let changed = build_document("one.yaml", &GOOD.replace("good", "better")).unwrap();
    assert_ne!(first, changed);
}

#[test]
fn kept_instances_are_retired() {
    let recorder = InstanceCount::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let limits = Limits { memory_bytes_max: 2 << 20, ..Limits::default() };
            let sandbox = sandbox_with(Isolation::Pooled { calls_max: 10 }, limits, Worlds::All);
            let policy = good(&sandbox);

            for _ in 0..30 {
                decides(&policy, &viewer()).await;
            }
            assert_eq!(recorder.take(), 3, "one for every ten calls");

            // A question that its memory has to grow for.
            let large = Caller { clusters: clusters(20_000), ..viewer() };
            for _ in 0..4 {
                decides(&policy, &large).await;
            }
            assert_eq!(recorder.take(), 4, "one for every call, the first of which found none kept");

            // One that its memory may not grow for.
            let huge = Caller { clusters: clusters(200_000), ..viewer() };
            for _ in 0..3 {
                let error = ask(&policy, &huge, &get("/v1/organization")).await.unwrap_err();
                assert!(matches!(&error, DecideError::Fault(text) if text.contains("memory would grow")), "{error}");
            }
            assert_eq!(recorder.take(), 3);
            assert_unharmed(&policy).await;
        });
    });
}

fn clusters(count: usize) -> Clusters {
    Clusters::only((0..count).map(|index| format!("cluster-{index:06}")))
}

async fn decides(policy: &Policy, caller: &Caller) {
    let decision = ask(policy, caller, &get("/v1/organization")).await.unwrap();
    assert!(matches!(decision.outcome, Outcome::Allow(_)));
}

#[tokio::test]
async fn every_way_to_ask_gives_the_same_answer() {
    let native = scopegate_policy::document::compile("good.yaml", GOOD).unwrap();
    let fresh = good(&sandbox(Isolation::Fresh));
    let pooled = good(&sandbox(Isolation::Pooled { calls_max: 50 }));
    let typed = good(&sandbox_with(
        Isolation::Pooled { calls_max: 50 },
        Limits::default(),
        Worlds::PolicyOnly,
    ));
    let callers = [
        viewer(),
        Caller::anonymous(),
        Caller {
            roles: Vec::new(),
            ..viewer()
        },
        Caller {
            clusters: Clusters::only(["dev"]),
            ..viewer()
        },
        Caller {
            scopes: Some(vec!["clusters:write".to_owned()]),
            ..viewer()
        },
        Caller {
            permissions: vec!["*".to_owned()],
            clusters: clusters(1000),
            ..viewer()
        },
    ];
    let paths = [
        "/v1/health",
        "/v1/clusters/dev/x",
        "/v1/clusters/b%20d",
        "/v1/organization",
        "/V1/organization",
        "/",
    ];
    for round in 0..40 {
        for caller in &callers {
            for path in paths {
                let request = get(path);
                let answer = Ok(scopegate_policy::decide(&native, caller, &request));
                assert_eq!(
                    answer,
                    ask(&fresh, caller, &request).await,
                    "round {round}: {path}"
                );
                assert_eq!(
                    answer,
                    ask(&pooled, caller, &request).await,
                    "round {round}: {path}"
                );
                assert_eq!(
                    answer,
                    ask(&typed, caller, &request).await,
                    "round {round}: {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_packed_caller_is_packed_anew_for_another_policy() {
    use scopegate_host::engine::{CallerRef, PackedCaller};
    let sandbox = sandbox(Isolation::Fresh);
    let one = good(&sandbox);
    let other = GOOD.replace("policy: good", "policy: other").replace(
        "permissions:\n",
        "permissions:\n  alerts:read: { category: Alerts, unlocks: Alerts }\n",
    );
    let other = sandbox
        .load(&build_document("other.yaml", &other).unwrap())
        .unwrap();
    let (caller, packed) = (viewer(), PackedCaller::default());
    let caller = CallerRef {
        caller: &caller,
        packed: &packed,
    };
    for policy in [&one, &other, &one] {
        for (method, allowed) in [("GET", true), ("POST", false)] {
            let request = scopegate_policy::Request {
                method: method.to_owned(),
                ..get("/v1/clusters/dev")
            };
            let decision = policy.decide(&caller, &(&request).into()).await.unwrap();
            match decision.outcome {
                Outcome::Allow(_) => assert!(allowed),
                Outcome::Deny(reason) => {
                    assert_eq!(
                        (allowed, reason),
                        (
                            false,
                            Reason::MissingPermission("clusters:write".to_owned())
                        )
                    );
                }
            }
        }
    }
}

/// Counts the instances that were made to be kept.
#[derive(Default)]
struct InstanceCount(Arc<Count>);

#[derive(Default)]
struct Count(AtomicU64);

impl InstanceCount {
    fn take(&self) -> u64 {
        self.0.0.swap(0, Ordering::SeqCst)
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }
}

impl Recorder for InstanceCount {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == "scopegate_policy_instances_total" {
            Counter::from_arc(Arc::clone(&self.0))
        } else {
            Counter::noop()
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

//! The compiled component decides as the policy crate does natively: random policies, callers and requests.
//! `SCOPEGATE_TRIPLES` sets how many of them, `SCOPEGATE_SEED` which.

use std::collections::BTreeMap;

use scopegate_host::engine::{
    CallerRef, DecideError, Isolation, Limits, PackedCaller, Policy, Sandbox, SandboxConfig,
    Worlds, build_document,
};
use scopegate_policy::{
    Caller, Decision, Outcome, Reason, Request, Tables, decide, document, packed::RequestRef,
};

use super::{policies, questions};
use crate::harness::random::Random;

/// In CI; the soak asks for a million.
const TRIPLES: usize = 30_000;
/// Building a component takes much longer than asking it.
const QUESTIONS_OF_A_POLICY: usize = 2_500;

fn triples() -> usize {
    std::env::var("SCOPEGATE_TRIPLES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(TRIPLES)
}

fn sandbox(isolation: Isolation, worlds: Worlds) -> Sandbox {
    Sandbox::new(SandboxConfig {
        limits: Limits::default(),
        isolation,
        worlds,
        ..SandboxConfig::default()
    })
    .expect("a sandbox")
}

#[tokio::test]
async fn the_component_decides_as_the_crate_does() {
    let triples = triples();
    let (mut random, seed) = Random::repeatable();
    println!("SCOPEGATE_SEED={seed}");
    let ways = [
        sandbox(Isolation::Fresh, Worlds::All),
        sandbox(Isolation::Pooled { calls_max: 100 }, Worlds::All),
        sandbox(Isolation::Fresh, Worlds::All),
        sandbox(Isolation::Fresh, Worlds::PolicyOnly),
    ];
    let (mut asked, mut policies) = (0, 0);
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    let mut broken = 0;
    while asked < triples {
        let text = policies::random(&mut random);
        let tables = match document::compile("random.yaml", &text) {
            Ok(tables) => tables,
            Err(report) => {
                broken += 1;
                assert!(broken <= 5 + policies, "too many do not compile: {report}");
                continue;
            }
        };
        let component = build_document("random.yaml", &text).expect("it compiles");
        let policy = ways[policies % ways.len()]
            .load(&component)
            .expect("a policy");
        assert!(policy.is_from_document());
        policies += 1;
        for _ in 0..QUESTIONS_OF_A_POLICY.min(triples - asked) {
            let caller = questions::caller(&mut random, tables.description());
            let request = questions::request(&mut random, tables.description());
            let word = assert_same(&tables, &policy, &caller, &request).await;
            *answers.entry(word).or_default() += 1;
            asked += 1;
        }
    }
    println!("{asked} questions to {policies} policies, no difference: {answers:?}");
    assert!(
        answers.len() >= 12,
        "not every answer was given: {answers:?}"
    );
}

/// Asks both, and gives the answer in a word.
async fn assert_same(
    tables: &Tables,
    policy: &Policy,
    caller: &Caller,
    request: &Request,
) -> String {
    let native = decide(tables, caller, request);
    let packed = PackedCaller::default();
    let caller_ref = CallerRef {
        caller,
        packed: &packed,
    };
    let compiled = policy.decide(&caller_ref, &RequestRef::from(request)).await;
    let is_same = match (&native, &compiled) {
        (native, Ok(compiled)) => native == compiled,
        // What is a fault in the gate is refused in words of its own natively.
        (
            Decision {
                outcome: Outcome::Deny(Reason::Other(_)),
                ..
            },
            Err(DecideError::Fault(_)),
        ) => true,
        _ => false,
    };
    assert!(
        is_same,
        "natively {native:?}\ncompiled {compiled:?}\n{caller:?}\n{request:?}\n{:?}",
        tables.rules()
    );
    match native.outcome {
        Outcome::Allow(_) => "allow".to_owned(),
        Outcome::Deny(Reason::Other(_)) => "fault".to_owned(),
        Outcome::Deny(reason) => reason.code().to_owned(),
    }
}

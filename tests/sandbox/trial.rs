//! Test files against components that were written by hand, and against those that were built from documents.

use scopegate_host::engine::{Isolation, build_document};
use scopegate_host::trial::{self, Coverage, Outcome, RunError, Subject, TestFile, Verdict, Ways};
use scopegate_policy::{ClusterSource, Outcome as Decided, Reason};
use std::sync::Arc;

use super::{GOOD, guest::Guest, sandbox};

fn read(subject: &Arc<Subject>, text: &str) -> TestFile {
    let read = trial::read("t.yaml", text, |_| Ok(Arc::clone(subject)));
    read.unwrap_or_else(|report| panic!("{report}"))
}

const TEXT: &str = "\
clusters: [prod, dev]
callers: { viewer: { session: { role: viewer, clusters: [prod] } } }
cases:
";

#[tokio::test]
async fn a_component_written_by_hand_is_asked_in_the_sandbox_alone() {
    let sandbox = sandbox(Isolation::Fresh);
    let by_hand = Subject::component("by-hand.wasm", &Guest::new().build(), &sandbox).unwrap();
    let by_hand = Arc::new(by_hand);
    let text = "
  - { name: what is theirs, caller: viewer, request: GET /v1/anything, expect: [prod] }
  - { name: no more than that, caller: viewer, request: DELETE /v1/anything, expect: all }
  - { name: never strangers, caller: anonymous, request: GET /v1/anything, expect: none }
";
    let file = read(&by_hand, &format!("{TEXT}{text}"));
    let ran = trial::run(&file, Ways::Both(&sandbox)).await.unwrap();
    assert!(ran.iter().all(|ran| ran.native.is_none()));
    let verdicts: Vec<Verdict> = ran.iter().map(trial::Ran::verdict).collect();
    // It allows everybody everything: what the caller lacks is taken out, and opening a route to strangers makes no sense.
    assert_eq!(
        verdicts,
        [Verdict::Passed, Verdict::Differs, Verdict::Fault]
    );

    let mut coverage = Coverage::new(&file.subject, [&file.contract]);
    coverage.note(&file, &ran);
    let description = file.subject.description();
    let missing: Vec<String> = coverage
        .missing(description)
        .into_iter()
        .map(|(_, what)| what)
        .collect();
    assert!(
        !missing.contains(&"`* /**` is never allowed".to_owned()),
        "{missing:?}"
    );
    assert!(
        missing.contains(&"`* /**` is never refused".to_owned()),
        "{missing:?}"
    );

    let natively = trial::run(&file, Ways::Native).await.err();
    assert_eq!(natively, Some(RunError::ByHand("by-hand.wasm".to_owned())));
}

#[tokio::test]
async fn it_may_refuse_in_words_of_its_own() {
    let sandbox = sandbox(Isolation::Fresh);
    let mut guest = Guest::new();
    guest.decision.outcome = Decided::Deny(Reason::Other("after-hours".to_owned()));
    guest.description.routes[1].cluster = ClusterSource::Upstream;
    let subject = Subject::component("by-hand.wasm", &guest.build(), &sandbox).unwrap();
    let text =
        "  - { name: late, caller: viewer, request: GET /v1/anything, expect: after-hours }\n";
    let file = read(&Arc::new(subject), &format!("{TEXT}{text}"));
    let expected = Outcome::Deny {
        reason: "after-hours".to_owned(),
        about: None,
    };
    assert_eq!(file.cases[0].expected, expected);
    let ran = trial::run(&file, Ways::Compiled(&sandbox)).await.unwrap();
    assert_eq!(ran[0].verdict(), Verdict::Passed);
}

#[tokio::test]
async fn a_component_of_a_document_is_that_document() {
    let sandbox = sandbox(Isolation::Fresh);
    let component = build_document("good.yaml", GOOD).unwrap();
    let subject = Arc::new(Subject::component("good.wasm", &component, &sandbox).unwrap());
    assert_eq!(subject.text(), Some(GOOD));
    let text =
        "  - { name: one, caller: viewer, request: GET /v1/clusters/prod, expect: [prod] }\n";
    let file = read(&subject, &format!("{TEXT}{text}"));
    let ran = trial::run(&file, Ways::Both(&sandbox)).await.unwrap();
    assert_eq!(ran[0].verdict(), Verdict::Passed);
    assert!(ran[0].native.is_some() && ran[0].compiled.is_some());
}

#[tokio::test]
async fn a_guest_that_traps_fails_its_cases() {
    let sandbox = sandbox(Isolation::Fresh);
    let guest = Guest::deciding("unreachable");
    let subject = Subject::component("trap.wasm", &guest.build(), &sandbox).unwrap();
    let text = "  - { name: one, caller: viewer, request: GET /v1/anything, expect: [prod] }\n";
    let file = read(&Arc::new(subject), &format!("{TEXT}{text}"));
    let ran = trial::run(&file, Ways::Both(&sandbox)).await.unwrap();
    assert_eq!(ran[0].verdict(), Verdict::Fault);
}

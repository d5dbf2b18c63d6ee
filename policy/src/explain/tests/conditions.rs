//! Explanations of what conditions decide: the facts that they read are among what could be otherwise.

use core::net::IpAddr;

use proptest::prelude::*;

use super::{asked, hold, texts};
use crate::explain::{Explanation, Question};
use crate::sample::{caller, request};
use crate::{Caller, CallerKind, Request, document};

const POLICY: &str = r#"policy: guarded
permissions:
  a:read:  { category: A, unlocks: A }
  b:read:  { category: B, unlocks: B }
roles:
  viewer: [a:read]
  finops:
    permissions: ["b:*"]
    when: 'caller.mfa || cidr("10.20.0.0/16").containsIP(request.address)'
  agent: []
routes:
  - { match: GET /a, requires: a:read, cluster: none, when: 'caller.mfa || cidr("10.20.0.0/16").containsIP(request.address)' }
  - { match: GET /b, requires: b:read, cluster: none }
  - { match: GET /hours, requires: a:read, cluster: none, when: 'request.time.getHours() >= 8 && request.time.getHours() < 18' }
  - { match: GET /env, requires: a:read, cluster: none, when: 'request.headers["x-env"] == "prod" && caller.mfa' }
  - { match: GET /age, requires: a:read, cluster: none, when: 'caller.credential_age < duration("2160h")' }
  - { match: GET /key, requires: b:read, cluster: none, when: 'caller.kind == "session" && caller.mfa' }
  - { match: GET /open, public: true, when: 'cidr("192.0.2.0/24").containsIP(request.address)' }
  - { match: GET /never, requires: a:read, cluster: none, when: 'caller.mfa && caller.kind == "agent"' }
"#;

fn of(caller: Caller, request: Request) -> Explanation {
    let compiled = document::compile_with_places("guarded", POLICY).unwrap();
    let question = Question {
        caller,
        request,
        registered: None,
    };
    asked(&compiled.tables, &question)
}

fn get(path: &str) -> Request {
    request("GET", path)
}

fn viewer() -> Caller {
    Caller {
        auth_time: Some(1_000_000),
        credential_created: Some(1_000_000),
        ..caller(CallerKind::Session, "viewer")
    }
}

fn from(address: &str, request: Request) -> Request {
    Request {
        address: Some(address.parse().unwrap()),
        ..request
    }
}

/// What is underlined.
fn underlined(explanation: &Explanation) -> String {
    let compiled = document::compile_with_places("guarded", POLICY).unwrap();
    let span = explanation.place(&compiled.places).unwrap();
    compiled.source.slice(span).to_owned()
}

#[test]
fn what_a_routes_condition_reads_is_suggested() {
    let refused = of(viewer(), get("/a"));
    assert_eq!(
        texts(&refused),
        [
            "ask with a second factor",
            "ask from an address such as 10.20.0.1"
        ]
    );
    assert!(underlined(&refused).starts_with("when: 'caller.mfa"));
    assert!(refused.reads.address && refused.reads.second_factor && !refused.reads.time);
    let together = of(viewer(), get("/env"));
    assert_eq!(
        texts(&together),
        ["ask with a second factor, and ask with the header `x-env: prod`"]
    );
    let early = of(
        viewer(),
        Request {
            now: 3600,
            ..get("/hours")
        },
    );
    assert_eq!(
        texts(&early),
        ["ask at another time, such as 1970-01-01T08:00:00Z"]
    );
    let old = Caller {
        credential_created: Some(1_000_000 - 9_000_000),
        ..caller(CallerKind::ApiKey, "viewer")
    };
    assert_eq!(
        texts(&of(old, get("/age"))),
        ["use a key or token of another age, such as 89 days 23 hours 59 minutes"]
    );
}

#[test]
fn a_role_whose_condition_is_not_true_is_named() {
    let finops = Caller {
        roles: vec!["finops".to_owned()],
        ..viewer()
    };
    let refused = of(finops, get("/b"));
    assert_eq!(
        refused.because,
        "the role `finops` has `b:read`, but its condition is not true of this request: \
         `caller.mfa || cidr(\"10.20.0.0/16\").containsIP(request.address)`"
    );
    assert!(underlined(&refused).starts_with("when: 'caller.mfa"));
    let seen = &refused.grants.as_ref().unwrap().roles[0];
    assert!(seen.has);
    assert_eq!(seen.condition.as_ref().unwrap().holds, Some(false));
    assert_eq!(
        texts(&refused)[..2],
        [
            "ask with a second factor",
            "ask from an address such as 10.20.0.1"
        ]
    );
    // Who does not have the role needs it, and its condition.
    let other = of(viewer(), get("/b"));
    assert!(
        texts(&other).contains(&"give the caller the role `finops`, and ask with a second factor")
    );
    // A key cannot have a second factor: its user can.
    let key = of(
        caller(CallerKind::ApiKey, "finops"),
        from("10.20.0.1", get("/key")),
    );
    assert_eq!(
        texts(&key),
        ["sign in, and use the session in place of the key, and ask with a second factor"]
    );
}

#[test]
fn an_allow_that_rests_on_a_condition_says_so() {
    let with_factor = Caller {
        mfa: true,
        ..viewer()
    };
    let allowed = of(with_factor, get("/a"));
    assert!(
        texts(&allowed).contains(&"ask without a second factor"),
        "{:?}",
        texts(&allowed)
    );
    let inside = of(viewer(), from("10.20.1.1", get("/a")));
    assert!(texts(&inside).contains(&"ask from an address such as 192.0.2.1"));
    let finops = Caller {
        roles: vec!["finops".to_owned()],
        ..viewer()
    };
    let inside = of(finops, from("10.20.1.1", get("/b")));
    assert!(texts(&inside).contains(&"ask from an address such as 192.0.2.1"));
    let open = of(Caller::anonymous(), from("192.0.2.9", get("/open")));
    assert_eq!(texts(&open), ["ask from an address such as 198.51.100.1"]);
    assert!(texts(&of(viewer(), get("/never"))).is_empty());
}

proptest! {
    #[test]
    fn every_suggestion_gives_the_other_answer_and_nothing_of_it_can_be_left_out(
        path in prop::sample::select(vec!["/a", "/b", "/hours", "/env", "/age", "/key", "/open", "/never"]),
        kind in prop::sample::select(vec![CallerKind::Session, CallerKind::ApiKey, CallerKind::Agent]),
        role in prop::sample::select(vec!["viewer", "finops", "none"]),
        (mfa, is_anonymous) in (any::<bool>(), prop::bool::weighted(0.1)),
        address in prop::option::of(prop::sample::select(vec!["10.20.0.7", "192.0.2.7", "2001:db8::7"])),
        env in prop::option::of(prop::sample::select(vec!["prod", "dev"])),
        (now, age) in (0..200_000_i64, prop::sample::select(vec![0, 600, 10_000_000])),
    ) {
        let age = if kind == CallerKind::Session { age.min(600) } else { age };
        let known = Caller {
            mfa: mfa && kind == CallerKind::Session,
            auth_time: (kind == CallerKind::Session).then_some(now - age),
            credential_created: Some(now - age),
            ..caller(kind, role)
        };
        let question = Question {
            caller: if is_anonymous { Caller::anonymous() } else { known },
            request: Request {
                now,
                address: address.map(|address| address.parse::<IpAddr>().unwrap()),
                headers: env.map(|env| ("x-env".to_owned(), env.to_owned())).into_iter().collect(),
                ..get(path)
            },
            registered: None,
        };
        let tables = document::compile("guarded", POLICY).unwrap();
        let explanation = asked(&tables, &question);
        hold(&tables, &question, &explanation)?;
        if path != "/never" && question.caller.kind == CallerKind::Session {
            prop_assert!(!explanation.otherwise.is_empty(), "{:?}: {}", question, explanation.because);
        }
    }
}

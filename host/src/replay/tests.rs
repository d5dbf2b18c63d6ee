//! Records as a gate writes them, decided again, and what is found when somebody changed one.

use scopegate_policy::{Clusters, Decision, Outcome as Decided};
use serde_json::{Value, json};

use super::*;
use crate::{
    audit::Visible,
    engine::{Isolation, Sandbox, SandboxConfig, build_document},
};

const DOCUMENT: &str = r#"
policy: replayed
permissions:
  clusters:read:
  clusters:write:
  odd_agent_things:read:
roles:
  reader: [clusters:read]
  careful: { permissions: ["*"], when: 'caller.mfa' }
routes:
  - { match: GET /health, public: true }
  - { match: GET /clusters, requires: clusters:read, lists: { items: "", cluster: /id } }
  - { match: "GET /clusters/{cluster}", requires: clusters:read }
  - { match: "PUT /clusters/{cluster}", requires: clusters:write }
  - { match: GET /odd, requires: "odd_agent_things:read", cluster: none }
  - { match: GET /young, requires: clusters:read, cluster: none, when: 'caller.credential_age < duration("1h")' }
"#;

/// 2026-03-31T12:00:00Z.
const NOW: i64 = 1_774_958_400;

fn library() -> (Library, String) {
    let sandbox = Sandbox::new(SandboxConfig {
        isolation: Isolation::Pooled { calls_max: 1000 },
        ..SandboxConfig::default()
    });
    let mut library = Library::new(sandbox.unwrap());
    let digest = library.add(
        "policy.yaml",
        build_document("policy.yaml", DOCUMENT).unwrap(),
    );
    (library, digest)
}

/// A record of a key, with these members instead of its own; `null` takes one away.
fn record(digest: &str, members: &Value) -> Value {
    let mut record = json!({
        "time": "2026-03-31T12:00:00.5Z",
        "request_id": "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11",
        "kind": "api-key",
        "organization": "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b12",
        "credential": "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b13",
        "facts": { "roles": ["reader"], "clusters": ["dev", "prod"], "credential_created": NOW - 60 },
        "address": "192.0.2.1",
        "method": "GET",
        "path": "/clusters",
        "outcome": "admit",
        "rule": { "route": 1, "grant": { "role": 0 }, "restriction": "authority-clusters" },
        "visible": ["dev", "prod"],
        "policy": digest,
        "micros": 1,
    });
    let all = record.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => all.remove(name),
            value => all.insert(name.clone(), value.clone()),
        };
    }
    record
}

/// Both ways, which must agree.
fn replay(library: &Library, line: &Value) -> Replayed {
    let entry = read(&line.to_string()).unwrap_or_else(|error| panic!("{error}: {line}"));
    let Entry::Decided(recorded) = entry else {
        panic!("not decided: {entry:?}");
    };
    let known = library.get(&recorded.policy).unwrap().unwrap();
    let [component, native] = [Way::Component, Way::Native]
        .map(|way| pollster::block_on(decide_again(&recorded, known, way)));
    assert_eq!(component, native);
    component
}

/// The answer that the policy of the test gives, as a record has it.
fn right(library: &Library, digest: &str, members: &Value) -> Value {
    let mut line = record(digest, members);
    let Replayed::Different(answer) = replay(library, &line) else {
        return line;
    };
    let answer = serde_json::to_value(answer).unwrap();
    let line_members = line.as_object_mut().unwrap();
    for name in ["outcome", "reason", "about", "rule", "visible"] {
        match answer.get(name) {
            Some(value) => line_members.insert(name.to_owned(), value.clone()),
            None => line_members.remove(name),
        };
    }
    line
}

#[test]
fn a_record_replays_and_a_changed_one_is_found() {
    let (library, digest) = library();
    let good = record(&digest, &json!({}));
    assert_eq!(replay(&library, &good), Replayed::Identical);
    for changed in [
        json!({ "outcome": "refuse" }),
        json!({ "reason": "no-route" }),
        json!({ "about": "prod" }),
        json!({ "outcome": "refuse", "reason": "no-route" }),
        json!({ "visible": ["dev", "prof"] }),
        json!({ "visible": ["prod", "dev"] }),
        json!({ "visible": "*" }),
        json!({ "visible": null }),
        json!({ "rule": { "route": 2, "grant": { "role": 0 }, "restriction": "authority-clusters" } }),
        json!({ "rule": { "route": 1, "grant": { "role": 1 }, "restriction": "authority-clusters" } }),
        json!({ "rule": { "route": 1, "grant": { "role": 0 }, "restriction": "key-clusters" } }),
        json!({ "facts": { "roles": ["reades"], "clusters": ["dev", "prod"] } }),
        json!({ "facts": { "roles": ["reader"], "clusters": ["dev", "prof"] } }),
        json!({ "facts": { "roles": ["reader"] } }),
        json!({ "path": "/clusterz" }),
        json!({ "method": "PUT" }),
        json!({ "kind": "agent" }),
    ] {
        let line = record(&digest, &changed);
        assert!(
            matches!(replay(&library, &line), Replayed::Different(_)),
            "{changed}"
        );
    }
}

#[test]
fn refusals_replay_with_what_they_are_about() {
    let (library, digest) = library();
    let asked = json!({ "method": "PUT", "path": "/clusters/prod" });
    let refused = right(&library, &digest, &asked);
    assert_eq!(refused["reason"], "missing-permission");
    assert_eq!(refused["about"], "clusters:write");
    assert!(refused.get("visible").is_none());
    for (member, value) in [
        ("about", json!("clusters:read")),
        ("outcome", json!("admit")),
        ("visible", json!([])),
    ] {
        let mut changed = refused.clone();
        changed[member] = value;
        let replayed = replay(&library, &changed);
        assert!(matches!(replayed, Replayed::Different(_)), "{member}");
    }
}

#[test]
fn a_condition_sees_the_moment_and_the_facts_of_the_record() {
    let (library, digest) = library();
    let young = right(&library, &digest, &json!({ "path": "/young" }));
    assert_eq!(young["outcome"], "admit");
    let mut later = young.clone();
    later["time"] = json!("2026-03-31T13:00:00Z");
    assert!(matches!(
        replay(&library, &later),
        Replayed::Different(answer) if answer.reason.as_deref() == Some("condition-not-met")
    ));
    let session = json!({
        "kind": "session", "method": "PUT", "path": "/clusters/prod",
        "facts": { "roles": ["careful"], "mfa": true, "auth_time": NOW },
    });
    let careful = right(&library, &digest, &session);
    assert_eq!(careful["outcome"], "admit");
    let mut without = careful;
    without["facts"]["mfa"] = json!(false);
    assert!(matches!(replay(&library, &without), Replayed::Different(_)));
}

#[test]
fn what_the_gate_itself_refused_after_an_allow_is_no_difference() {
    let (library, digest) = library();
    let asked = json!({ "path": "/clusters/prod", "facts": { "roles": ["reader"] } });
    let admitted = right(&library, &digest, &asked);
    assert_eq!(admitted["outcome"], "admit");
    let because = |reason: &str, about: Option<&str>| {
        let mut line = admitted.clone();
        line["outcome"] = json!("refuse");
        line["reason"] = json!(reason);
        if let Some(about) = about {
            line["about"] = json!(about);
        }
        replay(&library, &line)
    };
    // The cluster was not registered, and later an upstream failed.
    assert_eq!(
        because("cluster-not-allowed", Some("prod")),
        Replayed::Identical
    );
    assert_eq!(because("bad-gateway", Some("refused")), Replayed::Identical);
    for (reason, about) in [
        ("cluster-not-allowed", Some("dev")),
        ("cluster-not-allowed", None),
        ("no-route", None),
        ("missing-permission", Some("clusters:read")),
        ("bad-gatewax", None),
    ] {
        let replayed = because(reason, about);
        assert!(matches!(replayed, Replayed::Different(_)), "{reason}");
    }
}

#[test]
fn long_and_secret_lists_are_proven_by_their_hash() {
    let (library, digest) = library();
    let ids: Vec<String> = (0..40)
        .map(|number| format!("cluster-{number:02}"))
        .collect();
    let facts = json!({ "roles": ["reader"], "clusters": ids });
    let many = right(
        &library,
        &digest,
        &json!({ "facts": facts, "visible": null }),
    );
    assert_eq!(many["visible"]["count"], 40);
    assert_eq!(replay(&library, &many), Replayed::Identical);
    let mut changed = many;
    changed["visible"]["count"] = json!(41);
    assert!(matches!(replay(&library, &changed), Replayed::Different(_)));

    let secret = Clusters::only(["sg_live_x"]);
    assert!(matches!(Visible::of(&secret), Visible::Hashed { .. }));
    // By name, had a later version a longer list: the record's form is what is compared in.
    let named = Visible::Only(vec!["a".to_owned()].into());
    let recomputed = named.in_this_form(&Clusters::only(["a"]));
    assert_eq!(recomputed, named);
}

#[test]
fn what_is_redacted_in_an_answer_is_proven_and_in_a_question_is_not() {
    let (library, digest) = library();
    let odd = right(&library, &digest, &json!({ "path": "/odd" }));
    assert_eq!(odd["about"], "[redacted]");
    let mut hashed = odd;
    let id = hashed["request_id"].as_str().unwrap().to_owned();
    let about = |text: &str| json!({ "about": crate::audit::redacted_sha256(&id, text) });
    hashed["redacted"] = about("odd_agent_things:read");
    assert_eq!(replay(&library, &hashed), Replayed::Identical);
    hashed["redacted"] = about("odd_agent_things:write");
    assert!(matches!(replay(&library, &hashed), Replayed::Different(_)));

    let why = |members: &Value| match read(&record(&digest, members).to_string()) {
        Ok(Entry::Unknown { policy, why }) if policy == digest => why,
        other => panic!("{other:?}"),
    };
    let path =
        json!({ "path": "/clusters/[redacted]", "redacted": { "path": "00", "query.a": "00" } });
    let places = vec!["path".to_owned(), "query.a".to_owned()];
    assert_eq!(why(&path), WhyNot::Redacted(places));
    let withheld = json!({ "facts": { "sha256": "00" } });
    assert_eq!(why(&withheld), WhyNot::FactsWithheld);
    assert_eq!(why(&json!({ "facts": null })), WhyNot::NoFacts);
}

#[test]
fn a_line_is_a_record_or_says_what_is_wrong_with_it() {
    let read = |members: Value| read(&record("sha256:00", &members).to_string());
    let limited = json!({
        "rule": null, "policy": null, "visible": null, "outcome": "refuse", "reason": "rate-limited",
    });
    assert!(matches!(read(limited), Ok(Entry::Undecided(reason)) if reason == "rate-limited"));
    let let_in = json!({ "rule": null, "policy": null, "visible": null, "path": "/auth/login" });
    assert!(matches!(read(let_in), Ok(Entry::LetIn(path)) if path == "/auth/login"));
    assert!(matches!(
        super::read(r#"{"time":"2026-03-31T12:00:00Z","kind":"change","action":"key.mint"}"#),
        Ok(Entry::Change)
    ));
    for (members, member) in [
        (json!({ "kind": "robot" }), "kind"),
        (json!({ "outcome": null }), "outcome"),
        (json!({ "policy": null }), "policy"),
        (json!({ "rule": null }), "rule"),
        (json!({ "time": "noon" }), "time"),
        (json!({ "address": null }), "address"),
        (json!({ "credential": null }), "credential"),
        (json!({ "request_id": null }), "request_id"),
        // What a policy alone says, without one.
        (json!({ "rule": null, "policy": null }), "policy"),
        (
            json!({ "rule": null, "policy": null, "visible": null, "outcome": "refuse", "reason": "missing-permission" }),
            "policy",
        ),
        (
            json!({ "rule": null, "policy": null, "visible": null, "outcome": "refuse" }),
            "reason",
        ),
        (
            json!({ "rule": null, "policy": null, "visible": null, "reason": "no-route" }),
            "reason",
        ),
    ] {
        assert_eq!(read(members).unwrap_err(), BadLine::Member(member));
    }
    for broken in ["", "{", "[]", r#"{"time":"x","kind":7}"#] {
        assert!(
            matches!(super::read(broken), Err(BadLine::Json(_))),
            "{broken}"
        );
    }
    let misspelt = json!({ "facts": { "rolls": [] } });
    assert!(matches!(read(misspelt), Err(BadLine::Json(_))));
}

#[test]
fn the_gate_lets_in_by_itself_where_people_sign_in_and_nowhere_else() {
    for path in ["/auth/login", "/auth/refresh/", "/auth/logout", "/-/login"] {
        assert!(lets_in(path, None), "{path}");
    }
    for path in [
        "/",
        "/clusters",
        "/-/api/keys",
        "/-/api",
        "/auth",
        "/session",
    ] {
        assert!(!lets_in(path, None), "{path}");
    }
    let text = Contract::builtin_text("k8cost").unwrap();
    let own = text.replace("/auth/login", "/session");
    let own = Contract::from_yaml("own.yaml", &own).unwrap();
    assert!(lets_in("/session", Some(&own)));
}

#[test]
fn nobody_has_no_facts() {
    let (library, digest) = library();
    let nobody = json!({
        "kind": "anonymous", "facts": null, "organization": null, "credential": null, "path": "/health",
    });
    let line = right(&library, &digest, &nobody);
    let Ok(Entry::Decided(recorded)) = read(&line.to_string()) else {
        panic!("{line}");
    };
    assert_eq!(recorded.caller, Caller::anonymous());
    let known = library.get(&digest).unwrap().unwrap();
    let own = pollster::block_on(known.decide(Way::Component, &recorded.caller, &recorded.request));
    assert!(matches!(
        own,
        Ok(Decision {
            outcome: Decided::Allow(_),
            ..
        })
    ));
    assert_eq!(replay(&library, &line), Replayed::Identical);
}

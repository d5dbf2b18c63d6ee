//! A gate's log, decided again: over policies that change, a policy that was written by hand, and what is redacted. That of
//! every product and of every condition the corpus replays (`corpus/over_http.rs`).

use std::{collections::BTreeMap, sync::Arc};

use scopegate_host::{
    engine::{Sandbox, SandboxConfig},
    policies::{Component, PolicyCommand},
    replay::{self, Entry, Library, Replayed, Way, WhyNot},
    store::Actor as By,
};
use serde_json::{Value, json};

use crate::{
    harness::{Actor, Key, Options, World, checks, json_reply},
    sandbox::guest::Guest,
    shipping::{component, document},
};

/// What came of the records, and how many of which policy were identical.
#[derive(Default)]
struct Came {
    identical: BTreeMap<String, usize>,
    different: Vec<Value>,
    unknown: Vec<WhyNot>,
}

async fn replayed(library: &Library, records: &[Value]) -> Came {
    let mut came = Came::default();
    for record in records {
        let recorded = match replay::read(&record.to_string()).expect("a record") {
            Entry::Decided(recorded) => recorded,
            Entry::Unknown { why, .. } => {
                came.unknown.push(why);
                continue;
            }
            Entry::Undecided(_) | Entry::LetIn(_) | Entry::Change => continue,
        };
        let known = library
            .get(&recorded.policy)
            .expect("kept")
            .expect("it loads");
        match replay::decide_again(&recorded, known, Way::Component).await {
            Replayed::Identical => *came.identical.entry(recorded.policy).or_default() += 1,
            _ => came.different.push(record.clone()),
        }
    }
    came
}

async fn activate(world: &World, component: &[u8]) {
    let command = PolicyCommand::Push {
        component: Component(component.to_vec().into()),
    };
    let policies = world.running().policies();
    let done = policies.execute(command, By::Machine.into(), world.clock.now_ms());
    done.await.expect("activated");
}

async fn ask(callers: &[&Actor], paths: &[&str]) {
    for caller in callers {
        for path in paths {
            caller.get(path).await;
        }
    }
}

#[tokio::test]
async fn a_log_over_changing_policies_is_what_they_answer() {
    let first: &'static str = document(1, "").leak();
    let world = World::with(Options {
        policy: Some(first),
        ..Options::of("scopegate")
    })
    .await;
    world.upstream.answers(|_| json_reply(200, json!({})));
    let extra = "  - { match: GET /v1/nodes, requires: clusters:read, cluster: none, when: 'caller.credential_age < duration(\"1h\")' }\n";
    let second = component(2, extra);
    let guest = Guest::new().build();
    let viewer = world.session("viewer").await;
    let key = Key {
        clusters: &["prod"],
        ..Key::default()
    };
    let key = world.key(key).await;
    let nobody = world.anonymous();
    let callers = [&viewer, &key, &nobody];
    let paths = ["/v1/clusters/prod", "/v1/clusters/gone", "/v1/nodes"];
    ask(&callers, &paths).await;
    activate(&world, &second).await;
    ask(&callers, &paths).await;
    // It opens everything to everybody, which no gate takes from a push.
    let by_hand = checks().sandbox.load(&guest).expect("a policy");
    world.running().gate().activate(Arc::new(by_hand));
    ask(&callers, &paths).await;
    let back = world
        .running()
        .policies()
        .roll_back(None, By::Machine.into(), world.clock.now_ms());
    back.await.expect("activated");
    ask(&[&viewer], &paths).await;
    activate(&world, &second).await;
    ask(&callers, &paths).await;

    let mut library = Library::new(Sandbox::new(SandboxConfig::default()).expect("a sandbox"));
    let digests = [component(1, ""), second, guest].map(|bytes| library.add("it", bytes));
    let records = world.audit().await;
    let came = replayed(&library, &records).await;
    assert!(came.different.is_empty(), "{:#?}", came.different);
    assert!(came.unknown.is_empty(), "{:?}", came.unknown);
    for digest in &digests {
        let count = came.identical.get(digest).copied().unwrap_or_default();
        assert!(count >= 6, "{digest}: {count}");
    }

    // One answer that is another, in each policy's part of the log, is found wherever it is.
    for digest in &digests {
        let of_it =
            |record: &&Value| record["policy"] == **digest && record.get("visible").is_some();
        let mut record = records.iter().find(of_it).expect("an allow").clone();
        record["visible"] = json!(["elsewhere"]);
        assert_eq!(replayed(&library, &[record]).await.different.len(), 1);
    }
}

#[tokio::test]
async fn what_looks_like_a_secret_is_hashed_and_not_replayed() {
    let world = World::start("kubeadapt").await;
    let key = world.key(Key::default()).await;
    key.get("/v1/clusters/ka_live_pasted/nodes").await;
    let records = world.audit().await;
    let record = records.last().expect("a record");
    assert_eq!(record["path"], "/v1/clusters/[redacted]/nodes");
    let hash = record["redacted"]["path"].as_str().expect("a hash");
    assert_eq!(hash.len(), 64);
    assert!(!record.to_string().contains("pasted"));
    let library = Library::new(Sandbox::new(SandboxConfig::default()).expect("a sandbox"));
    let came = replayed(&library, &records).await;
    assert_eq!(came.unknown, [WhyNot::Redacted(vec!["path".to_owned()])]);
    assert!(world.verify_audit().await.is_clean());
}

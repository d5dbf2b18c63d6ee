//! Bad candidates of every kind: each is refused in words that say what to do, and the policy before goes on.

use scopegate_host::{
    bundle::{self, CarriedTests, PolicySigningKey, sign, with_tests},
    engine::build_document,
};

use super::{active, by_hand, component, operator, push, world, world_that_trusts};
use crate::{
    harness::{Actor, World},
    sandbox::guest::{Guest, component as guest_of, description},
};

/// A bad candidate.
pub struct Bad {
    pub kind: &'static str,
    pub bytes: Vec<u8>,
    /// What is wrong with it, whole. `…` stands for words that are not ours.
    pub said: &'static str,
    /// What to do.
    pub help: &'static str,
}

const NO_COMPONENT: &str = "push the whole file that `scopegate policy build` wrote, or a component of the world `policy` in `wit/`";
const UNSIGNED: &str = "build it if it is a document, sign the `.wasm` with `scopegate policy sign`, by a key whose public half `policy_keys` names, and push or name that file";
const DESCRIBE: &str = "`describe` must end soon, within the memory that a policy has; try it with `scopegate policy inspect`";
const DECIDE: &str = "correct `decide`: it must answer every question, soon and within its memory";

/// Each kind but those of signatures, which not every gate looks at.
pub fn bad() -> Vec<Bad> {
    let mut all = of_no_policy();
    all.extend(of_policies_that_fail());
    all
}

fn of_no_policy() -> Vec<Bad> {
    let mut cut_off = component(2, "");
    cut_off.truncate(cut_off.len() / 2);
    let import = r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#;
    let greeter = guest_of(
        r#"(module (memory (export "memory") 1) (func (export "hello") (result i32) (i32.const 1)))"#,
        "package other:hello@1.0.0; world greeter { export hello: func() -> u32; }",
        "greeter",
    );
    vec![
        Bad {
            kind: "broken bytes",
            bytes: b"not wasm at all".to_vec(),
            said: "this is not a component that the sandbox can run: …",
            help: NO_COMPONENT,
        },
        Bad {
            kind: "nothing",
            bytes: Vec::new(),
            said: "this is not a component that the sandbox can run: …",
            help: NO_COMPONENT,
        },
        Bad {
            kind: "a document, which has a mistake besides",
            bytes: b"policy: shipped\nroutes: [nonsense\n".to_vec(),
            said: "this is not a component that the sandbox can run: …",
            help: NO_COMPONENT,
        },
        Bad {
            kind: "cut off",
            bytes: cut_off,
            said: "this is not a component that the sandbox can run: …",
            help: NO_COMPONENT,
        },
        Bad {
            kind: "imports",
            bytes: wat::parse_str(import).expect("a component"),
            said: "a policy has no imports, and this component imports `wasi:clocks/wall-clock@0.2.0`",
            help: "build it without a standard library that reaches for the system, such as for `wasm32-unknown-unknown`",
        },
        Bad {
            kind: "another world",
            bytes: greeter,
            said: "this component is not a policy: it exports neither `scopegate:policy/rules@1.1.0` nor `scopegate:policy/rules@1.0.0`",
            help: "build it against the world `policy` in `wit/policy.wit`, of this version",
        },
        Bad {
            kind: "too large",
            bytes: [component(2, ""), vec![0; 8 << 20]].concat(),
            said: "the component has … bytes, more than 8388608",
            help: "build it for release and strip it: what `scopegate policy build` makes is far smaller",
        },
    ]
}

fn of_policies_that_fail() -> Vec<Bad> {
    let endless = "(loop $again (br $again))";
    let greedy = "(loop $again (drop (memory.grow (i32.const 16))) (br $again))";
    let describing = |instructions: &str| Guest {
        describe: instructions.to_owned(),
        ..Guest::new()
    };
    let mut nameless = description();
    nameless.name = String::new();
    let tests = "clusters: [prod]\ncallers: { viewer: { session: { role: viewer } } }\ncases:\n  \
        - { name: closed, caller: viewer, request: GET /v1/clusters/prod, expect: no-route }\n";
    let failing = CarriedTests {
        name: "policy.test.yaml".to_owned(),
        text: tests.to_owned(),
    };
    vec![
        Bad {
            kind: "an endless describe",
            bytes: describing(endless).build(),
            said: "the policy failed to describe itself: it ran longer than a policy may",
            help: DESCRIBE,
        },
        Bad {
            kind: "a greedy describe",
            bytes: describing(greedy).build(),
            said: "the policy failed to describe itself: …its memory would grow to … bytes, more than it may have",
            help: DESCRIBE,
        },
        Bad {
            kind: "another description",
            bytes: Guest {
                description: nameless,
                ..Guest::new()
            }
            .build(),
            said: "the policy's description makes no sense: …",
            help: "correct what `describe` gives",
        },
        Bad {
            kind: "a decide that traps",
            bytes: Guest::deciding("unreachable").build(),
            said: "the policy fails when it is asked: …unreachable…, asked about `GET /v1/health`",
            help: DECIDE,
        },
        Bad {
            kind: "an endless decide",
            bytes: Guest::deciding(endless).build(),
            said: "the policy fails when it is asked: it ran longer than a policy may, asked about `GET /v1/health`",
            help: DECIDE,
        },
        Bad {
            kind: "a greedy decide",
            bytes: Guest::deciding(greedy).build(),
            said: "the policy fails when it is asked: …its memory would grow to … bytes, more than it may have, asked about `GET /v1/health`",
            help: DECIDE,
        },
        Bad {
            kind: "failing tests",
            bytes: with_tests(component(2, ""), &[failing]),
            said: "the tests that the policy carries fail: policy.test.yaml:4 \"closed\": `viewer` asks for `GET /v1/clusters/prod`: allowed (prod) instead of refused (no-route)",
            help: "correct the policy or its tests, and build it again",
        },
    ]
}

/// Whether this was said, `…` in it standing for anything.
pub fn fits(expected: &str, said: &str) -> bool {
    let expected = regex::escape(expected).replace('…', ".*");
    let expected = regex::Regex::new(&format!("(?s)^{expected}$"));
    expected.expect("a pattern").is_match(said)
}

/// Those that only a gate refuses that names keys, which these are.
fn badly_signed() -> (Vec<Bad>, PolicySigningKey) {
    let [ours, others] = [(); 2].map(|()| PolicySigningKey::ephemeral().expect("a key"));
    let mut changed = sign(component(2, ""), &ours);
    // In the document that it carries.
    let place = changed.windows(7).rposition(|text| text == b"shipped");
    changed[place.expect("its name")] ^= 1;
    let signed_by_others = sign(component(2, ""), &others);
    let kinds = [
        ("unsigned", component(2, "")),
        ("signed by others", signed_by_others),
        ("changed after it was signed", changed),
    ];
    let bad = kinds.map(|(kind, bytes)| Bad {
        kind,
        bytes,
        said: "",
        help: match kind {
            "unsigned" => UNSIGNED,
            "signed by others" => {
                "sign it with `scopegate policy sign`, by a key whose public half `policy_keys` names"
            }
            _ => "get it again from whoever signed it, and find out who changed it",
        },
    });
    (bad.into(), ours)
}

/// Pushes it to a gate that serves: it is refused, and requests before and after are decided by the same policy. Gives
/// what was said.
async fn refused(world: &World, operator: &Actor, viewer: &Actor, bad: Bad) -> String {
    let Bad {
        kind, bytes, help, ..
    } = bad;
    let digest = bundle::digest(&bytes);
    let before = active(world);
    assert_eq!(viewer.get("/v1/clusters/prod").await.status, 200, "{kind}");
    let refused = push(operator, bytes).await;
    assert_eq!(refused.status, 422, "{kind}: {}", refused.body);
    assert_eq!(viewer.get("/v1/clusters/prod").await.status, 200, "{kind}");
    assert_eq!(active(world), before, "{kind}");
    let refused = refused.json();
    let detail = refused["detail"].as_str().expect("a detail");
    let said = detail.strip_prefix("the policy is refused, and the one before goes on: ");
    let said = said.and_then(|said| said.strip_suffix(help)?.strip_suffix(": "));
    let said = said.unwrap_or_else(|| panic!("{kind}: {detail}"));
    let lines = world.audit_lines().await;
    let record = lines.iter().rfind(|line| line["action"] == "policy.refuse");
    let record = record.unwrap_or_else(|| panic!("{kind}: no record"));
    assert_eq!(record["subject"], digest, "{kind}");
    assert_eq!(record["detail"]["wanted"], "push", "{kind}");
    let why = record["detail"]["why"].as_str().expect("a reason");
    assert!(!why.is_empty() && detail.starts_with(why), "{kind}: {why}");
    said.to_owned()
}

/// That one policy decided all that was asked.
async fn assert_one_policy(world: &World, requests: usize) {
    let digest = active(world);
    let mut records = world.audit().await;
    records.retain(|record| record["path"] == "/v1/clusters/prod");
    assert_eq!(records.len(), requests);
    for record in records {
        assert_eq!(record["policy"], digest, "{record}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_refused_in_words_that_say_what_to_do() {
    let world = world().await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let first = active(&world);
    let bad = bad();
    let requests = 2 * bad.len();
    let mut wrong = Vec::new();
    for bad in bad {
        let (kind, expected) = (bad.kind, bad.said);
        let said = refused(&world, &operator, &viewer, bad).await;
        if !fits(expected, &said) {
            wrong.push(format!("{kind}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_one_policy(&world, requests).await;
    // A good one that was written by hand is none of them: it refuses everything, and makes sense.
    let pushed = push(&operator, by_hand()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    assert_ne!(active(&world), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_keys_are_named_so_is_what_none_of_them_signed() {
    let (bad, key) = badly_signed();
    let world = world_that_trusts(vec![key.public()]).await;
    let operator = operator(&world).await;
    let viewer = world.session("viewer").await;
    let requests = 2 * bad.len();
    let mut told = Vec::new();
    for bad in bad {
        told.push(refused(&world, &operator, &viewer, bad).await);
    }
    let [unsigned, by_others, changed] = told.try_into().expect("three");
    assert_eq!(unsigned, "the policy is not trusted: it is not signed");
    assert!(
        by_others.starts_with("the policy is not trusted: it is signed by `")
            && by_others.ends_with("`, and none of these keys is trusted"),
        "{by_others}"
    );
    let id = key.public().id().to_owned();
    assert_eq!(
        changed,
        format!(
            "the policy is not trusted: the signature by `{id}` does not fit: it was changed after it was signed"
        )
    );
    assert_one_policy(&world, requests).await;
    let signed = push(&operator, sign(component(2, ""), &key)).await;
    assert_eq!(signed.status, 201, "{}", signed.body);
}

#[test]
fn what_the_products_ship_passes() {
    let checks = crate::harness::checks();
    for name in scopegate_policy::documents::names() {
        let text = scopegate_policy::documents::builtin(name).expect("built in");
        let component = build_document(name, text).expect("a policy");
        checks
            .check(&component)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

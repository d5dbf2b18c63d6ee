//! What `policy build` puts into a file, the same for the same input, and what `policy inspect` says of it.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use scopegate_host::bundle::{self, CarriedTests};
use serde_json::{Value, json};

use super::binary::{run, run_ok, scopegate, text};

const DOCUMENT: &str = "policy: small\nversion: '7'\npermissions:\n  clusters:read: { category: C, unlocks: c }\nroles:\n  admin: ['*']\n  viewer: [clusters:read]\nroutes:\n  - { match: GET /v1/health, public: true }\n";
const TESTS: &str = "cases:\n  - { name: health, caller: anonymous, request: GET /v1/health, expect: none }\n  - { name: others, caller: anonymous, request: GET /v1/other, expect: not-authenticated }\n";

/// A directory with a document and its tests, and the bundle that one process makes of them there.
fn built(variables: &[(&str, &str)], age_secs: u64) -> (tempfile::TempDir, Vec<u8>) {
    let place = tempfile::tempdir().expect("a directory");
    let written = SystemTime::now() - Duration::from_secs(age_secs);
    for (name, text) in [("policy.yaml", DOCUMENT), ("policy.test.yaml", TESTS)] {
        let path = place.path().join(name);
        fs::write(&path, text).expect("writable");
        let file = fs::File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(written))
            .expect("aged");
    }
    let build = Command::new(scopegate())
        .args(["policy", "build", "policy.yaml", "-o", "policy.wasm"])
        .args(["--tests", "policy.test.yaml"])
        .current_dir(place.path())
        .envs(variables.iter().copied())
        .output();
    let build = build.expect("it runs");
    assert!(
        build.status.success(),
        "{}",
        String::from_utf8_lossy(&build.stderr)
    );
    let bytes = fs::read(place.path().join("policy.wasm")).expect("written");
    (place, bytes)
}

fn inspect(place: &Path, arguments: &[&str]) -> Value {
    let command = ["policy", "inspect", "policy.wasm", "--output", "json"];
    let printed = run_ok(place, &[&command, arguments].concat());
    serde_json::from_str(&printed).expect("JSON")
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (first, bytes) = built(&[], 0);
    let elsewhere = [
        ("HOME", "/nowhere"),
        ("TZ", "Asia/Tokyo"),
        ("USER", "somebody"),
        ("RAYON_NUM_THREADS", "1"),
    ];
    let (second, again) = built(&elsewhere, 40_000_000);
    assert!(bytes == again, "the bundles differ");
    for place in [&first, &second] {
        let path = place.path().to_str().expect("text").as_bytes();
        assert!(!bytes.windows(path.len()).any(|part| part == path));
    }
    // One letter more, and it is another.
    fs::write(first.path().join("policy.yaml"), format!("{DOCUMENT}#\n")).expect("writable");
    run_ok(
        first.path(),
        &["policy", "build", "policy.yaml", "-o", "other.wasm"],
    );
    assert!(fs::read(first.path().join("other.wasm")).expect("written") != bytes);
}

#[test]
fn only_a_component_that_works_is_signed() {
    let (place, bytes) = built(&[], 0);
    let place = place.path();
    run_ok(place, &["policy", "key", "new", "key.pem"]);
    let public = run_ok(place, &["policy", "key", "public", "key.pem"]);
    fs::write(place.join("key.pub"), public).expect("writable");
    let cut = &bytes[..bytes.len() - 20];
    let build_first = "help: build it first: `scopegate policy build ";
    for (file, content, says) in [
        ("policy.yaml", DOCUMENT.as_bytes(), build_first),
        ("text.wasm", b"policy: small\n", build_first),
        ("cut.wasm", cut, "nothing is signed: "),
    ] {
        fs::write(place.join(file), content).expect("writable");
        let signed = run(place, &["policy", "sign", file, "--key", "key.pem"]);
        let said = text(&signed.stderr);
        assert_eq!(signed.status.code(), Some(1), "{file}: {said}");
        assert!(said.contains(says), "{file}: {said}");
        assert!(
            fs::read(place.join(file)).expect("readable") == content,
            "{file} is another"
        );
        let verified = run(place, &["policy", "verify", file, "--trust", "key.pub"]);
        let said = text(&verified.stderr);
        assert_eq!(verified.status.code(), Some(1), "{file}: {said}");
        let says = says.replace("nothing is signed: ", "not a whole component");
        assert!(said.contains(&says), "{file}: {said}");
    }
    // What is signed is told by the digest that it has then.
    for command in [
        ["sign", "--key", "key.pem"],
        ["verify", "--trust", "key.pub"],
    ] {
        let [command, option, key] = command;
        let said = run_ok(place, &["policy", command, "policy.wasm", option, key]);
        let file = fs::read(place.join("policy.wasm")).expect("readable");
        assert!(said.contains(&bundle::digest(&file)), "{said}");
    }
    // Changed behind it: nobody should sign that again without a look.
    let mut changed = fs::read(place.join("policy.wasm")).expect("readable");
    let at = changed.windows(5).rposition(|part| part == b"small");
    changed[at.expect("its name")] ^= 1;
    fs::write(place.join("policy.wasm"), &changed).expect("writable");
    let verified = run(
        place,
        &["policy", "verify", "policy.wasm", "--trust", "key.pub"],
    );
    let said = text(&verified.stderr);
    assert!(said.contains("find out who changed it"), "{said}");
    let signed = run(
        place,
        &["policy", "sign", "policy.wasm", "--key", "key.pem"],
    );
    assert_eq!(signed.status.code(), Some(1));
    assert!(fs::read(place.join("policy.wasm")).expect("readable") == changed);
}

#[test]
fn inspect_shows_people_every_condition() {
    let place = tempfile::tempdir().expect("a directory");
    let document = "policy: small\npermissions: { costs:read: , costs:write: }\n\
        roles: { admin: ['*'], finops: { permissions: [costs:read], when: 'caller.mfa' } }\nroutes:\n  \
        - { match: GET /v1/costs, requires: costs:read, cluster: none, when: 'caller.mfa' }\n  \
        - { match: POST /v1/costs, requires: costs:write, cluster: none, sign_in: true }\n  \
        - { match: GET /v1/gate, operator: true, cluster: none }\n";
    fs::write(place.path().join("policy.yaml"), document).expect("writable");
    let shown = run_ok(place.path(), &["policy", "inspect", "policy.yaml"]);
    for part in [
        r"finops +1 +caller\.mfa",
        r"GET /v1/costs +costs:read, when caller\.mfa +none",
        r"POST /v1/costs +costs:write, a recent sign-in +none",
        r"GET /v1/gate +an operator +none",
    ] {
        let part = regex::Regex::new(part).expect("a pattern");
        assert!(part.is_match(&shown), "{part}: {shown}");
    }
}

#[test]
fn inspect_says_all_that_a_bundle_carries() {
    let (place, bytes) = built(&[], 0);
    let place = place.path();
    let before = inspect(place, &[]);
    let digest = |text: &str| bundle::digest(text.as_bytes());
    let built_by = format!("scopegate {}", env!("CARGO_PKG_VERSION"));
    let tests = json!([{ "name": "policy.test.yaml", "digest": digest(TESTS) }]);
    assert_eq!(
        before["metadata"],
        json!({
            "policy": "small", "version": "7", "built_by": built_by,
            "document": digest(DOCUMENT), "tests": tests,
        })
    );
    assert_eq!(before["tests"][0]["cases"], 2);
    assert_eq!(before["document"], digest(DOCUMENT));
    assert_eq!(
        (&before["signatures"], &before["contradictions"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(
        (&before["from_document"], &before["imports"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(before["digest"], before["signed_digest"]);

    for name in ["ours", "theirs"] {
        let key = format!("{name}.pem");
        run_ok(place, &["policy", "key", "new", &key]);
        let public = run_ok(place, &["policy", "key", "public", &key]);
        fs::write(place.join(format!("{name}.pub")), public).expect("writable");
        run_ok(place, &["policy", "sign", "policy.wasm", "--key", &key]);
    }
    let standings = |shown: &Value| -> Vec<Value> {
        let signatures = shown["signatures"].as_array().expect("a list");
        signatures
            .iter()
            .map(|signature| signature["standing"].clone())
            .collect()
    };
    let signed = inspect(place, &[]);
    assert_eq!(standings(&signed), [Value::Null, Value::Null]);
    assert_eq!(signed["signed_digest"], before["digest"]);
    assert_ne!(signed["digest"], before["digest"]);
    assert_eq!(signed["metadata"], before["metadata"]);
    let judged = inspect(place, &["--trust", "ours.pub"]);
    assert_eq!(standings(&judged), [json!("good"), json!("unknown")]);
    let shown = run_ok(
        place,
        &["policy", "inspect", "policy.wasm", "--trust", "theirs.pub"],
    );
    assert!(shown.contains("policy.test.yaml (2 cases)"), "{shown}");
    assert!(
        shown.contains(" (unknown), ") && shown.contains(" (good)\n"),
        "{shown}"
    );

    // Moved to another bundle, a signature does not fit.
    let signatures = &fs::read(place.join("policy.wasm")).expect("readable")[bytes.len()..];
    run_ok(
        place,
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
    let other = fs::read(place.join("policy.wasm")).expect("readable");
    fs::write(place.join("policy.wasm"), [&other, signatures].concat()).expect("writable");
    let judged = inspect(place, &["--trust", "ours.pub", "theirs.pub"]);
    assert_eq!(standings(&judged), [json!("wrong"), json!("wrong")]);
}

#[test]
fn inspect_tells_a_bundle_that_lies_about_itself() {
    let (place, bytes) = built(&[], 0);
    let path = place.path().join("policy.wasm");
    let lies = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("writable");
        let shown = inspect(place.path(), &[]);
        let lies = shown["contradictions"].as_array().expect("a list").clone();
        let said = run_ok(place.path(), &["policy", "inspect", "policy.wasm"]);
        assert_eq!(said.matches("warning: ").count(), lies.len(), "{said}");
        (
            lies.iter()
                .map(|lie| lie.as_str().expect("text").to_owned())
                .collect::<Vec<_>>()
                .join("\n"),
            shown,
        )
    };
    let replaced = |from: &str, to: &str, which: usize| {
        assert_eq!(from.len(), to.len());
        let mut changed = bytes.clone();
        let found = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes()));
        let at = found.collect::<Vec<_>>()[which];
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        changed
    };
    assert_eq!(lies(&bytes).0, "");
    let (lie, _) = lies(&replaced(r#""policy":"small""#, r#""policy":"other""#, 0));
    assert_eq!(
        lie,
        "its metadata says that the policy is `other`, and it is `small`"
    );
    let (lie, _) = lies(&replaced(r#""version":"7""#, r#""version":"8""#, 0));
    assert!(lie.contains("the version is `8`"), "{lie}");
    let (lie, _) = lies(&replaced("expect: none", "expect: nono", 0));
    assert_eq!(lie, "its metadata names other tests than it carries");
    // The document says one thing, and what decides is another.
    let (lie, shown) = lies(&replaced("/v1/health, public", "/v1/secret, public", 0));
    assert!(lie.contains("not what this version makes of it"), "{lie}");
    assert!(
        lie.contains("its metadata says that the document is"),
        "{lie}"
    );
    assert_eq!(shown["from_document"], false);
    // More tests behind what was said.
    let more = CarriedTests {
        name: "more.test.yaml".into(),
        text: TESTS.into(),
    };
    let (lie, shown) = lies(&bundle::with_tests(bytes.clone(), &[more]));
    assert_eq!(
        (&shown["tests"], &shown["metadata"]),
        (&json!([]), &Value::Null),
        "{lie}"
    );
    assert!(lie.contains("not what this version makes of it"), "{lie}");
}

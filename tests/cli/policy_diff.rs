//! `scopegate policy diff`: its page, exit codes, and what it cannot read.

use std::fs;

use serde_json::Value;

use super::{
    binary::{repository, run, run_ok, text},
    pages,
};

#[test]
fn the_page_shows_what_happens() {
    let directory = tempfile::tempdir().expect("a directory");
    pages::run("docs/policy-diff.md", directory.path(), "");

    // The same for programs: gains first, each with its lines.
    let arguments = [
        "policy",
        "diff",
        "old.yaml",
        "policy.yaml",
        "--output",
        "json",
    ];
    let shown = run_ok(directory.path(), &arguments);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let gain = &shown["differences"][0];
    assert_eq!(gain["effect"], "gains");
    assert_eq!(gain["new_route"], "DELETE /v1/clusters/{cluster}");
    assert_eq!(gain["examples"][0]["who"], "`viewer`");
    assert_eq!(
        gain["examples"][0]["before"]["deny"]["missing-permission"],
        "clusters:write"
    );
    assert_eq!(shown["left_out"], 0);
}

#[test]
fn differences_are_an_exit_code_only_where_that_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let document = repository().join("policy/documents/kubeadapt.yaml");
    let document = fs::read_to_string(document).expect("a document");
    let changed = document.replacen("public: true", "requires: clusters:read, cluster: none", 1);
    assert_ne!(changed, document);
    fs::write(directory.path().join("policy.yaml"), changed).expect("writable");
    fs::write(directory.path().join("broken.yaml"), "policy: [").expect("writable");
    for (arguments, code, said) in [
        (vec!["kubeadapt", "kubeadapt", "--exit-code"], 0, ""),
        (vec!["kubeadapt", "policy.yaml"], 0, ""),
        (
            vec!["kubeadapt", "policy.yaml", "--exit-code"],
            1,
            "error: the policies differ",
        ),
        (vec!["kubeadapt", "nothing.yaml"], 1, "built in are"),
        (vec!["kubeadapt", "broken.yaml"], 1, "broken.yaml:1:"),
        (vec!["kubeadapt"], 2, "NEW"),
    ] {
        let arguments: Vec<&str> = ["policy", "diff"].into_iter().chain(arguments).collect();
        let output = run(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
    let limited = run_ok(
        directory.path(),
        &["policy", "diff", "kubeadapt", "policy.yaml", "--limit", "1"],
    );
    assert!(limited.contains("more: `--limit` shows them"), "{limited}");
}

#[test]
fn what_a_log_recorded_is_asked_as_well() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let document = "policy: acme\npermissions:\n  costs:read:\nroles:\n  viewer: [\"costs:read\"]\nroutes:\n  - { match: GET /v1/costs, requires: costs:read, cluster: none }\n";
    fs::write(path.join("old.yaml"), document).expect("writable");
    let closed = document.replace("roles:\n  viewer: [\"costs:read\"]", "roles:\n  viewer: []");
    fs::write(path.join("new.yaml"), closed).expect("writable");
    let record = r#"{"time":"2026-03-31T12:00:00Z","request_id":"0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11","kind":"session","organization":"o","user":"u","credential":"c","facts":{"roles":["viewer"]},"address":"192.0.2.1","method":"GET","path":"/v1/costs","outcome":"admit","rule":{"route":0,"grant":{"role":0},"restriction":"none"},"visible":"*","policy":"sha256:00"}"#;
    let without = record.replace(r#""facts":{"roles":["viewer"]},"#, "");
    let limited = r#"{"time":"2026-03-31T12:00:00Z","kind":"anonymous","outcome":"refuse","reason":"rate-limited"}"#;
    fs::write(
        path.join("log.jsonl"),
        format!("{limited}\n{record}\n{record}\n{without}\n"),
    )
    .expect("writable");
    let arguments = [
        "policy",
        "diff",
        "old.yaml",
        "new.yaml",
        "--audit",
        "log.jsonl",
    ];
    let shown = run_ok(path, &[&arguments[..], &["--output", "json"]].concat());
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let group = &shown["differences"][0];
    assert_eq!(group["effect"], "loses");
    assert_eq!(group["met"], 2);
    assert_eq!(
        group["places"],
        serde_json::json!(["log.jsonl:2", "log.jsonl:3"])
    );
    assert_eq!(group["examples"][0]["from"], "log.jsonl:2");
    assert_eq!(shown["from_audit"], 2);
    assert_eq!(shown["from_tests"], 0);
    let not_asked = shown["not_asked"].as_object().expect("an object");
    assert_eq!(not_asked.values().next(), Some(&Value::from(1)));
    let said = run_ok(path, &arguments);
    assert!(
        said.contains("    met at log.jsonl:2, log.jsonl:3\n"),
        "{said}"
    );

    fs::write(path.join("log.jsonl"), format!("{record}\nnothing\n")).expect("writable");
    let broken = run(path, &arguments);
    assert_eq!(broken.status.code(), Some(1));
    let said = text(&broken.stderr);
    assert!(said.contains("log.jsonl:2: this is no record"), "{said}");
}

//! `scopegate policy replay`: its page over a gate of one's own, exit codes, and what is no record.

use std::fs;

use serde_json::Value;

use super::{
    binary::{run, run_ok, run_with, text},
    own_gate::{gate, key, serve, status},
    pages,
};

#[test]
fn the_page_shows_what_happens() {
    let gate = gate("scopegate");
    let directory = gate.path();
    run_ok(directory, &["cluster", "add", "prod"]);
    let (_, header) = key(directory, &[]);
    let (server, url) = serve(directory);
    // Let through, to an upstream that is not there; refused before any policy; and refused by it.
    assert_eq!(status(&format!("{url}/v1/clusters"), &header), "502");
    assert_eq!(
        status(
            &format!("{url}/v1/clusters"),
            "-H 'Authorization: Bearer x'"
        ),
        "401"
    );
    assert_eq!(status(&format!("{url}/v1/nowhere"), &header), "404");
    server.interrupt();

    pages::run("docs/policy-replay.md", directory, "");

    // For programs, out of standard input, from a directory of policies, natively.
    let log = fs::read_to_string(directory.join("log.jsonl")).expect("written");
    let elsewhere = directory.join("elsewhere");
    let arguments = [
        "policy", "replay", "-", "--policy", "..", "--native", "--output", "json",
    ];
    let replayed = run_with(&elsewhere, &[], &log, &arguments);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    let replayed: Value = serde_json::from_str(&text(&replayed.stdout)).expect("JSON");
    assert_eq!(replayed["in"], "native");
    assert_eq!(replayed["replayed"], replayed["identical"]);
    assert_eq!(replayed["undecided"]["unknown-credential"], 1);
    let found = replayed["policies"][0]["from"].as_str().expect("a name");
    assert!(found.ends_with("policy.yaml"), "{found}");
    let arguments = [
        "policy",
        "replay",
        "changed.jsonl",
        "--policy",
        "..",
        "--output",
        "json",
    ];
    let changed = run(&elsewhere, &arguments);
    assert_eq!(changed.status.code(), Some(1));
    let changed: Value = serde_json::from_str(&text(&changed.stdout)).expect("JSON");
    let difference = &changed["differences"][0];
    assert_eq!(difference["recorded"]["outcome"], "admit");
    assert_eq!(difference["replayed"]["outcome"], "refuse");
    assert_eq!(changed["different"], 1);
    let missing = run(
        &elsewhere,
        &["policy", "replay", "../log.jsonl", "--allow-missing"],
    );
    assert!(missing.status.success(), "{}", text(&missing.stderr));
    // Anybody can ask for a path that looks like a secret.
    let arguments = ["policy", "replay", "secret.jsonl", "--policy", ".."];
    let secret = log
        .lines()
        .find(|line| line.contains("/v1/nowhere"))
        .expect("a record")
        .replace("/v1/nowhere", "/v1/[redacted]");
    let secret = secret.trim_end().trim_end_matches('}');
    let secret = format!("{secret},\"redacted\":{{\"path\":\"00\"}}}}\n");
    fs::write(elsewhere.join("secret.jsonl"), secret).expect("writable");
    let refused = run(&elsewhere, &arguments);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("--allow-redacted"), "{said}");
    let allowed = run(
        &elsewhere,
        &[&arguments[..], &["--allow-redacted"]].concat(),
    );
    assert!(allowed.status.success(), "{}", text(&allowed.stderr));
}

#[test]
fn lines_that_are_no_records_are_said_with_their_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = "{\"time\":\"2026-03-31T12:00:00Z\",\"kind\":\"change\",\"action\":\"key.mint\"}\n\n{\"time\":\n{\"kind\":\"robot\",\"time\":\"x\"}\n";
    fs::write(directory.path().join("log.jsonl"), log).expect("writable");
    let replayed = run(directory.path(), &["policy", "replay", "log.jsonl"]);
    assert_eq!(replayed.status.code(), Some(1));
    let said = text(&replayed.stderr);
    for part in [
        "error: log.jsonl:3: this is no record of the audit",
        "error: log.jsonl:4: this is no record of the audit: `kind` is missing or makes no sense",
        "error: 2 lines are no record",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // Let in without a policy: where people sign in, and nowhere else.
    let let_in = |path: &str| {
        format!(
            "{{\"time\":\"2026-03-31T12:00:00Z\",\"kind\":\"anonymous\",\"method\":\"POST\",\"path\":\"{path}\",\"outcome\":\"admit\"}}\n"
        )
    };
    let login = let_in("/-/login");
    let arguments = ["policy", "replay", "-"];
    let replayed = run_with(directory.path(), &[], &login, &arguments);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    let both = login + &let_in("/v1/clusters");
    let replayed = run_with(directory.path(), &[], &both, &arguments);
    assert_eq!(replayed.status.code(), Some(1));
    let said = text(&replayed.stderr);
    assert!(said.contains("error: -:2: this is no record"), "{said}");
    let absent = run(directory.path(), &["policy", "replay", "absent.jsonl"]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(text(&absent.stderr).contains("`absent.jsonl` cannot be read"));
    let nothing = run(directory.path(), &["policy", "replay"]);
    assert_eq!(nothing.status.code(), Some(2));
}

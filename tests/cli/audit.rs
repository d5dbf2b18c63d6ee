//! `scopegate audit` on a real store, beside a server and after it.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    binary::{Running, run, run_ok, shell, text},
    own_gate::{gate, key, serve},
};

fn records(directory: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["audit"], arguments, &["--output", "json"]].concat();
    let printed = run_ok(directory, &arguments);
    let parsed = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    parsed.collect()
}

#[test]
fn what_was_done_is_found_and_verified_while_it_serves_and_afterwards() {
    let gate = gate("scopegate");
    let directory = gate.path();
    run_ok(directory, &["cluster", "add", "prod"]);
    let (server, url) = serve(directory);
    key(directory, &[]);
    for _ in 0..3 {
        shell(&format!("curl -s {url}/v1/clusters"));
    }
    // Records are in the store a few milliseconds later.
    let refused = [
        "search",
        "--outcome",
        "refuse",
        "--path",
        "/v1/clusters",
        "--since",
        "1h",
    ];
    while records(directory, &refused).len() < 3 {}
    assert_eq!(
        records(directory, &refused)[0]["reason"],
        "not-authenticated"
    );
    let verified = run_ok(directory, &["audit", "verify"]);
    assert!(verified.contains("nothing is wrong"), "{verified}");
    let minted = records(
        directory,
        &["search", "--action", "key.mint", "--organization", "main"],
    );
    assert_eq!(minted.len(), 1);
    assert_eq!(minted[0]["detail"]["name"], "ci");
    let tail = records(directory, &["tail", "-n", "2"]);
    assert_eq!(tail.len(), 2);
    assert!(tail[0]["seq"].as_i64() < tail[1]["seq"].as_i64());
    server.interrupt();

    let all = records(directory, &["search", "--limit", "1000"]);
    let written = fs::read_to_string(directory.join("audit.jsonl")).expect("lines");
    let last: Value = serde_json::from_str(written.lines().last().expect("one")).expect("JSON");
    assert_eq!(last, all[0]);
    let verified = run_ok(directory, &["audit", "verify"]);
    assert!(verified.contains(", all signed"), "{verified}");
    let shown = run_ok(
        directory,
        &["audit", "search", "--user", "admin@example.com"],
    );
    assert_eq!(shown, "", "she has not signed in");
    let shown = run_ok(directory, &["audit", "tail", "-n", "1000"]);
    assert!(
        shown.contains("refuse not-authenticated  GET /v1/clusters  anonymous  127.0.0.1"),
        "{shown}"
    );
}

#[test]
fn what_was_changed_behind_its_back_fails_verifying() {
    let gate = gate("scopegate");
    let directory = gate.path();
    // `init` closes its store: the one file is all of it.
    let copy = fs::read(directory.join("scopegate.db")).expect("a store");
    run_ok(directory, &["cluster", "add", "prod"]);
    let public = run_ok(directory, &["audit", "public-key", "--output", "json"]);
    assert!(!public.contains("private"), "{public}");
    fs::write(directory.join("public.json"), public).expect("writable");

    // Put back to an older copy, with the heads and the public half on another machine.
    let elsewhere = tempfile::tempdir().expect("a directory");
    for name in ["public.json", "audit-heads.jsonl"] {
        fs::copy(directory.join(name), elsewhere.path().join(name)).expect("copied");
    }
    fs::write(elsewhere.path().join("copy.db"), &copy).expect("writable");
    let verify = [
        "audit",
        "verify",
        "--store",
        "copy.db",
        "--key",
        "public.json",
        "--heads",
        "audit-heads.jsonl",
    ];
    let output = run(elsewhere.path(), &verify);
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stdout);
    assert!(
        found.contains("the end is cut off: there was a record 3, and the last is 2"),
        "{found}"
    );
    let output = run(
        elsewhere.path(),
        &[&verify[..], &["--output", "json"]].concat(),
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["findings"][0]["finding"], "cut-off");

    // The machine itself does not go on from there. What a command left beside the file goes as well.
    for name in ["scopegate.db-wal", "scopegate.db-shm"] {
        let _ = fs::remove_file(directory.join(name));
    }
    fs::write(directory.join("scopegate.db"), copy).expect("writable");
    let output = run(directory, &["cluster", "add", "dev"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("does not go on to record 3"));
    assert!(text(&output.stderr).contains("help: "));
}

#[test]
fn without_a_key_it_is_said_that_nothing_is_signed() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let path = directory.join("scopegate.yaml");
    let configuration = fs::read_to_string(&path).expect("written");
    let unsigned: Vec<&str> = configuration
        .lines()
        .filter(|line| !line.contains("audit-key") && !line.contains("audit-heads"))
        .collect();
    fs::write(&path, unsigned.join("\n")).expect("writable");
    let output = run(directory, &["audit", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("`--unsigned`"));
    let verified = run_ok(directory, &["audit", "verify", "--unsigned"]);
    assert!(verified.contains("no signature verified") && verified.contains("nothing is wrong"));
    let mut server = Running::start_merged(directory, &["serve"]);
    server.lines_until("the audit is not signed");
}

#[test]
fn a_server_that_is_killed_leaves_a_chain_that_is_clean() {
    let gate = gate("scopegate");
    let directory = gate.path();
    for _ in 0..3 {
        let (server, url) = serve(directory);
        let load =
            format!("for i in $(seq 40); do curl -s -o /dev/null {url}/v1/x & done; sleep 0.1");
        shell(&load);
        // SIGKILL.
        drop(server);
        let verified = run_ok(directory, &["audit", "verify"]);
        assert!(verified.contains("nothing is wrong"), "{verified}");
    }
    // The file of lines is whole again once a server has started and ended.
    let (server, _) = serve(directory);
    server.interrupt();
    let written = fs::read_to_string(directory.join("audit.jsonl")).expect("lines");
    let numbers = written.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["seq"].as_i64().expect("a number")
    });
    let numbers: Vec<i64> = numbers.collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
}

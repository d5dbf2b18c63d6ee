//! `scopegate signing-key`, with and without a server.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{
    binary::{run, shell, text},
    own_gate::{gate, json, serve, status},
};

#[test]
fn a_running_server_has_the_keys_when_the_command_returns() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let first = json(directory, &["signing-key", "list"]);
    assert_eq!(first.as_array().expect("a list").len(), 1);
    assert_eq!(first[0]["signs"], true);
    // Without a server, the file is all there is to change.
    json(directory, &["signing-key", "rotate"]);
    let (server, url) = serve(directory);
    let user = json(
        directory,
        &["user", "add", "viewer@example.com", "--role", "viewer"],
    );
    let login = format!(
        "curl -s {url}/auth/login -H 'Content-Type: application/json' -d '{{\"email\":\"viewer@example.com\",\"password\":\"{}\"}}'",
        user["password"].as_str().expect("generated")
    );
    let token = || {
        let reply: Value = serde_json::from_str(&text(&shell(&login).stdout)).expect("JSON");
        format!(
            "-H 'Authorization: Bearer {}'",
            reply["token"].as_str().expect("a token")
        )
    };
    let path = format!("{url}/v1/organization");
    let old = token();
    // Admitted; nobody is at the upstream's address.
    assert_eq!(status(&path, &old), "502");
    let rotated = json(
        directory,
        &["signing-key", "rotate", "--algorithm", "es256"],
    );
    let set = text(&shell(&format!("curl -s {url}/-/jwks.json")).stdout);
    let set: Value = serde_json::from_str(&set).expect("JSON");
    assert_eq!(set["keys"][0]["kid"], rotated["kid"]);
    let new = token();
    assert_eq!(
        (status(&path, &old), status(&path, &new)),
        ("502".into(), "502".into())
    );
    let keys = json(directory, &["signing-key", "list"]);
    let second = keys[1]["kid"].as_str().expect("a kid");
    assert!(keys[1]["retires_at"].is_string(), "{keys}");
    json(directory, &["signing-key", "retire", second]);
    assert_eq!(
        (status(&path, &old), status(&path, &new)),
        ("401".into(), "502".into())
    );
    // A stolen key ends at once.
    json(
        directory,
        &["signing-key", "rotate", "--retire-after", "0s"],
    );
    assert_eq!(status(&path, &new), "401");
    server.interrupt();
    let mode = directory
        .join("signing-keys.json")
        .metadata()
        .expect("written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_done_to_keys_is_said() {
    let gate = gate("kubewatch");
    let directory = gate.path();
    let fails = |arguments: &[&str], code: i32, says: &str| {
        let output = run(directory, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    };
    fails(
        &["signing-key", "rotate", "--algorithm", "EdDSA"],
        2,
        "promises tokens signed with HS256",
    );
    fails(
        &["signing-key", "retire", "nothing"],
        1,
        "there is no key `nothing`",
    );
    let keys = json(directory, &["signing-key", "list"]);
    let signs = keys[0]["kid"].as_str().expect("a kid");
    fails(&["signing-key", "retire", signs], 1, "rotate first");
    let configuration = directory.join("scopegate.yaml");
    let text = std::fs::read_to_string(&configuration).expect("written");
    let without = text.replace("sessions:\n  keys: signing-keys.json\n", "");
    assert_ne!(text, without);
    std::fs::write(&configuration, without).expect("writable");
    fails(&["serve"], 1, "`sessions.keys` is not set");
    fails(&["signing-key", "rotate"], 1, "`sessions.keys` is not set");
}

/// Kubeadapt's API takes no sessions, but its management API does.
#[test]
fn every_contract_needs_keys() {
    let gate = gate("kubeadapt");
    let configuration = gate.path().join("scopegate.yaml");
    let text_of = std::fs::read_to_string(&configuration).expect("written");
    let without = text_of.replace("sessions:\n  keys: signing-keys.json\n", "");
    std::fs::write(&configuration, without).expect("writable");
    let output = run(gate.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("`sessions.keys` is not set"), "{said}");
}

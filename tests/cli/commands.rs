//! Commands for each resource, on the store itself and through a server that runs on it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    binary::{run, run_ok, run_with, shell, text},
    own_gate::{gate, json as shown, serve, serve_managed, status},
};

const ADMIN: &str = "admin@example.com";

fn bearer(secret: &Value) -> String {
    let secret = secret.as_str().expect("a secret");
    format!("-H 'Authorization: Bearer {secret}'")
}

/// The row of this id.
fn row<'r>(rows: &'r Value, id: &Value) -> &'r Value {
    let rows = rows.as_array().expect("a list");
    rows.iter()
        .find(|row| row["id"] == *id)
        .expect("it is listed")
}

#[test]
fn a_rotated_key_and_its_successor_are_both_good_until_the_old_one_retires() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let (server, url) = serve(directory);
    let clusters = format!("{url}/v1/clusters");
    let mint = ["key", "mint", "--owner", ADMIN, "--name", "ci"];
    let old = shown(directory, &mint);
    let new = shown(directory, &["key", "rotate", "ci"]);
    assert_eq!(new["predecessor"], old["id"]);
    assert_ne!(new["secret"], old["secret"]);
    for key in [&old, &new] {
        // Admitted; nobody is at the upstream's address.
        assert_eq!(status(&clusters, &bearer(&key["secret"])), "502");
    }
    let listed = shown(directory, &["key", "list"]);
    let listed_old = row(&listed, &old["id"]);
    assert_eq!(listed_old["state"], "expiring", "it retires within a day");
    assert_eq!(listed_old["successor"], new["id"]);
    assert_eq!(listed_old["ends_at"], listed_old["retires_at"]);
    assert_eq!(row(&listed, &new["id"])["state"], "active");
    let table = run_ok(directory, &["key", "list"]);
    for column in ["STATE", "ENDS AT", "SUCCESSOR", "expiring"] {
        assert!(table.contains(column), "{table}");
    }

    // Both are called `ci` now: the id says which.
    let ambiguous = run(directory, &["key", "rotate", "ci"]);
    assert_eq!(ambiguous.status.code(), Some(1));
    let said = text(&ambiguous.stderr);
    assert!(said.contains("several keys are called `ci`"), "{said}");
    let id = new["id"].as_str().expect("an id");
    let third = shown(
        directory,
        &["key", "rotate", id, "--overlap", "0s", "--expires", "9d"],
    );
    assert_eq!(
        status(&clusters, &bearer(&new["secret"])),
        "401",
        "it ended at once"
    );
    assert_eq!(status(&clusters, &bearer(&third["secret"])), "502");
    assert!(third["expires_at"].is_string());
    let listed = shown(directory, &["key", "list"]);
    assert_eq!(row(&listed, &new["id"])["state"], "expired");
    let third_id = third["id"].as_str().expect("an id");
    run_ok(directory, &["key", "revoke", third_id]);
    let listed = shown(directory, &["key", "list"]);
    assert_eq!(row(&listed, &third["id"])["state"], "revoked");

    for (arguments, why) in [
        (
            ["key", "rotate", "ci", "--overlap", "91w"],
            "longer than 90 days",
        ),
        (
            ["key", "rotate", "ci", "--overlap", "tomorrow"],
            "write a span",
        ),
        (
            ["key", "rotate", "ci", "--retires", "2020-01-01T00:00:00Z"],
            "in the past",
        ),
    ] {
        let mut arguments = arguments;
        let old_id = old["id"].as_str().expect("an id");
        arguments[2] = old_id;
        let refused = run(directory, &arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let said = text(&refused.stderr);
        assert!(said.contains(why), "{said}");
    }
    server.interrupt();
}

#[test]
fn imported_keys_go_on_working_all_of_them_or_none() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let key = |name: &str, secret: &str| {
        json!({
            "name": name,
            "sha256": hex::encode(Sha256::digest(secret)),
            "owner": ADMIN,
            "scopes": ["clusters:read"],
            "expires_at": "2099-01-01T00:00:00Z",
            "prefix": "old_",
            "last_four": "x7Qp",
        })
    };
    let (server, url) = serve(directory);
    let good = key("one", "old_secret_of_some_length");
    let mut wrong = key("two", "old_secret_of_another_length");
    wrong["scopes"] = json!(["clusters:raed"]);
    let lines = format!("{good}\n{wrong}\n");
    let refused = run_with(directory, &[], &lines, &["key", "import", "-"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("`two`: there is no scope `clusters:raed`"),
        "{said}"
    );
    assert_eq!(
        shown(directory, &["key", "list"]),
        json!([]),
        "none was taken over"
    );

    std::fs::write(directory.join("keys.json"), json!([good]).to_string()).expect("writable");
    let imported = shown(directory, &["key", "import", "keys.json"]);
    assert_eq!(imported["imported"].as_array().expect("ids").len(), 1);
    let header = "-H 'Authorization: Bearer old_secret_of_some_length'";
    assert_eq!(
        status(&format!("{url}/v1/clusters"), header),
        "502",
        "admitted"
    );
    assert_eq!(
        status(&format!("{url}/v1/nodes"), header),
        "403",
        "as narrow as it was"
    );
    let listed = shown(directory, &["key", "list"]);
    assert_eq!(listed[0]["secret_hint"], "old_…x7Qp");
    server.interrupt();
}

#[test]
fn secret_scanners_find_every_key_by_the_pattern() {
    let gate = gate("kubeadapt");
    let directory = gate.path();
    let pattern = run_ok(directory, &["key", "pattern"]);
    let pattern = regex::Regex::new(pattern.trim()).expect("a regular expression");
    run_ok(directory, &["cluster", "add", "prod"]);
    let agent = run_ok(directory, &["agent", "mint", "--cluster", "prod"]);
    let mint = [
        "key",
        "mint",
        "--owner",
        ADMIN,
        "--name",
        "x",
        "--scope",
        "clusters:read",
    ];
    let key = run_ok(directory, &mint);
    for secret in [agent.trim(), key.trim()] {
        let found = pattern
            .find(&format!("KEY={secret}\n"))
            .map(|found| found.range());
        assert_eq!(found, Some(4..4 + secret.len()));
    }
}

#[test]
fn roles_of_ones_own() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let set = ["role", "set", "on-call", "--permission", "*:read"];
    let role = shown(directory, &set);
    assert_eq!(
        (&role["custom"], &role["permissions"]),
        (&json!(true), &json!(["*:read"]))
    );
    run_ok(
        directory,
        &["user", "add", "ada@example.com", "--role", "on-call"],
    );
    let used = run(directory, &["role", "delete", "on-call"]);
    assert_eq!(used.status.code(), Some(1), "somebody has it");
    run_ok(
        directory,
        &["user", "set-role", "ada@example.com", "--role", "viewer"],
    );
    run_ok(directory, &["role", "delete", "on-call"]);
    let listed = shown(directory, &["role", "list"]);
    let names: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|role| role["name"].as_str())
        .collect();
    assert!(
        names.contains(&"admin") && !names.contains(&"on-call"),
        "{names:?}"
    );
    let built_in = run(directory, &["role", "set", "admin", "--permission", "*"]);
    assert!(text(&built_in.stderr).contains("is built in"));
}

#[test]
fn an_invited_user_chooses_a_password_and_is_signed_out_by_an_administrator() {
    let gate = gate("k8cost");
    let directory = gate.path();
    let (server, url, management) = serve_managed(directory);
    let invited = shown(
        directory,
        &[
            "user",
            "add",
            "ada@example.com",
            "--role",
            "viewer",
            "--invite",
        ],
    );
    let newer = run_ok(directory, &["user", "invite", "ada@example.com"]);
    let accept = |invitation: &str| {
        let body = json!({ "invitation": invitation, "password": "a password of her own" });
        let arguments = format!("-H 'Content-Type: application/json' -d '{body}'");
        status(&format!("{management}/-/invitation"), &arguments)
    };
    assert_ne!(
        accept(invited["invitation"].as_str().expect("a text")),
        "200",
        "replaced"
    );
    let accepted = accept(newer.trim());
    assert!(accepted.starts_with('2'), "{accepted}");
    let body = json!({ "email": "ada@example.com", "password": "a password of her own" });
    let login = shell(&format!(
        "curl -s -H 'Content-Type: application/json' -d '{body}' {url}/auth/login"
    ));
    let login: Value = serde_json::from_slice(&login.stdout).expect("JSON");
    let header = bearer(&login["token"]);
    assert_eq!(
        status(&format!("{url}/api/v1/clusters"), &header),
        "502",
        "admitted"
    );
    let sessions = shown(directory, &["session", "list", "--user", "ada@example.com"]);
    assert!(!sessions.as_array().expect("a list").is_empty());
    assert_eq!(sessions[0]["mfa"], false);
    run_ok(directory, &["session", "end", "--user", "ada@example.com"]);
    assert_eq!(status(&format!("{url}/api/v1/clusters"), &header), "401");
    assert_eq!(
        shown(directory, &["session", "list", "--user", "ada@example.com"]),
        json!([])
    );
    // One's own sessions are those of a credential, and there is none on the store.
    let own = run(directory, &["session", "list"]);
    assert_eq!(own.status.code(), Some(2));
    assert!(text(&own.stderr).contains("--user EMAIL"));
    server.interrupt();
}

#[test]
fn clusters_come_with_an_agent_and_go_with_it() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let (server, url) = serve(directory);
    let added = shown(
        directory,
        &["cluster", "add", "prod", "dev", "--with-agent"],
    );
    assert_eq!(
        (&added[0]["id"], &added[1]["agent"]["cluster"]),
        (&json!("prod"), &json!("dev"))
    );
    let metrics = format!("{url}/v1/metrics");
    let header = format!("{} -d '{{}}'", bearer(&added[0]["agent"]["secret"]));
    assert_eq!(status(&metrics, &header), "502", "admitted");
    let rotated = shown(directory, &["agent", "rotate", "prod"]);
    let renewed = format!("{} -d '{{}}'", bearer(&rotated["secret"]));
    assert_eq!(status(&metrics, &renewed), "502", "admitted");
    run_ok(directory, &["cluster", "delete", "prod"]);
    assert_eq!(
        (status(&metrics, &header), status(&metrics, &renewed)),
        ("401".to_owned(), "401".to_owned())
    );
    let agents = shown(directory, &["agent", "list"]);
    let states: Vec<_> = agents
        .as_array()
        .expect("a list")
        .iter()
        .map(|agent| (&agent["cluster"], &agent["state"]))
        .collect();
    let (prod, dev) = (json!("prod"), json!("dev"));
    let (revoked, active) = (json!("revoked"), json!("active"));
    assert_eq!(
        states,
        [(&prod, &revoked), (&dev, &active), (&prod, &revoked)]
    );

    run_ok(
        directory,
        &[
            "user",
            "add",
            "ada@example.com",
            "--role",
            "viewer",
            "--cluster",
            "dev",
        ],
    );
    let clusters_of = |arguments: &[&str]| {
        run_ok(
            directory,
            &[&["user", "set-clusters", "ada@example.com"], arguments].concat(),
        );
        let users = shown(directory, &["user", "list"]);
        let users = users.as_array().expect("a list").clone();
        let ada = users
            .into_iter()
            .find(|user| user["email"] == "ada@example.com");
        ada.expect("she is listed")["clusters"].clone()
    };
    assert_eq!(clusters_of(&["--none"]), json!([]));
    assert_eq!(clusters_of(&["--cluster", "dev"]), json!(["dev"]));
    assert_eq!(clusters_of(&["--all"]), json!(["*"]));
    let unsaid = run(directory, &["user", "set-clusters", "ada@example.com"]);
    assert_eq!(unsaid.status.code(), Some(2), "which is not said");
    server.interrupt();
}

#[test]
fn an_organization_comes_with_its_administrator() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let added = shown(
        directory,
        &["organization", "add", "Acme", "--admin", "root@acme.test"],
    );
    assert_eq!(added["admin"]["role"], "admin");
    assert!(added["admin"]["invitation"].as_str().expect("a text").len() >= 40);
    let users = shown(directory, &["user", "list", "--organization", "Acme"]);
    assert_eq!(users[0]["email"], "root@acme.test");
    let operator = shown(directory, &["operator", "add", "ops@example.com"]);
    assert!(operator["password"].is_string() && operator["role"].is_null());
    let operators = run_ok(directory, &["operator", "list"]);
    assert!(
        operators.contains("ops@example.com") && !operators.contains("admin@"),
        "{operators}"
    );
}

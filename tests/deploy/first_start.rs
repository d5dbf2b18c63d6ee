//! A first start without a shell: the store is made from a configuration and mounted keys, however often that is asked for.

use std::fs;

use serde_json::json;

use crate::cli::{
    binary::{run_with, text},
    own_gate::{gate, json as shown, serve, status},
};

#[test]
fn a_store_is_made_once_with_somebody_in_it() {
    let gate = gate("scopegate");
    let directory = gate.path();
    // What a pod has: the configuration and the keys, and no store.
    for name in ["scopegate.db", "audit-heads.jsonl"] {
        fs::remove_file(directory.join(name)).expect("`init` made it");
    }
    let create = [
        "store",
        "create",
        "--organization",
        "acme",
        "--admin",
        "first@example.com",
        "--password-file",
        "-",
        "--output",
        "json",
    ];
    for is_new in [true, false] {
        let made = run_with(directory, &[], "a long enough password\n", &create);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
        assert_eq!(
            made,
            json!({
                "created": is_new,
                "organization": "acme",
                "admin": { "email": "first@example.com", "password": null },
            })
        );
    }
    let (server, url) = serve(directory);
    let body = r#"{"email":"first@example.com","password":"a long enough password"}"#;
    let login = format!("-H 'Content-Type: application/json' -d '{body}'");
    assert_eq!(status(&format!("{url}/auth/login"), &login), "200");
    let users = shown(directory, &["user", "list"]);
    assert_eq!(users.as_array().expect("users").len(), 1);
    // Where a server runs, its store is there.
    let refused = run_with(directory, &[], "a long enough password\n", &create);
    assert!(
        text(&refused.stderr).contains("in use"),
        "{}",
        text(&refused.stderr)
    );
    server.interrupt();
}

//! The Secret that clusters' agents read their token from, as a YAML parser and `kubectl apply` read it.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    binary::{run, run_ok, text},
    own_gate::{gate, json as shown},
};

const MINT: [&str; 6] = [
    "agent",
    "mint",
    "--cluster",
    "prod",
    "--format",
    "kubernetes-secret",
];

fn manifest(directory: &std::path::Path, arguments: &[&str]) -> Value {
    let printed = run_ok(directory, &[&MINT, arguments].concat());
    serde_saphyr::from_str(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"))
}

#[test]
fn the_secret_is_a_manifest_in_yaml_and_in_json() {
    let gate = gate("kubewatch");
    let directory = gate.path();
    run_ok(directory, &["cluster", "add", "prod"]);
    let plain = manifest(directory, &[]);
    let token = plain["data"]["api-token"].as_str().expect("base64");
    let token = BASE64_STANDARD.decode(token).expect("base64");
    assert!(token.starts_with(b"kw_agent_"));
    assert_eq!(
        plain,
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "kubewatch-agent" },
            "type": "Opaque",
            "data": { "api-token": plain["data"]["api-token"] },
        })
    );
    let named = [
        "--secret-name",
        "no",
        "--secret-key",
        "1e3",
        "--namespace",
        "123",
    ];
    let named = manifest(directory, &named);
    assert_eq!(
        named["metadata"],
        json!({ "name": "no", "namespace": "123" })
    );
    assert!(named["data"]["1e3"].is_string());

    let mut same = shown(directory, &MINT);
    same["data"] = plain["data"].clone();
    assert_eq!(same, plain);
}

#[test]
fn nothing_is_minted_for_a_secret_that_cannot_be() {
    let gate = gate("kubewatch");
    let directory = gate.path();
    run_ok(directory, &["cluster", "add", "prod"]);
    for wrong in [
        ["--secret-name", "Agent"],
        ["--secret-name", "a\nb: c"],
        ["--secret-key", "api token"],
        ["--namespace", "a.b"],
    ] {
        let refused = run(directory, &[&MINT[..], &wrong].concat());
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{wrong:?}: {}",
            text(&refused.stderr)
        );
    }
    assert_eq!(shown(directory, &["agent", "list"]), json!([]));
}

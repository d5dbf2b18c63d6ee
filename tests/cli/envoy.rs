//! `scopegate envoy`: its page, and what cannot run inside Envoy.

use std::fs;

use super::{
    binary::{run, run_ok, text},
    own_gate::gate,
    pages,
};
use crate::sandbox::guest::Guest;

#[test]
fn the_page_sets_it_up() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let path = directory.join("scopegate.yaml");
    let configuration = fs::read_to_string(&path).expect("written");
    let page = fs::read_to_string(super::binary::repository().join("docs/envoy-filter.md"));
    let page = page.expect("the page");
    let block = page
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let block = block.expect("what goes into the configuration");
    fs::write(&path, format!("{configuration}\n{block}")).expect("written");
    // Named before it is made: the page makes it.
    let missing = run(directory, &["envoy", "config"]);
    assert!(
        text(&missing.stderr).contains("filter-secret"),
        "{missing:?}"
    );
    pages::run("docs/envoy-filter.md", directory, "");

    let module = fs::read(directory.join("scopegate-filter.wasm")).expect("written");
    assert!(module.starts_with(b"\0asm\x01\0\0\0"), "a core module");
    let printed = fs::read_to_string(directory.join("envoy.yaml")).expect("written");
    assert!(printed.contains("gate.internal"), "{printed}");
    let secret = fs::read_to_string(directory.join("filter-secret")).expect("written");
    assert!(!printed.contains(secret.trim()));

    let only = run_ok(directory, &["envoy", "config", "--only-filter"]);
    let only: serde_json::Value = serde_json::from_str(&only).expect("JSON");
    let policy = fs::read_to_string(directory.join("policy.yaml")).expect("written");
    assert_eq!(only["policy"].as_str(), Some(policy.as_str()));
    let wrong = run(
        directory,
        &["envoy", "config", "--only-filter", "--mode", "grpc"],
    );
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_component_that_somebody_wrote_cannot_run_there() {
    let gate = gate("scopegate");
    let directory = gate.path();
    fs::write(directory.join("hand.wasm"), Guest::new().build()).expect("written");
    let path = directory.join("scopegate.yaml");
    let configuration = fs::read_to_string(&path).expect("written");
    let configuration = configuration.replace("policy: policy.yaml", "policy: hand.wasm");
    fs::write(&path, configuration).expect("written");
    let refused = run(directory, &["envoy", "config"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(
        said.contains("which Envoy does not run") && said.contains("--mode grpc"),
        "{said}"
    );
}

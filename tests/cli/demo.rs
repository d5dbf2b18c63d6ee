//! `scopegate demo`, in each product's words.

use std::path::Path;

use serde_json::Value;

use super::binary::{Running, shell, text};

/// The demo's curl lines, each under a comment that begins with the status that it gives.
fn tour(contract: &str) {
    let mut demo = Running::start(
        Path::new("."),
        &["demo", "--contract", contract, "--listen", "127.0.0.1:0"],
    );
    let printed = demo.lines_until("Ctrl-C");
    let mut seen = Vec::new();
    let mut expected = None;
    for line in printed.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            expected = comment
                .get(..3)
                .filter(|status| status.parse::<u16>().is_ok())
                .map(str::to_owned);
        } else if line.starts_with("curl") || line.starts_with("for") {
            let status = expected
                .take()
                .unwrap_or_else(|| panic!("no status promised above `{line}`"));
            let output = shell(line);
            let shown = text(&output.stdout);
            let last = shown.split_whitespace().last().unwrap_or_default();
            assert_eq!(last, status, "{contract}: `{line}` printed {shown}");
            seen.push(status);
        }
    }
    for status in ["200", "401", "403", "429"] {
        assert!(
            seen.iter().any(|one| one == status),
            "{contract}: no line gives {status}"
        );
    }
    demo.interrupt();
}

#[test]
fn scopegate_tour() {
    tour("scopegate");
}

#[test]
fn k8cost_tour() {
    tour("k8cost");
}

#[test]
fn kubewatch_tour() {
    tour("kubewatch");
}

#[test]
fn kubeadapt_tour() {
    tour("kubeadapt");
}

#[test]
fn kubevision_tour() {
    tour("kubevision");
}

#[test]
fn json_is_one_line_with_everything_that_a_script_needs() {
    for contract in [
        "scopegate",
        "k8cost",
        "kubewatch",
        "kubeadapt",
        "kubevision",
    ] {
        let mut demo = Running::start(
            Path::new("."),
            &[
                "demo",
                "--json",
                "--contract",
                contract,
                "--listen",
                "127.0.0.1:0",
            ],
        );
        let world: Value = serde_json::from_str(&demo.line()).expect("one JSON value");
        assert_eq!(world["contract"], contract);
        assert_eq!(
            world["clusters"],
            serde_json::json!(["prod", "staging", "dev"])
        );
        let roles: Vec<&str> = list(&world, "users")
            .map(|user| user["role"].as_str().expect("a role"))
            .collect();
        assert_eq!(roles, ["admin", "editor", "viewer"]);
        for user in list(&world, "users") {
            assert!(user["password"].as_str().expect("a password").len() >= 16);
        }
        for key in list(&world, "api_keys") {
            assert!(
                key["key"].as_str().expect("a key").contains("_live_"),
                "{key}"
            );
            assert!(
                key["scopes"].is_array()
                    && key["allowed_cluster_ids"].is_array()
                    && key["owner"].is_string()
            );
        }
        let agents: Vec<&str> = list(&world, "agent_tokens")
            .map(|agent| agent["cluster"].as_str().expect("a cluster"))
            .collect();
        assert_eq!(agents, ["prod", "staging", "dev"]);
        let rest = demo.interrupt();
        assert_eq!(rest, "", "one line and no more");
    }
}

fn list<'a>(world: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    world[name].as_array().expect("a list").iter()
}

#[test]
fn nothing_stays_behind() {
    let temporary = tempfile::tempdir().expect("a directory");
    let mut demo = Running::start_with_temporary(
        Path::new("."),
        temporary.path(),
        &["demo", "--json", "--listen", "127.0.0.1:0"],
    );
    demo.line();
    assert_ne!(
        temporary.path().read_dir().expect("a directory").count(),
        0,
        "the store is somewhere"
    );
    demo.interrupt();
    assert_eq!(
        temporary.path().read_dir().expect("a directory").count(),
        0,
        "and gone after Ctrl-C"
    );
}

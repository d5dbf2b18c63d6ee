//! What policy authors use without a server: `explain`, `inspect`, `lint`, `fmt`, `schema`, `bench`, and their page.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    binary::{repository, run, run_ok, run_with, text},
    pages::{self, blocks},
};

/// A directory with the document of docs/policy.md as `policy.yaml`.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let page = blocks(&repository().join("docs/policy.md"));
    let document = page
        .iter()
        .find(|block| block.info == "yaml policy")
        .expect("a document");
    fs::write(directory.path().join("policy.yaml"), &document.text).expect("writable");
    directory
}

fn shown(directory: &TempDir, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    serde_json::from_str(&run_ok(directory.path(), &arguments)).expect("JSON")
}

#[test]
fn the_page_of_the_tools_shows_what_they_do() {
    let directory = directory();
    run_ok(
        directory.path(),
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
    pages::run("docs/policy-tools.md", directory.path(), "exec 2>&1");
}

#[test]
fn an_explanation_names_its_line_and_suggestions_that_hold() {
    let directory = directory();
    let request = ["--request", "DELETE /v1/clusters/prod"];
    let ask = |policy: &str, arguments: &[&str]| {
        let command = ["policy", "explain", policy];
        shown(&directory, &[&command, &request[..], arguments].concat())
    };
    let refused = ask("scopegate", &["--role", "viewer"]);
    assert_eq!(refused["allowed"], false);
    assert_eq!(
        (&refused["reason"], &refused["about"]),
        (&json!("missing-permission"), &json!("clusters:write"))
    );
    assert_eq!(refused["place"]["file"], "scopegate");
    assert_eq!(
        refused["otherwise"][0]["changes"],
        json!([{ "change": "role", "role": "editor" }])
    );
    assert_eq!(ask("scopegate", &["--role", "editor"])["allowed"], true);

    // A cluster that nobody registered is refused as the gate does it.
    let narrow = [
        "--role",
        "editor",
        "--registered",
        "dev",
        "--cluster",
        "prod",
    ];
    let refused = ask("scopegate", &narrow);
    assert_eq!(refused["reason"], "cluster-not-allowed");
    assert_eq!(
        refused["otherwise"][0]["text"],
        "register the cluster `prod`"
    );
}

#[test]
fn a_component_is_explained_and_inspected_as_its_document_is() {
    let directory = directory();
    run_ok(
        directory.path(),
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
    let explain = |policy: &str| {
        let rest = ["--key", "--scope", "clusters:read", "--request"];
        let request = ["GET /v1/costs", "--now", "2026-01-01T00:00:00Z"];
        let command = ["policy", "explain", policy];
        let mut shown = shown(&directory, &[&command, &rest[..], &request].concat());
        shown["place"]["file"] = Value::Null;
        shown["route"]["place"]["file"] = Value::Null;
        shown
    };
    assert_eq!(explain("policy.yaml"), explain("policy.wasm"));
    let inspect = |policy: &str| {
        let mut shown = shown(&directory, &["policy", "inspect", policy]);
        shown["file"] = Value::Null;
        shown
    };
    let inspected = inspect("policy.wasm");
    assert_eq!(inspected, inspect("policy.yaml"));
    assert_eq!(inspected["from_document"], true);
    assert_eq!(inspected["imports"], json!([]));
    let built = fs::read(directory.path().join("policy.wasm")).expect("readable");
    assert_eq!(inspected["bytes"], json!(built.len()));
    let own = inspected["routes"].as_array().expect("a list").len();
    let all = shown(&directory, &["policy", "inspect", "policy.yaml", "--all"]);
    assert!(all["routes"].as_array().expect("a list").len() > own);
}

#[test]
fn a_question_that_cannot_be_is_a_wrong_command_line() {
    let directory = directory();
    let ask = |arguments: &[&str]| {
        let output = run(
            directory.path(),
            &[&["policy", "explain", "policy.yaml"], arguments].concat(),
        );
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        text(&output.stderr)
    };
    let request = ["--request", "GET /v1/costs"];
    for (arguments, why) in [
        (vec![], "nothing says who is calling"),
        (vec!["--role", "veiwer"], "did you mean `viewer`?"),
        (vec!["--permission", "costs:raed"], "costs:read"),
        (
            vec!["--key", "--scope", "billing:read"],
            "no key can carry `billing:read`",
        ),
        (
            vec!["--role", "viewer", "--header", "x-other=1"],
            "it reads x-cluster-id",
        ),
        (vec!["--agent", "a b"], "cannot be a cluster's id"),
    ] {
        let said = ask(&[&request[..], &arguments].concat());
        assert!(said.contains(why), "{said}");
    }
    let said = ask(&["--anonymous", "--request", "GET /a/%2e%2e/%2e%2e/b"]);
    assert!(said.contains("climb above the root"), "{said}");
    let output = run(directory.path(), &["policy", "inspect", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("built in are scopegate"));
}

#[test]
fn lint_denies_what_it_is_told_to() {
    let directory = directory();
    let write = |text: &str| fs::write(directory.path().join("p.yaml"), text).expect("writable");
    let head = "policy: p\npermissions: { a:read: }\nroutes:\n  - { match: GET /a, requires: a:read, cluster: none }\n";
    write(&format!(
        "{head}roles: {{ one: [a:read], two: [a:read] }}\n"
    ));
    let lint = |arguments: &[&str]| {
        let command = [&["policy", "lint", "p.yaml"], arguments].concat();
        run(directory.path(), &command).status.code()
    };
    assert_eq!(lint(&[]), Some(0));
    assert_eq!(lint(&["--deny", "warnings"]), Some(0));
    assert_eq!(lint(&["--deny", "notes"]), Some(1));
    let found = shown(&directory, &["policy", "lint", "p.yaml", "policy.yaml"]);
    let first = &found[0]["findings"][0];
    assert_eq!(
        (&first["lint"], &first["severity"], &first["line"]),
        (&json!("same-role"), &json!("note"), &json!(5))
    );
    assert_eq!(
        found[1]["findings"],
        json!([]),
        "the page's document is clean"
    );
    write(&format!("{head}roles: {{ one: [] }}\n"));
    assert_eq!(lint(&["--deny", "warnings"]), Some(1));
    write("policy: p\n");
    assert_eq!(lint(&[]), Some(1));
}

#[test]
fn the_schema_is_printed_and_a_policy_is_measured() {
    let directory = directory();
    let schema: Value =
        serde_json::from_str(&run_ok(directory.path(), &["policy", "schema"])).expect("JSON");
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let measured = shown(&directory, &["policy", "bench", "policy.yaml"]);
    let rows = measured["rows"].as_array().expect("a list");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let figure = |name: &str| row[name].as_u64().expect("a number");
        assert!(figure("iterations") > 0, "{row}");
        assert!(figure("median_ns") <= figure("p99_ns"), "{row}");
    }
    let (asked, allowed) = (&measured["questions"], &measured["allowed"]);
    assert!(allowed.as_u64() > Some(0) && allowed.as_u64() < asked.as_u64());
}

#[test]
fn fmt_changes_the_layout_and_loses_nothing() {
    let directory = directory();
    let path = directory.path().join("p.yaml");
    let original = "policy: p # mine\nroutes: [{public: true, match: GET /a}]\nroles: {}\npermissions: {a:read: }\n";
    let laid_out = "policy: p # mine\n\npermissions:\n  a:read:\n\nroles: {}\n\nroutes:\n  - { match: GET /a, public: true }\n";
    fs::write(&path, original).expect("writable");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("allowed");
    let fmt = |arguments: &[&str]| {
        let command = [&["policy", "fmt"], arguments].concat();
        run(directory.path(), &command).status.code()
    };
    assert_eq!(fmt(&["--check", "p.yaml"]), Some(1));
    assert_eq!(fs::read_to_string(&path).expect("readable"), original);
    let printed = run_with(directory.path(), &[], original, &["policy", "fmt", "-"]);
    assert_eq!(text(&printed.stdout), laid_out);
    let changed = shown(&directory, &["policy", "fmt", "p.yaml"]);
    assert_eq!(changed[0]["changed"], true);
    assert_eq!(fs::read_to_string(&path).expect("readable"), laid_out);
    assert_eq!(fmt(&["--check", "p.yaml"]), Some(0));
    let mode = path.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "who may read it stays");

    // One comment that has no place, and the file stays as it is.
    let refused = original
        .replace("[{public", "\n  - # the first\n    {public")
        .replace("}]", "}");
    fs::write(&path, &refused).expect("writable");
    assert_eq!(fmt(&["p.yaml"]), Some(1));
    assert_eq!(fs::read_to_string(&path).expect("readable"), refused);
}

#[test]
fn a_case_of_a_test_file_is_explained_by_its_own_policy_or_another() {
    let directory = directory();
    let path = directory.path();
    let tests = "document: ./policy.yaml\nclusters: [prod, dev]\ncallers:\n  viewer: { session: { role: viewer, clusters: [dev] } }\n  admin: { session: { role: admin } }\n\
        cases:\n  - { name: viewers read theirs, caller: viewer, request: GET /v1/clusters/prod, expect: cluster-not-allowed, about: prod }\n  \
        - { name: everybody reads, caller: [viewer, admin], request: GET /v1/clusters/dev, expect: [dev] }\n\
        tables:\n  - name: who\n    callers: [viewer, admin]\n    rows:\n      \
        - { request: GET /v1/clusters/dev, expect: [[dev], [dev]] }\n      \
        - { request: GET /v1/clusters/prod, cluster: prod, expect: [cluster-not-allowed, [prod]] }\n";
    fs::write(path.join("policy.test.yaml"), tests).expect("writable");
    let case = |name: &str| format!("policy.test.yaml:{name}");
    let own = shown(
        &directory,
        &["policy", "explain", "--case", &case("viewers read theirs")],
    );
    assert_eq!(own["reason"], "cluster-not-allowed");
    assert_eq!(own["about"], "prod");
    assert_eq!(own["registered"], json!(["dev", "prod"]));
    // By the line that a failure prints, too.
    for named in [
        "7",
        "7 viewers read theirs",
        "14 (viewer)",
        "14 who (viewer)",
    ] {
        let by_line = shown(&directory, &["policy", "explain", "--case", &case(named)]);
        assert_eq!(by_line, own, "{named}");
    }
    let other = [
        "policy",
        "explain",
        "kubeadapt",
        "--case",
        &case("everybody reads (admin)"),
    ];
    assert_eq!(shown(&directory, &other)["policy"], "kubeadapt");

    for (arguments, code, said) in [
        (
            &["--case", &case("everybody reads")][..],
            1,
            "`policy.test.yaml` has 2 cases `everybody reads`\nhelp: say which: `everybody reads (viewer)`, `everybody reads (admin)`",
        ),
        (
            &["--case", &case("8")],
            1,
            "`everybody reads (viewer)`, `everybody reads (admin)`",
        ),
        (
            &["--case", &case("everbody reads")],
            1,
            "did you mean `everybody reads`?",
        ),
        // Of each row of a table, the caller is the same.
        (
            &["--case", &case("who (viewer)")],
            1,
            "`policy.test.yaml` has 2 cases `who (viewer)`\nhelp: say which: `13 (viewer)`, `14 (viewer)`",
        ),
        (&["--case", &case("nobody")], 1, "has no case `nobody`"),
        (&["--case", "nothing"], 2, "is no case of a test file"),
        (&["--record", "log"], 2, "is no line of a log"),
        (
            &["--record", "policy.test.yaml:1"],
            1,
            "policy.test.yaml:1: this is no record",
        ),
        (&["--record", "policy.test.yaml:999"], 1, "lines"),
        (
            &["--record", "log:1", "--role", "viewer"],
            2,
            "cannot be used with",
        ),
        (&[], 2, "required"),
    ] {
        let refused = run(path, &[&["policy", "explain"], arguments].concat());
        let stderr = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

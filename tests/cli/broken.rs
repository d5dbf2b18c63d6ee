//! What the executable says when something is wrong: the place, what is wrong, what to do about it, and exit code 1.

use std::{fs, path::Path};

use super::binary::{Running, run, run_ok, text};

/// A gate's directory, untouched so far.
fn gate() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    run_ok(directory.path(), &["init"]);
    directory
}

/// The command must fail, and say each of these.
fn fails(directory: &Path, arguments: &[&str], says: &[&str]) {
    let output = run(directory, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    for expected in says {
        assert!(
            said.contains(expected),
            "{arguments:?} does not say `{expected}`:\n{said}"
        );
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn change(file: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(file).expect("a text");
    assert!(before.contains(from), "`{from}` is in {}", file.display());
    fs::write(file, before.replace(from, to)).expect("writable");
}

#[test]
fn a_policy_with_several_mistakes() {
    let gate = gate();
    let policy = gate.path().join("policy.yaml");
    change(
        &policy,
        "GET /v1/health, public: true",
        "GET /v1/health, pubic: true",
    );
    change(
        &policy,
        "GET /v1/organization, requires: organization:read",
        "GET /v1/organization, requires: organization:raed",
    );
    let says = &[
        "policy.yaml:",
        "did you mean `public`?",
        "did you mean `organization:read`?",
        "^",
    ];
    fails(gate.path(), &["policy", "check", "policy.yaml"], says);
    fails(
        gate.path(),
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
        says,
    );
    assert!(!gate.path().join("policy.wasm").exists());
    fails(gate.path(), &["serve"], says);
}

#[test]
fn a_policy_check_for_programs() {
    let gate = gate();
    change(
        &gate.path().join("policy.yaml"),
        "policy: scopegate",
        "polcy: scopegate",
    );
    let output = run(
        gate.path(),
        &["policy", "check", "policy.yaml", "--output", "json"],
    );
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report[0]["ok"], false);
    assert!(report[0]["problems"][0]["line"].is_u64(), "{report}");
}

#[test]
fn an_output_that_is_no_component_is_left_alone() {
    let gate = gate();
    fails(
        gate.path(),
        &["policy", "build", "policy.yaml", "-o", "scopegate.yaml"],
        &["is there and is not a component"],
    );
    run_ok(
        gate.path(),
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
    run_ok(
        gate.path(),
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
}

#[test]
fn a_configuration_with_several_mistakes() {
    let gate = gate();
    let configuration = gate.path().join("scopegate.yaml");
    change(
        &configuration,
        "listen: 127.0.0.1:8080",
        "listne: 127.0.0.1:8080",
    );
    change(&configuration, "contract: scopegate", "contract: k8cots");
    change(&configuration, "isolation: fresh", "isolation: stale");
    fails(
        gate.path(),
        &["serve"],
        &[
            "did you mean `listen`?",
            "did you mean `k8cost`?",
            "isolation",
            "scopegate.yaml:",
        ],
    );
    fails(
        Path::new("/"),
        &["serve", "--config", "/nowhere.yaml"],
        &["no configuration at `/nowhere.yaml`", "scopegate init"],
    );
}

#[test]
fn a_contract_with_a_mistake() {
    let gate = gate();
    change(
        &gate.path().join("scopegate.yaml"),
        "contract: scopegate",
        "contract: acme.yaml",
    );
    let builtin = scopegate_host::Contract::builtin_text("scopegate").expect("built in");
    fs::write(
        gate.path().join("acme.yaml"),
        builtin.replace("prefix: sg", "prefix: Not A Prefix"),
    )
    .expect("writable");
    fails(gate.path(), &["serve"], &["acme.yaml:", "prefix"]);
}

#[test]
fn components_that_are_no_policies() {
    let gate = gate();
    change(
        &gate.path().join("scopegate.yaml"),
        "policy: policy.yaml",
        "policy: policy.wasm",
    );
    let component = gate.path().join("policy.wasm");
    fs::write(&component, "not wasm at all").expect("writable");
    fails(gate.path(), &["serve"], &["policy.wasm", "not a component"]);
    let importing = wat::parse_str(r#"(component (import "clock" (func)))"#).expect("a component");
    fs::write(&component, importing).expect("writable");
    fails(gate.path(), &["serve"], &["has no imports", "`clock`"]);
    fs::write(
        &component,
        wat::parse_str("(component)").expect("a component"),
    )
    .expect("writable");
    fails(gate.path(), &["serve"], &["not a policy"]);
    fs::remove_file(&component).expect("it is there");
    fails(gate.path(), &["serve"], &["policy.wasm"]);
}

#[test]
fn stores_that_are_none() {
    let gate = gate();
    let store = gate.path().join("scopegate.db");
    fs::remove_file(&store).expect("it is there");
    fails(
        gate.path(),
        &["serve"],
        &["there is no store", "scopegate init"],
    );
    fails(
        gate.path(),
        &["key", "list"],
        &["there is no store", "scopegate init"],
    );
    fs::write(
        &store,
        "this is a letter to a friend and not a database, and it is long enough to be one",
    )
    .expect("writable");
    fails(gate.path(), &["serve"], &["scopegate.db"]);
}

#[test]
fn signing_keys_that_others_can_read() {
    let gate = gate();
    let keys = gate.path().join("signing-keys.json");
    let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    fs::set_permissions(&keys, open).expect("its owner may");
    fails(gate.path(), &["serve"], &["can be read by others", "600"]);
}

#[test]
fn commands_name_what_was_meant() {
    let gate = gate();
    fails(
        gate.path(),
        &["agent", "mint", "--cluster", "prod"],
        &["there is no cluster"],
    );
    fails(gate.path(), &["key", "revoke", "grafana"], &["grafana"]);
    run_ok(gate.path(), &["cluster", "add", "prod"]);
    fails(
        gate.path(),
        &["cluster", "add", "prod"],
        &["exists already"],
    );
    fails(
        gate.path(),
        &["agent", "mint", "--cluster", "prd"],
        &["did you mean `prod`?"],
    );
}

#[test]
fn a_secret_that_is_not_set() {
    let gate = gate();
    change(
        &gate.path().join("scopegate.yaml"),
        "keys: signing-keys.json",
        "keys: { env: SCOPEGATE_NO_SUCH_VARIABLE }",
    );
    fails(
        gate.path(),
        &["serve"],
        &["`SCOPEGATE_NO_SUCH_VARIABLE` is not set"],
    );
    change(
        &gate.path().join("scopegate.yaml"),
        "  keys: { env: SCOPEGATE_NO_SUCH_VARIABLE }",
        "  {}",
    );
    fails(gate.path(), &["serve"], &["sessions"]);
}

#[test]
fn what_is_in_use_already() {
    let gate = gate();
    change(
        &gate.path().join("scopegate.yaml"),
        "127.0.0.1:8080",
        "127.0.0.1:0",
    );
    change(
        &gate.path().join("scopegate.yaml"),
        "127.0.0.1:9080",
        "127.0.0.1:0",
    );
    let mut first = Running::start_merged(gate.path(), &["serve"]);
    first.lines_until("listening on ");
    fails(
        gate.path(),
        &["serve"],
        &["in use by another process", "end that one first"],
    );
    first.interrupt();
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = occupied.local_addr().expect("an address").to_string();
    fails(
        gate.path(),
        &["demo", "--listen", &address],
        &[&address, "takes a free port"],
    );
}

#[test]
fn a_store_that_a_demo_made_is_never_served() {
    let gate = gate();
    let temporary = tempfile::tempdir().expect("a directory");
    let mut demo = Running::start_with_temporary(
        Path::new("."),
        temporary.path(),
        &["demo", "--json", "--listen", "127.0.0.1:0"],
    );
    demo.line();
    let home = temporary
        .path()
        .read_dir()
        .expect("a directory")
        .flatten()
        .next()
        .expect("the demo's own")
        .path();
    for name in ["demo.db", "demo.db-wal"] {
        let copy = gate.path().join(name.replace("demo", "scopegate"));
        fs::copy(home.join(name), copy).expect("readable");
    }
    fails(
        gate.path(),
        &["serve"],
        &["made by a demonstration", "name another store"],
    );
    fails(gate.path(), &["key", "list"], &["made by a demonstration"]);
    demo.interrupt();
}

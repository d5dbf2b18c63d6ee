//! A gate of one's own: `init`, `serve`, and changes from another terminal that hold at once.

use std::{net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use super::binary::{Running, run, run_ok, shell, text};

/// A directory with a gate for this contract, listening on free ports.
pub(crate) fn gate(contract: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let initialised = run_ok(
        directory.path(),
        &["init", "--contract", contract, "--output", "json"],
    );
    let initialised: Value = serde_json::from_str(&initialised).expect("JSON");
    assert_eq!(initialised["admin"]["email"], "admin@example.com");
    assert!(
        initialised["admin"]["password"]
            .as_str()
            .expect("generated")
            .len()
            >= 16
    );
    on_free_ports(directory.path());
    directory
}

/// Changes what `init` wrote so that it listens on free ports.
pub(crate) fn on_free_ports(gate: &Path) {
    let path = gate.join("scopegate.yaml");
    let configuration = std::fs::read_to_string(&path).expect("written");
    let configuration = configuration
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9080", "127.0.0.1:0");
    std::fs::write(&path, configuration).expect("writable");
}

/// Starts it and gives its URL and that of its management listener.
pub(crate) fn serve_managed(directory: &Path) -> (Running, String, String) {
    let (mut server, url) = serve(directory);
    let line = server.line();
    let management = line.trim().strip_prefix("metrics on ");
    let management = management.and_then(|url| url.strip_suffix("/-/metrics"));
    let management = management.expect("the management listener is said next");
    (server, url, management.to_owned())
}

/// Starts it and gives its URL. Standard error comes with standard output, for the address is said there.
pub(crate) fn serve(directory: &Path) -> (Running, String) {
    let mut server = Running::start_merged(directory, &["serve"]);
    loop {
        let line = server.line();
        if let Some(url) = line.trim().strip_prefix("listening on ") {
            return (server, url.to_owned());
        }
    }
}

pub(crate) fn status(url: &str, arguments: &str) -> String {
    text(
        &shell(&format!(
            "curl -s -o /dev/null -w '%{{http_code}}' {arguments} {url}"
        ))
        .stdout,
    )
}

pub(crate) fn json(directory: &Path, arguments: &[&str]) -> Value {
    let printed = run_ok(directory, &[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{arguments:?} printed {printed}: {error}"))
}

/// A key of the administrator's, and what `curl` sends it with.
pub(crate) fn key(directory: &Path, arguments: &[&str]) -> (Value, String) {
    let mint = [
        "key",
        "mint",
        "--owner",
        "admin@example.com",
        "--name",
        "ci",
    ];
    let key = json(directory, &[&mint, arguments].concat());
    let secret = key["secret"].as_str().expect("a secret");
    let header = format!("-H 'Authorization: Bearer {secret}'");
    (key, header)
}

/// An API that answers one request with a list of two clusters.
fn upstream(directory: &Path) -> std::thread::JoinHandle<()> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("an address");
    let path = directory.join("scopegate.yaml");
    let configuration = std::fs::read_to_string(&path).expect("written");
    std::fs::write(
        &path,
        configuration.replace("127.0.0.1:3000", &address.to_string()),
    )
    .expect("writable");
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a request");
        let mut head = [0; 8192];
        let _ = stream.read(&mut head).expect("a request");
        let body = r#"{"clusters":[{"id":"prod"},{"id":"dev"}]}"#;
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(reply.as_bytes()).expect("an answer");
    })
}

#[test]
fn a_revoked_key_is_refused_as_soon_as_the_command_returns() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let upstream = upstream(directory);
    // Without a server, commands change the store themselves.
    run_ok(directory, &["cluster", "add", "prod", "dev"]);
    let (server, url) = serve(directory);
    // With one, they go through it.
    let (key, header) = key(directory, &["--cluster", "prod"]);
    let listed = text(&shell(&format!("curl -s {header} {url}/v1/clusters")).stdout);
    assert_eq!(listed, r#"{"clusters":[{"id":"prod"}]}"#);
    upstream.join().expect("it answered");
    assert_eq!(status(&format!("{url}/v1/clusters/dev"), &header), "403");
    let revoked = json(
        directory,
        &["key", "revoke", key["id"].as_str().expect("an id")],
    );
    assert_eq!(revoked[0]["changed"], true);
    assert_eq!(status(&format!("{url}/v1/clusters"), &header), "401");
    server.interrupt();
    // And what was changed is in the store.
    let keys = json(directory, &["key", "list"]);
    assert!(
        keys[0]["revoked_at"].is_string() && keys[0].get("secret").is_none(),
        "{keys}"
    );
}

#[test]
fn users_and_agents_come_and_go_while_it_serves() {
    let gate = gate("k8cost");
    let directory = gate.path();
    let (server, url) = serve(directory);
    run_ok(directory, &["cluster", "add", "prod"]);
    let user = json(
        directory,
        &["user", "add", "viewer@example.com", "--role", "viewer"],
    );
    let login = format!(
        "-H 'Content-Type: application/json' -d '{{\"email\":\"viewer@example.com\",\"password\":\"{}\"}}'",
        user["password"].as_str().expect("generated")
    );
    assert_eq!(status(&format!("{url}/auth/login"), &login), "200");
    json(directory, &["user", "disable", "viewer@example.com"]);
    assert_eq!(status(&format!("{url}/auth/login"), &login), "401");
    let agent = json(directory, &["agent", "mint", "--cluster", "prod"]);
    let header = format!(
        "-H 'Authorization: Bearer {}' -d '{{}}'",
        agent["secret"].as_str().expect("a secret")
    );
    // Admitted; nobody is at the upstream's address.
    assert_eq!(status(&format!("{url}/api/v1/metrics"), &header), "502");
    json(directory, &["agent", "revoke", "prod"]);
    assert_eq!(status(&format!("{url}/api/v1/metrics"), &header), "401");
    server.interrupt();
}

#[test]
fn what_init_writes_is_private_where_it_must_be_and_never_overwritten() {
    let gate = gate("kubeadapt");
    for name in ["signing-keys.json", "scopegate.db"] {
        let mode = gate
            .path()
            .join(name)
            .metadata()
            .expect("written")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "`{name}` is its owner's alone");
    }
    let again = run(gate.path(), &["init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("is there already"),
        "{}",
        text(&again.stderr)
    );
    run_ok(gate.path(), &["policy", "check", "policy.yaml"]);
}

#[test]
fn a_built_component_serves() {
    let gate = gate("scopegate");
    let built = json(
        gate.path(),
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
    assert!(
        built["digest"]
            .as_str()
            .expect("a digest")
            .starts_with("sha256:")
    );
    // The document's own: those of the management API are in every policy.
    let document = std::fs::read_to_string(gate.path().join("policy.yaml")).expect("written");
    assert_eq!(built["routes"], document.matches("match: ").count());
    let path = gate.path().join("scopegate.yaml");
    let configuration = std::fs::read_to_string(&path).expect("written");
    std::fs::write(
        &path,
        configuration.replace("policy: policy.yaml", "policy: policy.wasm"),
    )
    .expect("writable");
    // Also where no server runs: the catalogue comes out of the component.
    let wrong = run(
        gate.path(),
        &[
            "key",
            "mint",
            "--owner",
            "admin@example.com",
            "--name",
            "x",
            "--scope",
            "clusters:raed",
        ],
    );
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).contains("did you mean `clusters:read`?"),
        "{}",
        text(&wrong.stderr)
    );
    let (server, url) = serve(gate.path());
    assert_eq!(status(&format!("{url}/v1/clusters"), ""), "401");
    server.interrupt();
}

//! What `scopegate envoy config` prints for each mode, and the filter's ready configuration: Envoy runs them as they are.

use std::{net::SocketAddr, path::Path};

use scopegate_policy::documents;
use scopegate_server::Dialect;
use serde_json::json;

use super::{
    envoy,
    ext_authz::{answering, anywhere},
    wasm::{SECRET, answers_filters, filter, printed},
};
use crate::{
    cli::binary,
    harness::{
        Actor, Key, Options, PASSWORD, World,
        program::{self, Program, free_address},
    },
};

const MODES: [&str; 3] = ["wasm", "grpc", "http"];

async fn world() -> World {
    World::with(Options {
        check: Some(Dialect::Envoy),
        ..answers_filters(Options::of("scopegate"))
    })
    .await
}

/// What is printed for a world in this mode.
fn config(world: &World, folder: &Path, asked: SocketAddr, arguments: &[&str]) -> String {
    let policy = documents::builtin("scopegate").expect("a document");
    let further = format!("check: {{ dialect: envoy }}\nenvoy: {{ listen: {asked} }}\n");
    let filter = ["--filter", filter().to_str().expect("UTF-8")];
    let arguments = [arguments, &filter].concat();
    printed(world, folder, policy, &further, &arguments)
}

fn through(actor: &Actor, address: SocketAddr) -> Actor {
    Actor::new(&format!("http://{address}"), actor.credential.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_does_what_a_gate_does() {
    for mode in MODES {
        let world = world().await;
        let answering = answering(&world, anywhere()).await;
        let directory = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let listen = address.to_string();
        let arguments = ["--mode", mode, "--listen", &listen];
        let text = config(&world, directory.path(), answering.address(), &arguments);
        let _program = envoy::run(directory, &text, address, 1).await;
        if mode == "wasm" {
            // Until it has heard of the gate.
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }

        let anyone = through(&world.anonymous(), address);
        let body = json!({ "email": "viewer@acme.example", "password": PASSWORD });
        let reply = anyone.post("/auth/login", body).await;
        assert_eq!(reply.status, 200, "{mode}: {}", reply.body);
        let token = reply.json()["token"].as_str().expect("a token").to_owned();
        let viewer = through(&world.bearer(&token), address);
        let reply = viewer
            .get_with("/v1/clusters/prod", &[("x-scopegate-subject", "admin")])
            .await;
        assert_eq!(reply.status, 200, "{mode}: {}", reply.body);
        let seen = world.upstream.last();
        assert_eq!(
            seen.headers.get_all("x-scopegate-subject").iter().count(),
            1
        );
        assert_ne!(seen.header("x-scopegate-subject"), "admin", "{mode}");
        assert_eq!(seen.header("x-scopegate-roles"), "viewer", "{mode}");

        let key = Key {
            clusters: &["prod"],
            ..Key::default()
        };
        let key = through(&world.key(key).await, address);
        let before = world.upstream.count();
        for (actor, path, expected) in [
            (&anyone, "/v1/clusters/prod", (401, "not-authenticated")),
            (&key, "/v1/clusters/dev", (403, "cluster-not-allowed")),
            (&key, "/v1/clusters", (403, "list-not-filterable")),
            (&key, "/v1/nothing-here", (404, "no-route")),
            (&key, "/-/api/me", (404, "no-route")),
        ] {
            let reply = actor.get(path).await;
            let got = (reply.status, reply.code());
            assert_eq!((got.0, got.1.as_str()), expected, "{mode}: {path}");
        }
        assert_eq!(world.upstream.count(), before, "{mode}");
        let reply = key.get("/v1/clusters/prod").await;
        assert_eq!(reply.status, 200, "{mode}: {}", reply.body);
        assert!(!reply.header("x-ratelimit-remaining").is_empty(), "{mode}");
        let seen = world.upstream.last();
        assert_eq!(seen.header("x-scopegate-clusters"), "prod", "{mode}");
        assert!(!seen.headers.contains_key("x-api-key"), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_takes_what_is_printed_before_an_api_with_tls() {
    let world = world().await;
    let folder = tempfile::tempdir().expect("a directory");
    for mode in MODES {
        let arguments = ["--mode", mode, "--upstream", "https://api.internal"];
        let text = config(&world, folder.path(), free_address(), &arguments);
        assert!(text.contains("sni: \"api.internal\""), "{text}");
        let config = folder.path().join("envoy.yaml");
        std::fs::write(&config, &text).expect("written");
        let output = std::process::Command::new(program::envoy())
            .args(["--mode", "validate", "--config-path"])
            .arg(&config)
            .env("SCOPEGATE_FILTER_SECRET", SECRET)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mode}: {said}\n{text}");
    }
}

/// Nothing answers Envoy over gRPC unless it is told to.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_does_not_answer_envoy_is_said() {
    let gate = crate::cli::own_gate::gate("scopegate");
    let output = binary::run(gate.path(), &["envoy", "config", "--mode", "grpc"]);
    assert_eq!(output.status.code(), Some(1));
    let said = binary::text(&output.stderr);
    assert!(said.contains("add `envoy: { listen:"), "{said}");
    let output = binary::run(gate.path(), &["envoy", "config", "--mode", "http"]);
    assert!(output.status.success());
    let said = binary::text(&output.stderr);
    assert!(said.contains("`check: { dialect: envoy }`"), "{said}");
}

const READY: &str = include_str!("../../adapters/proxy-wasm/examples/envoy.yaml");

/// The filter's ready configuration with a test's addresses.
async fn ready(world: &World, address: SocketAddr) -> Program {
    let mut text = READY.replace(
        "filename: scopegate-filter.wasm",
        &format!("filename: {}", filter().display()),
    );
    for (host, port, address) in [
        ("0.0.0.0", 8000, address),
        ("127.0.0.1", 8080, world.running().public_addr()),
        (
            "127.0.0.1",
            3000,
            super::behind::address_of(&world.upstream.url),
        ),
    ] {
        text = super::ext_authz::once(
            &text,
            &format!("address: {host}, port_value: {port} "),
            &format!("address: {}, port_value: {} ", address.ip(), address.port()),
        );
    }
    let directory = tempfile::tempdir().expect("a directory");
    envoy::run(directory, &text, address, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filters_ready_configuration_runs_and_says_why_it_refuses() {
    let world = world().await;
    let address = free_address();
    let program = ready(&world, address).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let viewer = through(&world.session("viewer").await, address);
    let nobody = through(&world.anonymous(), address);
    let reply = viewer.get("/v1/clusters/prod").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(nobody.get("/v1/health").await.status, 200);
    assert_eq!(nobody.get("/v1/clusters/prod").await.status, 401);
    let body = json!({ "email": "viewer@acme.example", "password": PASSWORD });
    assert_eq!(nobody.post("/auth/login", body).await.status, 200);
    // Envoy writes its access log now and then.
    for mark in [
        "\"reason\":\"not-authenticated\"",
        "\"subject\":\"anonymous\"",
    ] {
        let begun = std::time::Instant::now();
        while !program.log().contains(mark) {
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(30),
                "no {mark} in {}",
                program.log()
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

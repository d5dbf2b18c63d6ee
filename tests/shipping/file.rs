//! The file that the configuration names, and what a restart serves.

use std::{path::Path, time::Duration};

use scopegate_host::{
    KeyRing,
    bundle::{PolicySigningKey, sign},
    policies::{Component, PolicyCommand},
    store::{Actor as By, Missing, PolicySource, Purpose, Store},
};
use scopegate_server::{Running, Server, assemble, assemble::AssembleError};

use super::{by_hand, by_hand_of, component, document};
use crate::harness::{Actor, config};

/// What a configuration in this directory starts, with a store that was there before.
pub(super) async fn start(directory: &Path) -> Running {
    try_start(directory, "policy: policy.yaml")
        .await
        .expect("parts")
}

async fn try_start(directory: &Path, policy: &str) -> Result<Running, AssembleError> {
    let text = format!(
        "upstream: http://127.0.0.1:9\nstore: sqlite://gate.db\n{policy}\naudit: none\n\
        listen: 127.0.0.1:0\nmanagement: {{ listen: 127.0.0.1:0 }}\nsessions: {{ keys: keys.json }}\n"
    );
    let config = config(&text, directory).expect("a configuration");
    let parts = assemble(config, Purpose::Serve).await?;
    Ok(Server::start(parts).await.expect("a server"))
}

pub(super) async fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    KeyRing::create(&path.join("keys.json")).expect("a key ring");
    let url = format!("sqlite://{}", path.join("gate.db").display());
    let store = Store::open(&url, Purpose::Serve, Missing::Create).await;
    store.expect("a store").close().await;
    write(path, 1);
    directory
}

fn write(directory: &Path, version: u32) {
    write_text(directory, &document(version, ""));
}

fn write_text(directory: &Path, text: &str) {
    std::fs::write(directory.join("policy.yaml"), text).expect("writable");
}

pub(super) fn version(running: &Running) -> String {
    running.gate().policy().description().version.clone()
}

/// Long enough for whatever would be done about a changed file.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(3500)).await;
}

async fn soon(running: &Running, wanted: &str) {
    for _ in 0..200 {
        if version(running) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{}` serves instead of `{wanted}`", version(running));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_taken_over_and_a_broken_one_is_not() {
    let directory = directory().await;
    let path = directory.path();
    let running = start(path).await;
    assert_eq!(version(&running), "1");
    write(path, 2);
    soon(&running, "2").await;
    write_text(path, "policy: shipped\nroutes: [nonsense\n");
    a_while().await;
    assert_eq!(version(&running), "2");
    write(path, 3);
    soon(&running, "3").await;
    let versions = running.policies().versions().await.expect("versions");
    let told: Vec<_> = versions
        .iter()
        .map(|version| (version.version.as_str(), version.source))
        .collect();
    use PolicySource::{File, Start};
    assert_eq!(told, [("3", File), ("2", File), ("1", Start)]);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_being_written_is_not_served() {
    let directory = directory().await;
    let path = directory.path();
    let running = start(path).await;
    // Each could be served for itself.
    for version in 2..20 {
        write(path, version);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    soon(&running, "19").await;
    let versions = running.policies().versions().await.expect("versions");
    let told: Vec<_> = versions.iter().map(|one| one.version.as_str()).collect();
    assert_eq!(told, ["19", "1"]);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_does_not_take_is_tried_again() {
    let directory = directory().await;
    let path = directory.path();
    let running = start(path).await;
    let url = format!("sqlite://{}", path.join("gate.db").display());
    let store = sqlx::SqlitePool::connect(&url).await.expect("the store");
    sqlx::query(
        "CREATE TRIGGER full BEFORE INSERT ON policies BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .execute(&store)
    .await
    .expect("a trigger");
    write(path, 2);
    a_while().await;
    assert_eq!(version(&running), "1");
    sqlx::query("DROP TRIGGER full")
        .execute(&store)
        .await
        .expect("none");
    store.close().await;
    soon(&running, "2").await;
    running.shutdown().await;

    // It is what the configuration is known to have named.
    let running = start(path).await;
    let versions = running.policies().versions().await.expect("versions");
    assert_eq!(versions[0].source, PolicySource::File);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_regular_file_is_refused_and_waited_for_by_nobody() {
    let directory = directory().await;
    let path = directory.path();
    let running = start(path).await;
    let pipe = || {
        std::fs::remove_file(path.join("policy.yaml")).expect("removable");
        let mut mkfifo = std::process::Command::new("mkfifo");
        let made = mkfifo.arg(path.join("policy.yaml")).status();
        assert!(made.expect("mkfifo").success());
    };
    pipe();
    a_while().await;
    std::fs::remove_file(path.join("policy.yaml")).expect("removable");
    write(path, 2);
    soon(&running, "2").await;
    pipe();
    a_while().await;
    assert_eq!(version(&running), "2");
    let stopped = tokio::time::timeout(Duration::from_secs(20), running.shutdown());
    stopped.await.expect("stopped");

    let error = try_start(path, "policy: policy.yaml").await.map(drop);
    let error = error.expect_err("refused").to_string();
    assert!(error.ends_with("it is not a regular file"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pushed_stays_until_the_file_changes() {
    let directory = directory().await;
    let path = directory.path();
    let running = start(path).await;
    let push = PolicyCommand::Push {
        component: Component(component(9, "").into()),
    };
    let pushed = running
        .policies()
        .execute(push, By::Machine.into(), 0)
        .await;
    pushed.expect("pushed");
    assert_eq!(version(&running), "9");
    running.shutdown().await;

    // The same file again says nothing new, neither at the start nor when it is written once more.
    let running = start(path).await;
    assert_eq!(version(&running), "9");
    write(path, 1);
    a_while().await;
    assert_eq!(version(&running), "9");
    // What was active before the start can be gone back to.
    let back = PolicyCommand::Rollback { to: None };
    let back = running
        .policies()
        .execute(back, By::Machine.into(), 0)
        .await;
    back.expect("gone back");
    assert_eq!(version(&running), "1");
    let forth = PolicyCommand::Rollback { to: None };
    let forth = running
        .policies()
        .execute(forth, By::Machine.into(), 0)
        .await;
    forth.expect("and forth");
    assert_eq!(version(&running), "9");
    running.shutdown().await;

    write(path, 4);
    let running = start(path).await;
    assert_eq!(version(&running), "4");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_keys_are_configured_nothing_unsigned_decides() {
    const SIGNED: &str = "policy: policy.wasm\npolicy_keys: [key.pub]";
    let directory = directory().await;
    let path = directory.path();
    let ours = PolicySigningKey::create(&path.join("key.pem")).expect("a key");
    std::fs::write(path.join("key.pub"), ours.public().pem()).expect("writable");
    let others = PolicySigningKey::ephemeral().expect("a key");
    let component_of = |version| component(version, "");
    let ship = |bytes: Vec<u8>| {
        std::fs::write(path.join("next.wasm"), bytes).expect("writable");
        std::fs::rename(path.join("next.wasm"), path.join("policy.wasm")).expect("one step");
    };
    // At the start: neither unsigned ones, nor ones that somebody else has signed, nor documents.
    for wrong in [component_of(1), sign(component_of(1), &others)] {
        ship(wrong);
        let error = try_start(path, SIGNED)
            .await
            .map(drop)
            .expect_err("refused");
        assert!(
            error.to_string().contains("the policy is not trusted"),
            "{error}"
        );
    }
    // A document is not even read.
    write_text(path, "nonsense: [");
    let document = "policy: policy.yaml\npolicy_keys: [key.pub]";
    let error = try_start(path, document)
        .await
        .map(drop)
        .expect_err("refused");
    assert!(error.to_string().contains("it is not signed"), "{error}");
    // What is built in nobody signs.
    let builtin = try_start(path, "policy: scopegate\npolicy_keys: [key.pub]").await;
    builtin.expect("served").shutdown().await;

    ship(sign(component_of(1), &ours));
    let running = try_start(path, SIGNED).await.expect("served");
    assert_eq!(version(&running), "1");
    // Pushed.
    let push = |bytes: Vec<u8>| {
        let component = Component(bytes.into());
        let push = PolicyCommand::Push { component };
        let policies = running.policies().clone();
        async move { policies.execute(push, By::Machine.into(), 0).await }
    };
    for wrong in [component_of(2), sign(component_of(2), &others)] {
        let error = push(wrong).await.expect_err("refused");
        assert!(error.help.is_some_and(|help| help.contains("policy sign")));
        assert_eq!(version(&running), "1");
    }
    let signed = sign(sign(component_of(2), &others), &ours);
    push(signed).await.expect("pushed");
    assert_eq!(version(&running), "2");
    // From the file.
    ship(component_of(3));
    a_while().await;
    assert_eq!(version(&running), "2");
    ship(sign(component_of(3), &ours));
    soon(&running, "3").await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_failed_is_not_served_again_before_its_file_changes() {
    const COMPONENT: &str = "policy: policy.wasm";
    let directory = directory().await;
    let path = directory.path();
    let ship = |bytes: Vec<u8>| {
        std::fs::write(path.join("next.wasm"), bytes).expect("writable");
        std::fs::rename(path.join("next.wasm"), path.join("policy.wasm")).expect("one step");
    };
    ship(component(5, ""));
    let running = try_start(path, COMPONENT).await.expect("served");
    ship(by_hand());
    soon(&running, "1").await;
    let stranger = Actor::new(&format!("http://{}", running.public_addr()), None);
    for _ in 0..20 {
        let reply = stranger.call("DELETE", "/v1/clusters/prod").await;
        assert_eq!(reply.code(), "policy-fault");
    }
    soon(&running, "5").await;
    a_while().await;
    assert_eq!(version(&running), "5");
    running.shutdown().await;

    let running = try_start(path, COMPONENT).await.expect("served");
    assert_eq!(version(&running), "5");
    let versions = running.policies().versions().await.expect("versions");
    assert_eq!(versions[0].source, PolicySource::Fault);
    ship(by_hand());
    a_while().await;
    assert_eq!(version(&running), "5");
    ship(by_hand_of("another"));
    soon(&running, "1").await;
    running.shutdown().await;
}

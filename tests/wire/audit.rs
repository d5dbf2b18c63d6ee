//! What a server records while it is used: requests and changes in one chain, which is clean when it has ended.

use std::fs;

use scopegate_host::{
    audit::Filter,
    store::{CredentialKind, Store},
};
use serde_json::json;

use crate::harness::{Key, START_MS, World, json_reply};

#[tokio::test]
async fn requests_and_changes_are_one_chain_and_one_stream_of_lines() {
    let mut world = World::start("scopegate").await;
    world.upstream.answers(|_| json_reply(200, json!({})));
    let admin = world.session("admin").await;
    for path in ["/v1/organization", "/v1/clusters/prod/nodes", "/nowhere"] {
        admin.get(path).await;
    }
    let lines = world.audit_lines().await;
    let numbers: Vec<i64> = lines
        .iter()
        .filter_map(|line| line["seq"].as_i64())
        .collect();
    let expected: Vec<i64> = (1..=lines.len() as i64).collect();
    assert_eq!(
        numbers, expected,
        "every record is a line, in the chain's order"
    );
    let actions: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["action"].as_str())
        .collect();
    assert_eq!(
        actions[..3],
        ["policy.activate", "organization.create", "cluster.add"]
    );
    assert!(actions.contains(&"session.open"));
    let nodes = lines
        .iter()
        .find(|line| line["path"] == "/v1/clusters/prod/nodes")
        .unwrap();
    assert_eq!(nodes["cluster"], "prod");
    assert_eq!(nodes["name"], "admin@acme.example");
    assert!(nodes["user"].is_string());
    let report = world.verify_audit().await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.records, lines.len() as u64);

    world.shutdown().await;
    let report = world.verify_audit().await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.signed_through, Some(report.last_seq));
}

/// The stored line is the written one, but for its number.
#[tokio::test]
async fn the_end_of_a_server_is_in_the_store() {
    let mut world = World::start("scopegate").await;
    world.upstream.answers(|_| json_reply(200, json!({})));
    let admin = world.session("admin").await;
    for _ in 0..50 {
        admin.get("/v1/organization").await;
    }
    world.shutdown().await;
    let url = format!("sqlite://{}", world.store_path().display());
    let store = Store::open_to_read(&url).await.unwrap();
    let mut found = store
        .search_audit(&Filter::default(), None, 1000)
        .await
        .unwrap()
        .records;
    found.reverse();
    let numbered: Vec<String> = found.iter().map(|record| record.numbered()).collect();
    let written = fs::read_to_string(world.store_path().with_file_name("audit.jsonl")).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), numbered);
    let requests = numbered
        .iter()
        .filter(|line| line.contains("/v1/organization"));
    assert_eq!(requests.count(), 50);
}

#[tokio::test]
async fn lists_say_when_a_key_was_last_used() {
    let mut world = World::start("scopegate").await;
    world.upstream.answers(|_| json_reply(200, json!({})));
    let (secret, used) = world.mint_key(Key::default()).await;
    let (_, unused) = world.mint_key(Key::default()).await;
    world.with_key(&secret).get("/v1/organization").await;
    world.shutdown().await;
    let url = format!("sqlite://{}", world.store_path().display());
    let store = Store::open_to_read(&url).await.unwrap();
    let keys = store
        .list_credentials(world.organization, CredentialKind::ApiKey)
        .await;
    let keys = keys.unwrap();
    let last_used = |id| keys.iter().find(|key| key.id == id).unwrap().last_used_at;
    assert_eq!(last_used(used), Some(START_MS / 1000));
    assert_eq!(last_used(unused), None);
}

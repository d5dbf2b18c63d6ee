//! What is on record of questions.

use serde_json::{Value, json};

use super::asker::{EVALUATION, EVALUATIONS, answer, asker, cluster, minted, route, user};
use crate::harness::{Key, START_MS, World};
use scopegate_host::replay::{self, Entry};

#[tokio::test]
async fn each_answer_is_on_record_with_who_asked() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let by = world.user("admin@acme.example").to_string();
    let viewer = world.user("viewer@acme.example").to_string();
    world.audit_tail().await;
    let mut question = route(&user("viewer@acme.example"), "POST", "/v1/alerts");
    question["context"] = json!({ "ip": "192.0.2.7", "time": "2026-03-31T13:00:00Z" });
    let questions = json!({ "evaluations": [
        question,
        route(&user("viewer@acme.example"), "GET", "/v1/clusters"),
        route(&user("ghost@acme.example"), "GET", "/v1/clusters"),
        route(&json!({ "type": "anonymous", "id": "-" }), "GET", "/v1/health"),
        cluster(&user("viewer@acme.example"), "clusters:read", "prod"),
    ] });
    let reply = asker.post(EVALUATIONS, questions).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let mut records = world.audit_tail().await;
    let call = records.remove(0);
    assert_eq!(call["path"], "/-/api/access/v1/evaluations");
    assert_eq!(call["asked_by"], Value::Null);
    assert_eq!(records.len(), 5, "{records:?}");
    for record in &records {
        assert_eq!(record["request_id"], call["request_id"]);
        assert_eq!(record["organization"], world.organization.to_string());
        assert_eq!(record["asked_by"]["credential"], call["credential"]);
        assert_eq!(record["asked_by"]["user"], by);
        assert_eq!(record["asked_by"]["kind"], "api-key");
        assert_eq!(record["asked_by"]["agent"], "ci");
        let entry = replay::read(&record.to_string()).expect("a record");
        assert!(!matches!(entry, Entry::Change), "{record}");
    }
    let [denied, allowed, ghost, anonymous, on_cluster] = records.as_slice() else {
        panic!("five records");
    };
    for (member, value) in [
        ("kind", json!("session")),
        ("user", json!(viewer)),
        ("outcome", json!("refuse")),
        ("reason", json!("missing-permission")),
        ("about", json!("alerts:write")),
        ("method", json!("POST")),
        ("path", json!("/v1/alerts")),
        ("address", json!("192.0.2.7")),
        ("asked_at", json!("2026-03-31T13:00:00Z")),
    ] {
        assert_eq!(denied[member], value, "{denied}");
    }
    assert_eq!(allowed["outcome"], "admit");
    assert_eq!(allowed["visible"], "*");
    assert_eq!(allowed["address"], Value::Null);
    assert_eq!(
        (&ghost["kind"], &ghost["reason"]),
        (&json!("anonymous"), &json!("not-found"))
    );
    assert_eq!(ghost["about"], "there is no user `ghost@acme.example`");
    assert_eq!(anonymous["outcome"], "admit");
    assert_eq!(on_cluster["path"], "/v1/clusters/prod");
}

/// Who is asked about has done nothing: no use of their credential is noted.
#[tokio::test]
async fn nothing_is_used_by_being_asked_about() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, false).await;
    let key = world.key(Key::default()).await;
    let question = route(&minted("key", &key), "GET", "/v1/clusters/prod");
    assert_eq!(
        answer(&asker, EVALUATION, &question).await["decision"],
        true
    );
    let gate = world.running().gate();
    gate.close_audit().await;
    let store = gate.directory().store();
    let row = store.find_credential_row(key.id.expect("an id")).await;
    assert_eq!(row.expect("a store").expect("a key").last_used_at, None);
    let asked = store
        .find_credential_row(asker_id(&asker, &world).await)
        .await;
    let used = asked.expect("a store").expect("a key").last_used_at;
    assert_eq!(used, Some(START_MS / 1000));
}

async fn asker_id(asker: &crate::harness::Actor, world: &World) -> uuid::Uuid {
    super::corpus::credential_id(world, asker.credential_value()).await
}

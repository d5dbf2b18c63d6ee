//! KubeVision: Profile → API Keys, and Settings → Users → (user) → API Keys.

use std::time::Duration;

use serde_json::{Value, json};

use super::{is_shown_again, minted, office, text};
use crate::harness::{START_MS, World};

const CLUSTER: &str = "/api/v1/clusters/prod";

/// So many seconds after the start.
fn after(secs: i64) -> String {
    jiff::Timestamp::from_second(START_MS / 1000 + secs)
        .unwrap()
        .to_string()
}

async fn works(world: &World, secret: &str) -> u16 {
    world.with_key(secret).get(CLUSTER).await.status
}

/// KV-01: New API Key: a name, an optional expiry, Generate.
#[tokio::test]
async fn kv_01_a_name_and_an_optional_expiry() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (key, secret) = minted(&viewer, json!({ "name": "github-actions-deploy" })).await;
    assert!(key["expires_at"].is_null() && secret.starts_with("kv_live_"));
    let (key, _) = minted(
        &viewer,
        json!({ "name": "ci", "expires_at": after(86_400) }),
    )
    .await;
    assert_eq!(key["expires_at"], after(86_400));
    let scoped = viewer
        .post(
            super::KEYS,
            json!({ "name": "ci", "scopes": ["clusters:read"] }),
        )
        .await;
    assert_eq!(scoped.status, 422, "{}", scoped.body);
}

/// KV-02: shown once; a lost key is revoked and made again.
#[tokio::test]
async fn kv_02_a_lost_key_is_made_again() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (key, secret) = minted(&viewer, json!({ "name": "ci" })).await;
    assert!(!is_shown_again(&world, &viewer, &key, &secret).await);
    let path = format!("{}/{}", super::KEYS, text(&key["id"]));
    assert_eq!(viewer.call("DELETE", &path).await.status, 200);
    let (_, again) = minted(&viewer, json!({ "name": "ci" })).await;
    assert_eq!(
        (works(&world, &secret).await, works(&world, &again).await),
        (401, 200)
    );
}

/// KV-07: without an expiry a key is valid until it is revoked; an expired one is refused.
#[tokio::test]
async fn kv_07_an_expired_key_is_refused() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (_, without) = minted(&viewer, json!({ "name": "ci" })).await;
    let (key, with) = minted(&viewer, json!({ "name": "ci", "expires_at": after(3_600) })).await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(
        (works(&world, &without).await, works(&world, &with).await),
        (200, 401)
    );
    let viewer = world.manager("viewer").await;
    let path = format!("{}/{}", super::KEYS, text(&key["id"]));
    assert_eq!(viewer.get(&path).await.json()["state"], "expired");
    let past = viewer
        .post(super::KEYS, json!({ "name": "ci", "expires_at": after(0) }))
        .await;
    assert_eq!(past.status, 422, "{}", past.body);
}

/// KV-09: every request with a key is logged under its owner's name, the key's name as the agent. KV-16: the use of
/// keys is in the audit log.
#[tokio::test]
async fn kv_09_and_kv_16_the_log_has_owner_and_key() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (key, secret) = minted(&viewer, json!({ "name": "github-actions-deploy" })).await;
    assert_eq!(works(&world, &secret).await, 200);
    let admin = world.manager("admin").await;
    let path = format!("/-/api/audit?credential={}", text(&key["id"]));
    let found = audited(&world, &admin, &path, 1).await;
    let record = &found[0];
    assert_eq!(
        (&record["name"], &record["agent"]),
        (
            &json!("viewer@acme.example"),
            &json!("github-actions-deploy")
        )
    );
    assert_eq!(
        (&record["method"], &record["path"], &record["outcome"]),
        (&json!("GET"), &json!(CLUSTER), &json!("admit"))
    );
    assert_eq!(viewer.get(&path).await.status, 403);
}

/// KV-09: also of a key that has ended: who still has it would be wanted. What was tried with it is no use of it.
#[tokio::test]
async fn kv_09_the_log_has_owner_and_key_when_the_key_has_ended() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (revoked, secret) = minted(&viewer, json!({ "name": "leaked" })).await;
    let path = format!("{}/{}", super::KEYS, text(&revoked["id"]));
    assert_eq!(viewer.call("DELETE", &path).await.status, 200);
    let ends = json!({ "name": "old", "expires_at": after(60) });
    let (expired, other) = minted(&viewer, ends).await;
    world.clock.advance(Duration::from_secs(60));
    for secret in [&secret, &other] {
        assert_eq!(works(&world, secret).await, 401);
    }
    let admin = world.manager("admin").await;
    for (key, name, reason) in [
        (&revoked, "leaked", "revoked"),
        (&expired, "old", "expired"),
    ] {
        let id = text(&key["id"]);
        let path = format!("/-/api/audit?credential={id}&outcome=refuse");
        let found = audited(&world, &admin, &path, 1).await;
        let record = &found[0];
        let said = |member: &str| text(&record[member]);
        assert_eq!(
            ["name", "agent", "kind", "reason", "path"].map(said),
            ["viewer@acme.example", name, "api-key", reason, CLUSTER]
        );
        let path = format!("/-/api/organization/keys/{id}");
        assert_eq!(admin.get(&path).await.json()["last_used_at"], json!(null));
    }
}

/// The records of a search, once there are so many.
async fn audited(
    world: &World,
    admin: &crate::harness::Actor,
    path: &str,
    count: usize,
) -> Vec<Value> {
    world.audit().await;
    let found = admin.get(path).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let items = found.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), count, "{}", found.body);
    items
}

/// KV-10: revoking is immediate: the next request fails, and so does one that is under way.
#[tokio::test]
async fn kv_10_requests_under_way_fail() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (key, secret) = minted(&viewer, json!({ "name": "ci" })).await;
    let arrived = std::sync::Arc::new(tokio::sync::Notify::new());
    let told = std::sync::Arc::clone(&arrived);
    world.upstream.streams(move |_| {
        told.notify_one();
        std::future::pending()
    });
    let waiting = tokio::spawn({
        let key = world.with_key(&secret);
        async move { key.get(CLUSTER).await }
    });
    arrived.notified().await;
    let path = format!("{}/{}", super::KEYS, text(&key["id"]));
    assert_eq!(viewer.call("DELETE", &path).await.status, 200);
    let reply = tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .expect("soon")
        .unwrap();
    assert_eq!((reply.status, reply.code()), (401, "revoked".into()));
    assert_eq!(works(&world, &secret).await, 401);
}

/// KV-11: a key that nears its expiry is told apart in the list: what an amber badge shows.
#[tokio::test]
async fn kv_11_a_key_nearing_its_expiry_is_told_apart() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (key, _) = minted(
        &viewer,
        json!({ "name": "ci", "expires_at": after(30 * 86_400) }),
    )
    .await;
    let path = format!("{}/{}", super::KEYS, text(&key["id"]));
    let mut states = Vec::new();
    for days in [0, 22, 2, 6] {
        world.clock.advance(Duration::from_secs(days * 86_400));
        let viewer = world.manager("viewer").await;
        states.push(text(&viewer.get(&path).await.json()["state"]));
    }
    assert_eq!(states, ["active", "active", "expiring", "expired"]);
    let viewer = world.manager("viewer").await;
    let expired = viewer
        .get(&format!("{}?state=expired", super::KEYS))
        .await
        .json();
    assert_eq!(expired["items"][0]["id"], key["id"]);
}

/// KV-12: administrators see and revoke any user's keys.
#[tokio::test]
async fn kv_12_admins_see_and_revoke_any_users_keys() {
    let world = office("kubevision").await;
    let (viewer, admin) = (world.manager("viewer").await, world.manager("admin").await);
    let (key, secret) = minted(&viewer, json!({ "name": "ci" })).await;
    minted(&admin, json!({ "name": "mine" })).await;
    let owner = world.user("viewer@acme.example");
    let theirs = admin
        .get(&format!("/-/api/organization/keys?owner={owner}"))
        .await
        .json();
    assert_eq!(theirs["items"].as_array().unwrap().len(), 1);
    assert_eq!(theirs["items"][0]["id"], key["id"]);
    let path = format!("/-/api/organization/keys/{}", text(&key["id"]));
    assert_eq!(
        world
            .manager("editor")
            .await
            .call("DELETE", &path)
            .await
            .status,
        403
    );
    assert_eq!(admin.call("DELETE", &path).await.status, 200);
    assert_eq!(works(&world, &secret).await, 401);
}

/// KV-17: keys are rotated regularly, and an expiry enforces it: the successor carries on, the old one ends.
#[tokio::test]
async fn kv_17_expiry_enforces_rotation() {
    let world = office("kubevision").await;
    let viewer = world.manager("viewer").await;
    let (key, secret) = minted(
        &viewer,
        json!({ "name": "ci", "expires_at": after(86_400) }),
    )
    .await;
    let (successor, next) =
        super::rotated(&viewer, &key, json!({ "expires_at": after(90 * 86_400) })).await;
    assert_eq!(successor["expires_at"], after(90 * 86_400));
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(
        (works(&world, &secret).await, works(&world, &next).await),
        (401, 200)
    );
    world.clock.advance(Duration::from_secs(89 * 86_400));
    assert_eq!(works(&world, &next).await, 401);
}

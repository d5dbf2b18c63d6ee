//! KubeWatch: Settings → API Keys.

use std::time::Duration;

use serde_json::json;

use super::{is_shown_again, minted, office, rotated, text};

const AGENTS: &str = "/api/v1/agents";

/// KW-05: keys are long-lived and never expire until revoked.
#[tokio::test]
async fn kw_05_keys_never_expire() {
    let world = office("kubewatch").await;
    let admin = world.manager("admin").await;
    let refused = admin
        .post(
            super::KEYS,
            json!({ "name": "ci", "expires_at": "2030-01-01T00:00:00Z" }),
        )
        .await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let (_, secret) = minted(&admin, json!({ "name": "ci" })).await;
    world.clock.advance(Duration::from_secs(10 * 366 * 86_400));
    assert_eq!(world.with_key(&secret).get(AGENTS).await.status, 200);
}

/// KW-06: Create Key with a descriptive name; the key is shown only once.
#[tokio::test]
async fn kw_06_created_with_a_name_and_shown_once() {
    let world = office("kubewatch").await;
    let admin = world.manager("admin").await;
    let (key, secret) = minted(&admin, json!({ "name": "production agent, eu-west" })).await;
    assert_eq!(key["name"], "production agent, eu-west");
    assert!(secret.starts_with("kw_live_"));
    assert!(!is_shown_again(&world, &admin, &key, &secret).await);
    let unnamed = admin.post(super::KEYS, json!({})).await;
    assert_eq!(unnamed.status, 400, "{}", unnamed.body);
    // Its rights are an admin's for metrics and agents, so whoever lacks those cannot make one.
    let viewer = world
        .manager("viewer")
        .await
        .post(super::KEYS, json!({ "name": "ci" }))
        .await;
    assert_eq!((viewer.status, viewer.code()), (403, "not-held".into()));
}

/// KW-15: separate keys per agent, so that one can be revoked without the others.
#[tokio::test]
async fn kw_15_one_is_revoked_without_the_others() {
    let world = office("kubewatch").await;
    let admin = world.manager("admin").await;
    let mut agents = Vec::new();
    for name in ["agent 1", "agent 2", "agent 3"] {
        agents.push(minted(&admin, json!({ "name": name })).await);
    }
    let path = format!("{}/{}", super::KEYS, text(&agents[1].0["id"]));
    assert_eq!(admin.call("DELETE", &path).await.status, 200);
    let mut statuses = Vec::new();
    for (_, secret) in &agents {
        statuses.push(world.with_key(secret).get(AGENTS).await.status);
    }
    assert_eq!(statuses, [200, 401, 200]);
}

/// KW-16: after a suspected exposure a key is rotated: the successor works, the old one ends at once if that is wanted.
#[tokio::test]
async fn kw_16_rotation_after_an_exposure() {
    let world = office("kubewatch").await;
    let admin = world.manager("admin").await;
    let (key, exposed) = minted(&admin, json!({ "name": "ci" })).await;
    let now = jiff::Timestamp::from_millisecond(world.clock.now_ms())
        .unwrap()
        .to_string();
    let (successor, secret) = rotated(&admin, &key, json!({ "retires_at": now })).await;
    assert_eq!(successor["predecessor"], key["id"]);
    assert_eq!(world.with_key(&exposed).get(AGENTS).await.status, 401);
    assert_eq!(world.with_key(&secret).get(AGENTS).await.status, 200);
}

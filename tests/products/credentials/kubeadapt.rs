//! Kubeadapt: Settings → API Keys → + Create Key, rotating one, and inviting teammates.

use std::time::Duration;

use serde_json::{Value, json};

use super::{is_shown_again, made, minted, office, rotated, text};
use crate::{api::office::sent, harness::Actor};

const ORGANIZATION: &str = "/v1/organization";

/// KA-02: the name is required, up to 255 characters.
#[tokio::test]
async fn ka_02_a_name_of_up_to_255_characters() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    let body = |name: Value| json!({ "name": name, "scopes": ["organization:read"] });
    let (key, _) = minted(&admin, body(json!("é".repeat(255)))).await;
    assert_eq!(text(&key["name"]).chars().count(), 255);
    for (bad, status) in [
        (json!("x".repeat(256)), 422),
        (json!(""), 422),
        (json!("a\nb"), 422),
        (json!(null), 400),
    ] {
        assert_eq!(
            admin.post(super::KEYS, body(bad.clone())).await.status,
            status,
            "{bad}"
        );
    }
    assert_eq!(
        admin
            .post(super::KEYS, json!({ "scopes": ["organization:read"] }))
            .await
            .status,
        400
    );
}

/// KA-03: at least one scope, and only those of the picker: each is `*:read`.
#[tokio::test]
async fn ka_03_at_least_one_scope_all_of_them_read() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    for bad in [
        json!(null),
        json!([]),
        json!(["metrics:write"]),
        json!(["clusters:write"]),
        json!(["manage:keys"]),
        json!(["*"]),
    ] {
        let refused = admin
            .post(super::KEYS, json!({ "name": "ci", "scopes": bad }))
            .await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "unprocessable".into()),
            "{bad}: {}",
            refused.body
        );
    }
    let policy = admin.get("/-/api/policy").await.json();
    let picker: Vec<&Value> = policy["permissions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|known| known["scope"] == true)
        .collect();
    assert_eq!(picker.len(), 9);
    assert!(
        picker
            .iter()
            .all(|known| text(&known["name"]).ends_with(":read"))
    );
    assert!(
        picker.iter().all(
            |known| !text(&known["category"]).is_empty() && !text(&known["unlocks"]).is_empty()
        )
    );
    let all: Vec<&Value> = picker.iter().map(|known| &known["name"]).collect();
    minted(&admin, json!({ "name": "all", "scopes": all })).await;
}

/// KA-07: keys are not editable: more scopes means a second key.
#[tokio::test]
async fn ka_07_keys_are_not_editable() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    let (key, secret) = minted(
        &admin,
        json!({ "name": "ci", "scopes": ["organization:read"] }),
    )
    .await;
    let path = format!("{}/{}", super::KEYS, text(&key["id"]));
    for method in ["PUT", "PATCH"] {
        let refused = sent(
            &admin,
            method,
            &path,
            &[("if-match", "*")],
            json!({ "scopes": ["nodes:read"] }),
        )
        .await;
        assert_eq!(refused.status, 405, "{method}");
    }
    assert_eq!(world.with_key(&secret).get("/v1/nodes").await.status, 403);
    let (_, second) = minted(
        &admin,
        json!({ "name": "ci", "scopes": ["organization:read", "nodes:read"] }),
    )
    .await;
    assert_eq!(world.with_key(&second).get("/v1/nodes").await.status, 200);
}

/// KA-09: the full key is shown once.
#[tokio::test]
async fn ka_09_the_key_is_shown_once() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    let (key, secret) = minted(
        &admin,
        json!({ "name": "ci", "scopes": ["organization:read"] }),
    )
    .await;
    assert!(secret.starts_with("ka_live_"));
    assert_eq!(world.with_key(&secret).get(ORGANIZATION).await.status, 200);
    assert!(!is_shown_again(&world, &admin, &key, &secret).await);
}

/// KA-16: `allowed_cluster_ids` is set at creation; empty means all.
#[tokio::test]
async fn ka_16_allowed_clusters_are_set_at_creation() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    let body = |clusters: Value| json!({ "name": "ci", "scopes": ["clusters:read"], "allowed_cluster_ids": clusters });
    let get = |secret: &str, cluster: &str| {
        let (key, path) = (world.with_key(secret), format!("/v1/clusters/{cluster}"));
        async move { key.get(&path).await.status }
    };
    let (key, one) = minted(&admin, body(json!(["prod"]))).await;
    assert_eq!(key["allowed_cluster_ids"], json!(["prod"]));
    assert_eq!(
        (get(&one, "prod").await, get(&one, "dev").await),
        (200, 403)
    );
    let (key, all) = minted(&admin, body(json!([]))).await;
    assert_eq!(key["allowed_cluster_ids"], json!([]));
    made(&admin, "/-/api/clusters", json!({ "id": "later" })).await;
    assert_eq!(
        (get(&all, "dev").await, get(&all, "later").await),
        (200, 200)
    );
    let unknown = admin.post(super::KEYS, body(json!(["nowhere"]))).await;
    assert_eq!(unknown.status, 422, "{}", unknown.body);
}

/// KA-23: rotation is a zero-downtime cutover from old to new.
#[tokio::test]
async fn ka_23_zero_downtime_cutover() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    let body = json!({ "name": "grafana", "scopes": ["organization:read"], "allowed_cluster_ids": ["prod"] });
    let (key, old) = minted(&admin, body).await;
    let (successor, new) = rotated(&admin, &key, json!({})).await;
    for same in ["name", "scopes", "allowed_cluster_ids", "owner"] {
        assert_eq!(successor[same], key[same], "{same}");
    }
    let works = |secret: &str| {
        let key = world.with_key(secret);
        async move { key.get(ORGANIZATION).await.status }
    };
    assert_eq!((works(&old).await, works(&new).await), (200, 200));
    world.clock.advance(Duration::from_secs(86_399));
    assert_eq!((works(&old).await, works(&new).await), (200, 200));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!((works(&old).await, works(&new).await), (401, 200));
}

/// KA-25: teammates are invited, and their roles set.
#[tokio::test]
async fn ka_25_teammates_are_invited_and_their_roles_set() {
    let world = office("kubeadapt").await;
    let admin = world.manager("admin").await;
    let body = json!({ "email": "grace@acme.example", "role": "viewer" });
    let invited = made(&admin, "/-/api/users", body).await;
    let accept = json!({ "invitation": invited["invitation"], "password": "a password of my own" });
    let accepted = Actor::new(&world.management, None)
        .post("/-/invitation", accept)
        .await;
    assert_eq!(accepted.status, 204, "{}", accepted.body);
    let grace = world
        .sign_in("grace@acme.example", "a password of my own")
        .await;
    assert_eq!(
        grace.get("/-/api/me").await.json()["roles"],
        json!(["viewer"])
    );
    assert_eq!(grace.get("/-/api/users").await.status, 403);
    let path = format!("/-/api/users/{}", text(&invited["user"]["id"]));
    let any = [("if-match", "*")];
    let edited = sent(&admin, "PATCH", &path, &any, json!({ "role": "admin" })).await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    assert_eq!(grace.get("/-/api/users").await.status, 200);
}

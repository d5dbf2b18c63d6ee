//! K8Cost: Settings → API Tokens, agents' tokens, custom roles.

use std::time::Duration;

use serde_json::json;

use super::{made, minted, office, text};
use crate::api::office::sent;

const CLUSTER: &str = "/api/v1/clusters/prod";

/// K8C-07: keys are created under Settings → API Tokens, by every user for themselves.
#[tokio::test]
async fn k8c_07_every_user_creates_keys() {
    let world = office("k8cost").await;
    for role in ["admin", "editor", "viewer"] {
        let user = world.manager(role).await;
        let (key, secret) = minted(&user, json!({ "name": "ci" })).await;
        assert_eq!(text(&key["owner"]["email"]), format!("{role}@acme.example"));
        assert!(secret.starts_with("k8c_live_"));
        assert_eq!(
            world.with_key(&secret).get(CLUSTER).await.status,
            200,
            "{role}"
        );
    }
}

/// K8C-08: keys don't expire unless revoked: none can be given an expiry, and years later they work.
#[tokio::test]
async fn k8c_08_keys_do_not_expire() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let body = json!({ "name": "ci", "expires_at": "2030-01-01T00:00:00Z" });
    let refused = admin.post(super::KEYS, body).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "unprocessable".into()),
        "{}",
        refused.body
    );
    let (key, secret) = minted(&admin, json!({ "name": "ci" })).await;
    assert!(key["expires_at"].is_null());
    world.clock.advance(Duration::from_secs(10 * 366 * 86_400));
    assert_eq!(world.with_key(&secret).get(CLUSTER).await.status, 200);
    let admin = world.manager("admin").await;
    let path = format!("{}/{}", super::KEYS, text(&key["id"]));
    assert_eq!(admin.call("DELETE", &path).await.status, 200);
    assert_eq!(world.with_key(&secret).get(CLUSTER).await.status, 401);
}

/// K8C-10: the agent's token is generated while a cluster is set up, for that cluster; and rotated without a gap.
#[tokio::test]
async fn k8c_10_a_cluster_is_connected_with_its_agents_token() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let body = json!({ "id": "edge-1", "agent": true });
    let once = [("idempotency-key", "connect")];
    let connected = sent(&admin, "POST", "/-/api/clusters", &once, body.clone()).await;
    assert_eq!(connected.status, 201, "{}", connected.body);
    let again = sent(&admin, "POST", "/-/api/clusters", &once, body)
        .await
        .json();
    assert!(again["agent"]["secret"].is_null());
    let connected = connected.json();
    assert_eq!(again["agent"]["id"], connected["agent"]["id"]);
    let submit = |secret: &str, cluster: &str| {
        let agent = world.with_key(secret);
        let request = agent
            .request("POST", "/api/v1/metrics")
            .header("x-cluster-id", cluster);
        async move { agent.send(request).await.status }
    };
    let token = text(&connected["agent"]["secret"]);
    assert!(token.starts_with("k8c_agent_"));
    assert_eq!(submit(&token, "edge-1").await, 202);
    assert_eq!(submit(&token, "prod").await, 403);
    let path = format!("/-/api/agents/{}/rotate", text(&connected["agent"]["id"]));
    let next = text(&made(&admin, &path, json!({})).await["secret"]);
    assert_eq!(
        (
            submit(&token, "edge-1").await,
            submit(&next, "edge-1").await
        ),
        (202, 202)
    );
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(
        (
            submit(&token, "edge-1").await,
            submit(&next, "edge-1").await
        ),
        (401, 202)
    );
    // With its cluster, the token goes.
    let admin = world.manager("admin").await;
    assert_eq!(
        admin.call("DELETE", "/-/api/clusters/edge-1").await.status,
        204
    );
    assert_eq!(submit(&next, "edge-1").await, 401);
    let reused = admin
        .post("/-/api/clusters", json!({ "id": "edge-1" }))
        .await;
    assert_eq!((reused.status, reused.code()), (409, "conflict".into()));
}

/// K8C-18: custom roles with granular permissions.
#[tokio::test]
async fn k8c_18_custom_roles() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let body = json!({ "permissions": ["clusters:read", "recommendations:write", "budgets:read"] });
    let none = [("if-none-match", "*")];
    let role = sent(&admin, "PUT", "/-/api/roles/finops", &none, body.clone()).await;
    assert_eq!(role.status, 200, "{}", role.body);
    let listed = admin.get("/-/api/roles").await.json();
    let custom = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["custom"] == true)
        .unwrap();
    assert_eq!(
        (&custom["name"], &custom["permissions"]),
        (
            &json!("finops"),
            &json!(["budgets:read", "clusters:read", "recommendations:write"])
        )
    );
    let viewer = format!("/-/api/users/{}", world.user("viewer@acme.example"));
    let any = [("if-match", "*")];
    sent(&admin, "PATCH", &viewer, &any, json!({ "role": "finops" })).await;
    let session = world.session("viewer").await;
    assert_eq!(session.get(CLUSTER).await.status, 200);
    assert_eq!(session.get("/api/v1/budgets").await.status, 200);
    let recommendation = format!("{CLUSTER}/recommendations/r1");
    let taken_up = session.call("PATCH", &recommendation).await;
    assert_eq!(taken_up.status, 200, "{}", taken_up.body);
    assert_eq!(session.call("DELETE", CLUSTER).await.status, 403);
    // A permission that is taken from the role is gone at the next request.
    let less = sent(
        &admin,
        "PUT",
        "/-/api/roles/finops",
        &any,
        json!({ "permissions": ["budgets:read"] }),
    )
    .await;
    assert_eq!(less.status, 200, "{}", less.body);
    assert_eq!(session.get(CLUSTER).await.status, 403);
}

//! Subjects that a question itself describes.

use serde_json::{Value, json};

use super::asker::{EVALUATION, EVALUATIONS, answer, asker, decision, route};
use crate::harness::World;

fn claimed(kind: &str, properties: Value) -> Value {
    json!({ "type": kind, "id": "someone", "properties": properties })
}

#[tokio::test]
async fn claims_are_believed_of_those_who_may_assert() {
    let world = World::start("scopegate").await;
    let (trusted, asking) = (asker(&world, true).await, asker(&world, false).await);
    let admin = claimed("user", json!({ "roles": ["admin"] }));
    let question = route(&admin, "GET", "/v1/clusters");
    assert!(decision(&trusted, &question).await.0);
    let refused = asking.post(EVALUATION, question.clone()).await;
    assert_eq!(
        (refused.status, refused.code()),
        (403, "missing-permission".to_owned())
    );
    assert!(
        refused.body.contains("authorization:assert"),
        "{}",
        refused.body
    );
    // Among several it is the one that fails.
    let several = json!({ "evaluations": [question, route(&json!({ "type": "anonymous", "id": "-" }), "GET", "/v1/health")] });
    let answers = answer(&asking, EVALUATIONS, &several).await;
    assert_eq!(answers["evaluations"][0]["context"]["error"]["status"], 403);
    assert_eq!(answers["evaluations"][1]["decision"], true);
}

#[tokio::test]
async fn what_is_claimed_is_what_is_judged() {
    let world = World::start("scopegate").await;
    let asker = asker(&world, true).await;
    let table = [
        (
            claimed("user", json!({ "roles": ["viewer"] })),
            "POST",
            "/v1/alerts",
            "missing-permission",
        ),
        (
            claimed("user", json!({ "permissions": ["alerts:*"] })),
            "POST",
            "/v1/alerts",
            "",
        ),
        (
            claimed("user", json!({ "roles": ["ghost"] })),
            "GET",
            "/v1/clusters",
            "missing-permission",
        ),
        (
            claimed("user", json!({ "roles": ["admin"], "clusters": [] })),
            "GET",
            "/v1/clusters/prod",
            "cluster-not-allowed",
        ),
        (
            claimed("user", json!({ "roles": ["admin"], "clusters": ["prod"] })),
            "GET",
            "/v1/clusters/prod",
            "",
        ),
        (
            claimed("user", json!({ "roles": ["admin"], "clusters": ["ghost"] })),
            "GET",
            "/v1/clusters/ghost",
            "cluster-not-allowed",
        ),
        (
            claimed("user", json!({ "roles": ["admin"], "clusters": ["prod"] })),
            "GET",
            "/v1/clusters",
            "list-not-filterable",
        ),
        (
            claimed(
                "key",
                json!({ "roles": ["admin"], "scopes": ["nodes:read"] }),
            ),
            "GET",
            "/v1/clusters",
            "missing-permission",
        ),
        (
            claimed("agent", json!({ "cluster": "prod" })),
            "POST",
            "/v1/clusters/prod/metrics",
            "",
        ),
        (
            claimed("agent", json!({ "cluster": "prod" })),
            "POST",
            "/v1/clusters/dev/metrics",
            "agent-outside-cluster",
        ),
        // No claim makes an operator, nor a page of the gate's an upstream's.
        (
            claimed("user", json!({ "roles": ["admin"], "operator": true })),
            "GET",
            "/-/api/organizations",
            "no-route",
        ),
    ];
    for (subject, method, path, code) in table {
        let question = route(&subject, method, path);
        let expected = (code.is_empty(), code.to_owned());
        assert_eq!(decision(&asker, &question).await, expected, "{question}");
    }
    for wrong in [
        claimed("user", json!({ "roles": "admin" })),
        claimed("user", json!({ "roles": [1] })),
        claimed("user", json!({ "roles": vec!["x"; 257] })),
        claimed("user", json!({ "clusters": ["a b"] })),
        claimed("user", json!({ "cluster": "prod", "roles": ["admin"] })),
        claimed("user", json!({ "mfa": "yes" })),
        claimed("user", json!({ "auth_time": "now" })),
        claimed("agent", json!({ "roles": ["agent"] })),
    ] {
        let reply = asker
            .post(EVALUATION, route(&wrong, "GET", "/v1/clusters"))
            .await;
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.body);
    }
}

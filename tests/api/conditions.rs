//! Roles with a condition, in the management API: what gives nothing in a request gives nothing on in it.

use serde_json::json;

use crate::harness::{Actor, Options, Reply, World};

const DOCUMENT: &str = r#"
policy: guarded
permissions:
  clusters:read: { category: Clusters, unlocks: Clusters }
roles:
  admin: { permissions: ["*"], when: 'request.headers["x-office"] == "yes"' }
  editor: []
  viewer: []
routes:
  - { match: "GET /v1/clusters/{cluster}", requires: clusters:read }
"#;

async fn send(who: &Actor, is_in_office: bool, path: &str, body: serde_json::Value) -> Reply {
    let request = who.request("POST", path);
    let request = request.header("content-type", "application/json");
    let request = match is_in_office {
        true => request.header("x-office", "yes"),
        false => request,
    };
    who.send(request.body(body.to_string())).await
}

#[tokio::test]
async fn nobody_gives_on_what_their_role_does_not_give_them_now() {
    let world = World::with(Options {
        policy: Some(DOCUMENT),
        ..Options::of("kubeadapt")
    })
    .await;
    let admin = world.manager("admin@acme.example").await;
    let key = json!({ "name": "ci", "scopes": ["clusters:read"] });
    let outside = send(&admin, false, "/-/api/keys", key.clone()).await;
    assert_eq!(outside.status, 403, "{}", outside.body);
    assert!(
        outside
            .body
            .contains("you do not hold the permission `clusters:read`"),
        "{}",
        outside.body
    );
    let inside = send(&admin, true, "/-/api/keys", key).await;
    assert_eq!(inside.status, 201, "{}", inside.body);
}

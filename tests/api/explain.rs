//! May this caller do this? The answer is the one that they get who ask for it themselves.

use serde_json::{Value, json};
use uuid::Uuid;

use super::office::{made, office};
use crate::harness::{Actor, Key, Reply, World};

const EXPLAIN: &str = "/-/api/policy/explain";

async fn asked(actor: &Actor, caller: Value, method: &str, path: &str) -> Reply {
    let body = json!({ "caller": caller, "method": method, "path": path });
    actor.post(EXPLAIN, body).await
}

async fn explained(actor: &Actor, caller: Value, method: &str, path: &str) -> Value {
    let reply = asked(actor, caller.clone(), method, path).await;
    assert_eq!(
        reply.status, 200,
        "{caller} {method} {path}: {}",
        reply.body
    );
    reply.json()
}

fn lines(explained: &Value) -> String {
    let lines = explained["explanation"].as_array().expect("lines");
    let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    lines.join("\n")
}

#[tokio::test]
async fn the_answer_is_the_one_that_the_caller_gets() {
    let mut world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let email = "restricted@acme.example";
    let user = world
        .add_user("acme", email, "editor", Some(&["prod"]))
        .await;
    let session = world.session(email).await;
    let key = Key {
        owner: email,
        scopes: &["clusters:read"],
        ..Key::default()
    };
    let key = world.key(key).await;
    let key_id = key.id.expect("a key");
    let agent = made(&admin, "/-/api/agents", json!({ "cluster": "prod" })).await;
    let token = world.with_key(agent["secret"].as_str().unwrap());
    let callers = [
        (json!({ "user": user }), session),
        (json!({ "key": key_id }), key),
        (json!({ "agent": agent["id"] }), token),
        (json!("anonymous"), world.anonymous()),
    ];
    let policy = admin.get("/-/api/policy").await.json();
    for (caller, actor) in &callers {
        for (method, path) in [
            ("GET", "/v1/clusters/prod"),
            ("GET", "/v1/clusters/dev"),
            ("DELETE", "/v1/clusters/prod"),
            ("GET", "/v1/costs?cluster_id=prod"),
            ("GET", "/v1/nothing"),
            ("POST", "/v1/metrics"),
        ] {
            let found = explained(&admin, caller.clone(), method, path).await;
            let what = format!("{caller} {method} {path}: {found:#}");
            let reply = actor.call(method, path).await;
            let is_refused = reply.header("content-type") == "application/problem+json";
            assert_eq!(found["outcome"] == "deny", is_refused, "{what}");
            if is_refused {
                assert_eq!(found["status"], reply.status, "{what}");
                let code = reply.code().replace('_', "-");
                assert!(
                    reply.status == 401 || found["reason"] == json!(code),
                    "{what}"
                );
            } else {
                assert_eq!(
                    (&found["status"], &found["reason"]),
                    (&json!(200), &Value::Null)
                );
            }
            assert_eq!(found["policy"]["digest"], policy["digest"]);
            assert!(
                lines(&found).starts_with(&format!("{method} /v1/")),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn the_explanation_says_who_may_what_and_why() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let viewer = json!({ "role": "viewer", "clusters": ["prod"] });
    let found = explained(&admin, viewer.clone(), "DELETE", "/v1/clusters/prod").await;
    assert_eq!(found["reason"], "missing-permission");
    assert_eq!(found["about"], found["requires"]);
    assert_eq!(found["route"]["method"], "DELETE");
    assert_eq!(
        (&found["roles"], &found["clusters"]),
        (&json!(["viewer"]), &json!(["prod"]))
    );
    let held = found["permissions"].as_array().unwrap();
    assert!(held.contains(&json!("clusters:read")) && !held.contains(&found["requires"]));
    let text = lines(&found);
    for expected in [
        "DELETE /v1/clusters/prod, by a session (role `viewer`; assigned to `prod`)",
        "refused: missing-permission `",
        "role `viewer`: no",
        "it would be allowed if you",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let elsewhere = explained(&admin, viewer, "GET", "/v1/clusters/dev").await;
    assert_eq!(
        (&elsewhere["reason"], &elsewhere["about"]),
        (&json!("cluster-not-allowed"), &json!("dev"))
    );
    // A header that the policy reads.
    let body = json!({
        "caller": { "role": "admin" }, "method": "GET", "path": "/v1/clusters",
        "query": "page=2", "headers": { "X-Any": "thing" }, "address": "192.0.2.1",
    });
    let found = admin.post(EXPLAIN, body).await;
    assert_eq!(found.json()["outcome"], "allow", "{}", found.body);
    assert_eq!(found.json()["clusters"], Value::Null);
}

#[tokio::test]
async fn whoever_may_not_read_somebody_may_not_ask_about_them() {
    let mut world = office("scopegate").await;
    let viewer = world.manager("viewer").await;
    let ask =
        async |actor: &Actor, caller: Value| asked(actor, caller, "GET", "/v1/clusters").await;
    let nobody = Uuid::now_v7();
    for (caller, permission) in [
        (json!({ "user": nobody }), "manage:users"),
        (json!({ "role": "viewer" }), "manage:users"),
        (json!({ "key": nobody }), "manage:keys"),
        (json!({ "agent": nobody }), "manage:agents"),
    ] {
        let reply = ask(&viewer, caller).await;
        assert_eq!(reply.status, 403, "{}", reply.body);
        assert!(reply.body.contains(permission), "{}", reply.body);
    }
    assert_eq!(ask(&viewer, json!("anonymous")).await.status, 200);
    // Of another organization: as if they were not there.
    let admin = world.manager("admin").await;
    world.add_organization("globex").await;
    let email = "ada@globex.example";
    let user = world.add_user("globex", email, "admin", None).await;
    let key = Key {
        organization: "globex",
        owner: email,
        ..Key::default()
    };
    let (_, key) = world.mint_key(key).await;
    for (kind, there, nobody) in [
        ("user", user, nobody),
        ("key", key, nobody),
        ("agent", key, nobody),
    ] {
        let detail = async |id: Uuid| {
            let reply = ask(&admin, json!({ kind: id })).await;
            assert_eq!(reply.status, 404, "{kind}: {}", reply.body);
            reply.json()["detail"].clone()
        };
        assert_eq!(detail(there).await, detail(nobody).await);
    }
    for (caller, status) in [
        (json!({}), 400),
        (json!({ "user": user, "key": key }), 400),
        (json!({ "user": user, "clusters": ["prod"] }), 400),
        (json!("somebody"), 400),
        (json!({ "role": "viewr" }), 422),
        (json!({ "role": "viewer", "clusters": ["ghost"] }), 422),
    ] {
        let reply = ask(&admin, caller.clone()).await;
        assert_eq!(reply.status, status, "{caller}: {}", reply.body);
    }
    for path in ["v1", "/v1/%00", "/v1/%2e%2e/%2e%2e/x"] {
        let reply = asked(&admin, json!("anonymous"), "GET", path).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);
    }
}

/// What is asked about somebody is nothing that they did.
#[tokio::test]
async fn nothing_is_left_of_a_question() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let key = world.key(Key::default()).await;
    let id = key.id.expect("a key");
    let left = async || {
        let reply = key.get("/v1/clusters/prod").await;
        reply
            .header("x-ratelimit-remaining")
            .parse::<u32>()
            .expect("a number")
    };
    let before = left().await;
    for _ in 0..5 {
        explained(&admin, json!({ "key": id }), "GET", "/v1/clusters/prod").await;
    }
    assert_eq!(left().await, before - 1);
    let records = records(&world, &admin, id).await;
    assert_eq!(records.len(), 2, "{records:#?}");
    // Ended, it is refused whatever it asks for.
    let revoke = format!("/-/api/organization/keys/{id}");
    assert_eq!(admin.call("DELETE", &revoke).await.status, 200);
    let found = explained(&admin, json!({ "key": id }), "GET", "/v1/clusters/prod").await;
    assert_eq!(
        (&found["outcome"], &found["status"]),
        (&json!("deny"), &json!(401))
    );
    assert_eq!(
        (&found["reason"], &found["route"]),
        (&json!("revoked"), &Value::Null)
    );
}

async fn records(world: &World, admin: &Actor, credential: Uuid) -> Vec<Value> {
    world.running().gate().flush().await;
    let path = format!("/-/api/audit?kind=request&credential={credential}");
    let found = admin.get(&path).await.json();
    found["items"].as_array().expect("items").clone()
}

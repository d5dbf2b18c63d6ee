//! What a key could do before there is one: preview and mint never disagree.

use std::time::Duration;

use serde_json::{Value, json};

use super::office::office;
use crate::harness::{Actor, START_MS, World};

const MINT: &str = "/-/api/keys";
const PREVIEW: &str = "/-/api/keys/preview";

/// What people ask for, good and bad.
fn inputs() -> Vec<Value> {
    let moment = |secs: i64| {
        let moment = jiff::Timestamp::from_second(START_MS / 1000 + secs);
        moment.expect("a moment").to_string()
    };
    let long = "n".repeat(256);
    let many: Vec<String> = (0..1001).map(|number| format!("c{number}")).collect();
    vec![
        json!({ "name": "ci" }),
        json!({ "name": "" }),
        json!({ "name": long }),
        json!({ "name": " ci" }),
        json!({ "name": "ci", "scopes": [] }),
        json!({ "name": "ci", "scopes": ["clusters:read"] }),
        json!({ "name": "ci", "scopes": ["clusters:write"] }),
        json!({ "name": "ci", "scopes": ["clusters:reed", "clusters:read"] }),
        json!({ "name": "ci", "scopes": ["manage:keys"] }),
        json!({ "name": "ci", "scopes": ["clusters:*"] }),
        json!({ "name": "ci", "scopes": ["clusters:read"], "allowed_cluster_ids": ["prod"] }),
        json!({ "name": "ci", "allowed_cluster_ids": ["prod", "dev"] }),
        json!({ "name": "ci", "allowed_cluster_ids": ["prod", "ghost"] }),
        json!({ "name": "ci", "allowed_cluster_ids": ["not an id"] }),
        json!({ "name": "ci", "allowed_cluster_ids": many }),
        json!({ "name": "ci", "scopes": ["clusters:read"], "expires_at": moment(3600) }),
        json!({ "name": "ci", "expires_at": moment(0) }),
        json!({ "name": "", "scopes": ["nonsense"], "allowed_cluster_ids": ["ghost"], "expires_at": moment(-1) }),
    ]
}

async fn previewed(actor: &Actor, key: &Value) -> Value {
    let reply = actor.post(PREVIEW, key.clone()).await;
    assert_eq!(reply.status, 200, "{key}: {}", reply.body);
    reply.json()
}

#[tokio::test]
async fn preview_and_mint_agree() {
    for contract in ["scopegate", "k8cost", "kubeadapt", "kubevision"] {
        let mut world = office(contract).await;
        let restricted = "restricted@acme.example";
        world
            .add_user("acme", restricted, "viewer", Some(&["prod"]))
            .await;
        let mut minted = 0;
        for who in ["admin", "viewer", restricted] {
            let actor = world.manager(who).await;
            for key in inputs() {
                let preview = previewed(&actor, &key).await;
                let mint = actor.post(MINT, key.clone()).await;
                let what = format!("{contract} {who} {key}: {preview}");
                match mint.status {
                    201 => {
                        assert_eq!(preview["problems"], json!([]), "{what}");
                        minted += 1;
                    }
                    _ => assert_eq!(preview["problems"][0], mint.json()["detail"], "{what}"),
                }
                assert_eq!(preview["valid"], json!(mint.status == 201), "{what}");
                assert!(
                    preview["routes"]
                        .as_array()
                        .is_some_and(|all| all.len() > 3),
                    "{what}"
                );
            }
        }
        assert!(minted > 0, "{contract}");
    }
}

#[tokio::test]
async fn every_problem_is_named() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let wrong = inputs().pop().unwrap();
    let preview = previewed(&admin, &wrong).await;
    let problems = preview["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 4, "{preview}");
    // What is wrong opens nothing.
    assert_eq!(
        (&preview["permissions"], &preview["clusters"]),
        (&json!([]), &json!([]))
    );
    let open = |route: &&Value| route["allowed"] == true;
    let public = preview["routes"].as_array().unwrap().iter().filter(open);
    let policy = admin.get("/-/api/policy").await.json();
    let routes = policy["routes"].as_array().unwrap().iter();
    assert_eq!(
        public.count(),
        routes.filter(|route| route["public"] == true).count()
    );
}

#[tokio::test]
async fn a_key_does_what_its_preview_said() {
    for (who, key) in [
        (
            "admin",
            json!({ "scopes": ["clusters:read"], "allowed_cluster_ids": ["prod"] }),
        ),
        ("editor", json!({})),
        ("viewer", json!({ "allowed_cluster_ids": ["dev"] })),
    ] {
        let world = office("scopegate").await;
        let actor = world.manager(who).await;
        let preview = previewed(&actor, &key).await;
        assert_eq!(preview["valid"], true, "{preview}");
        let mut named = key.clone();
        named["name"] = json!("ci");
        let minted = actor.post(MINT, named).await.json();
        let bearer = world.with_key(minted["secret"].as_str().expect("a secret"));
        let cluster = match preview["clusters"].as_array() {
            Some(ids) => ids[0].as_str().unwrap().to_owned(),
            None => "prod".to_owned(),
        };
        let mut tried = 0;
        for route in preview["routes"].as_array().unwrap() {
            let (method, pattern) = (&route["method"], route["pattern"].as_str().unwrap());
            let path = pattern.replace("{cluster}", &cluster);
            if path.contains(['{', '*']) || method == "*" {
                continue;
            }
            let reply = bearer.call(method.as_str().unwrap(), &path).await;
            // It was looked at with a cluster.
            if reply.status == 403 && reply.code() == "cluster-required" {
                continue;
            }
            assert_eq!(
                reply.status != 403,
                route["allowed"] == true,
                "{route}: {}",
                reply.body
            );
            if reply.status == 403 {
                assert_eq!(reply.header("content-type"), "application/problem+json");
            }
            tried += 1;
        }
        assert!(tried > 5, "only {tried}");
    }
}

/// It needs no recent sign-in, and leaves nothing behind.
#[tokio::test]
async fn a_preview_changes_nothing() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    world.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(
        admin.post(MINT, json!({ "name": "ci" })).await.code(),
        "sign-in-required"
    );
    let preview = previewed(&admin, &json!({ "name": "ci" })).await;
    assert_eq!(
        (&preview["valid"], &preview["clusters"]),
        (&json!(true), &Value::Null)
    );
    let permissions = preview["permissions"].as_array().unwrap();
    assert!(
        permissions.contains(&json!("clusters:write")),
        "{permissions:?}"
    );
    assert_eq!(admin.get(MINT).await.json()["items"], json!([]));
    let changes = changes(&world, &admin).await;
    assert!(changes.iter().all(|change| change["action"] != "key.mint"));
    let wrong = admin.post(PREVIEW, json!({ "nam": "ci" })).await;
    assert_eq!(
        (wrong.status, wrong.code()),
        (400, "invalid_request".into())
    );
}

async fn changes(world: &World, admin: &Actor) -> Vec<Value> {
    world.running().gate().flush().await;
    let found = admin.get("/-/api/audit?kind=change&limit=200").await.json();
    found["items"].as_array().expect("items").clone()
}

//! Who may ask, and that nobody sees another organization.

use serde_json::json;

use super::asker::{
    EVALUATION, EVALUATIONS, answer, asker, decision, minted, on_management, route, user,
};
use crate::harness::{Key, World};

const SEARCHES: [&str; 3] = ["subject", "resource", "action"];

#[tokio::test]
async fn who_may_ask() {
    let world = World::start("scopegate").await;
    world.add_operator("op@gate.example").await;
    let narrow = Key {
        scopes: &["clusters:read"],
        ..Key::default()
    };
    let table = [
        (world.anonymous(), 401, "not-authenticated"),
        (world.bearer("sg_live_nonsense"), 401, "unknown-credential"),
        (world.session("viewer").await, 403, "missing-permission"),
        (world.session("editor").await, 403, "missing-permission"),
        (world.key(narrow).await, 403, "missing-permission"),
        (world.agent("prod").await, 404, "no-route"),
        (
            world.session("op@gate.example").await,
            403,
            "missing-permission",
        ),
        (world.session("admin").await, 200, ""),
        (world.key(Key::default()).await, 200, ""),
        (asker(&world, false).await, 200, ""),
    ];
    let question = route(&user("viewer@acme.example"), "GET", "/v1/clusters");
    for (actor, status, code) in table {
        let actor = on_management(&world, &actor);
        let mut paths = vec![EVALUATION.to_owned(), EVALUATIONS.to_owned()];
        paths.extend(SEARCHES.map(|what| format!("/access/v1/search/{what}")));
        for path in paths {
            let reply = actor.post(&path, question.clone()).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.body);
            if status != 200 {
                assert_eq!(reply.code(), code, "{path}");
            }
            if status == 401 {
                assert!(reply.header("www-authenticate").starts_with("Bearer "));
            }
        }
    }
}

/// Asking counts against the asker, and nothing against the subject.
#[tokio::test]
async fn limits_are_the_askers() {
    let world = World::start("scopegate").await;
    let subject = world.key(Key::default()).await;
    let asker = asker(&world, false).await;
    let remaining = async || {
        let reply = subject.get("/v1/clusters").await;
        reply
            .header("x-ratelimit-remaining")
            .parse::<i64>()
            .expect("a number")
    };
    let before = remaining().await;
    let question = route(&minted("key", &subject), "GET", "/v1/clusters/prod");
    let several = json!({ "evaluations": vec![question.clone(); 2] });
    let limit = 200;
    for _ in 0..limit {
        answer(&asker, EVALUATIONS, &several).await;
    }
    assert_eq!(remaining().await, before - 1);
    let reply = asker.post(EVALUATION, question).await;
    assert_eq!(
        (reply.status, reply.code()),
        (429, "rate-limited".to_owned())
    );
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test]
async fn nobody_sees_another_organization() {
    let mut world = World::start("scopegate").await;
    world.add_organization("other").await;
    let theirs = world
        .add_user("other", "admin@other.example", "admin", None)
        .await;
    world.add_cluster("other", "theirs").await;
    let key = world
        .key(Key {
            owner: "admin@other.example",
            organization: "other",
            ..Key::default()
        })
        .await;
    let asker = asker(&world, true).await;
    let session = world.session("admin@other.example").await;
    let sid = super::corpus::session_id(session.credential_value());
    for subject in [
        user("admin@other.example"),
        user(&theirs.to_string()),
        minted("key", &key),
        json!({ "type": "session", "id": sid }),
    ] {
        let question = route(&subject, "GET", "/v1/clusters");
        let (decision, code) = decision(&asker, &question).await;
        assert_eq!((decision, &*code), (false, "not-found"), "{question}");
    }
    // What is claimed stays in the asker's organization.
    let claimed = json!({ "type": "user", "id": "x", "properties": { "roles": ["admin"], "clusters": ["theirs", "prod"] } });
    for (path, expected) in [
        ("/v1/clusters/theirs", (false, "cluster-not-allowed")),
        ("/v1/clusters/prod", (true, "")),
    ] {
        let (decision, code) = decision(&asker, &route(&claimed, "GET", path)).await;
        assert_eq!((decision, &*code), expected);
    }
    let search = async |what: &str, question: serde_json::Value| {
        answer(&asker, &format!("/access/v1/search/{what}"), &question)
            .await
            .to_string()
    };
    let admin = user("admin@acme.example");
    let clusters = json!({ "subject": admin, "action": { "name": "clusters:read" }, "resource": { "type": "cluster" } });
    assert!(!search("resource", clusters).await.contains("theirs"));
    for kind in ["user", "key", "agent"] {
        let subjects = json!({ "subject": { "type": kind }, "action": { "name": "GET" },
            "resource": { "type": "route", "id": "/v1/health" } });
        let found = search("subject", subjects).await;
        assert!(
            !found.contains("other") && !found.contains(&key.id.expect("an id").to_string()),
            "{found}"
        );
    }
}

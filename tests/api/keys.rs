//! The whole life of an API key.

use std::time::Duration;

use serde_json::{Value, json};

use super::office::{made, named, office, sent};
use crate::harness::{Actor, Key, START_MS, World};

const KEYS: &str = "/-/api/keys";

fn id(key: &Value) -> String {
    key["id"].as_str().expect("an id").to_owned()
}

fn secret(key: &Value) -> String {
    key["secret"].as_str().expect("a secret").to_owned()
}

async fn status(world: &World, key: &Value) -> u16 {
    let key = world.with_key(&secret(key));
    key.get("/v1/clusters/prod").await.status
}

#[tokio::test]
async fn minted_listed_and_revoked() {
    let world = office("scopegate").await;
    let ada = world.manager("editor").await;
    let body =
        json!({ "name": "ci", "scopes": ["clusters:read"], "allowed_cluster_ids": ["prod"] });
    let reply = ada.post(KEYS, body).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (201, "no-store"),
        "{}",
        reply.body
    );
    let key = reply.json();
    assert_eq!(reply.header("location"), format!("{KEYS}/{}", id(&key)));
    assert_eq!(key["state"], "active");
    assert_eq!(key["owner"]["email"], "editor@acme.example");
    assert!(
        secret(&key).starts_with("sg_live_")
            && secret(&key).ends_with(key["last_four"].as_str().unwrap())
    );
    assert_eq!(status(&world, &key).await, 200);

    let listed = ada.get(KEYS).await.json();
    assert_eq!(listed["items"][0]["id"], key["id"]);
    assert!(listed["items"][0].get("secret").is_none());
    assert!(
        !ada.get(&format!("{KEYS}/{}", id(&key)))
            .await
            .body
            .contains(&secret(&key))
    );
    // Somebody else's is nowhere to be found, and the administrator's view has it.
    let viewer = world.manager("viewer").await;
    assert_eq!(viewer.get(KEYS).await.json()["items"], json!([]));
    assert_eq!(
        viewer.get(&format!("{KEYS}/{}", id(&key))).await.status,
        404
    );
    assert_eq!(viewer.get("/-/api/organization/keys").await.status, 403);
    let admin = world.manager("admin").await;
    let all = admin.get("/-/api/organization/keys").await.json();
    assert_eq!(all["items"][0]["id"], key["id"]);
    let owner = key["owner"]["id"].as_str().unwrap();
    let of = format!("/-/api/organization/keys?owner={owner}&state=active&name=CI");
    assert_eq!(
        admin.get(&of).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let gone = admin
        .call("DELETE", &format!("/-/api/organization/keys/{}", id(&key)))
        .await;
    assert_eq!(
        (gone.status, gone.json()["changed"].as_bool()),
        (200, Some(true))
    );
    assert_eq!(status(&world, &key).await, 401);
    let again = ada.call("DELETE", &format!("{KEYS}/{}", id(&key))).await;
    assert_eq!(
        (again.status, again.json()["changed"].as_bool()),
        (200, Some(false))
    );
    assert_eq!(ada.get(KEYS).await.json()["items"][0]["state"], "revoked");
}

#[tokio::test]
async fn keys_have_no_endpoint_that_edits_them() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let key = made(&admin, KEYS, named("ci")).await;
    let path = format!("{KEYS}/{}", id(&key));
    for method in ["PUT", "PATCH", "POST"] {
        let reply = sent(
            &admin,
            method,
            &path,
            &[],
            json!({ "scopes": ["nodes:read"] }),
        )
        .await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, "DELETE, GET, HEAD"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_makes_nothing_new() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let once = [("idempotency-key", "mint-1")];
    let first = sent(&admin, "POST", KEYS, &once, named("ci")).await.json();
    let again = sent(&admin, "POST", KEYS, &once, named("ci")).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.json()["id"], first["id"]);
    assert_eq!(again.json()["secret"], Value::Null);
    let other = sent(&admin, "POST", KEYS, &once, named("other")).await;
    assert_eq!((other.status, other.code()), (422, "unprocessable".into()));
    // Another caller's key of the same text is another one.
    let editor = world.manager("editor").await;
    let theirs = sent(&editor, "POST", KEYS, &once, named("ci")).await.json();
    assert_ne!(theirs["id"], first["id"]);
    secret(&theirs);
    assert_eq!(
        admin.get(KEYS).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn nobody_mints_more_than_they_hold() {
    let world = office("scopegate").await;
    let viewer = world.manager("viewer").await;
    let wide = viewer
        .post(KEYS, json!({ "name": "ci", "scopes": ["clusters:write"] }))
        .await;
    assert_eq!(
        (wide.status, wide.code()),
        (403, "not-held".into()),
        "{}",
        wide.body
    );
    let unknown = viewer
        .post(KEYS, json!({ "name": "ci", "scopes": ["clusters:reed"] }))
        .await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (422, "unprocessable".into())
    );
    assert!(
        unknown.body.contains("did you mean `clusters:read`?"),
        "{}",
        unknown.body
    );
    // Management permissions are never on a key.
    let admin = world.manager("admin").await;
    let manage = admin
        .post(KEYS, json!({ "name": "ci", "scopes": ["manage:keys"] }))
        .await;
    assert_eq!(manage.status, 422, "{}", manage.body);
}

#[tokio::test]
async fn a_stale_sign_in_mints_nothing() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    world.clock.advance(Duration::from_secs(15 * 60 + 1));
    let reply = admin.post(KEYS, named("ci")).await;
    assert_eq!(
        (reply.status, reply.code()),
        (403, "sign-in-required".into())
    );
    assert_eq!(admin.get(KEYS).await.status, 200);
}

#[tokio::test]
async fn a_key_manages_itself_and_nothing_else() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let (key, other) = (
        made(&admin, KEYS, named("one")).await,
        made(&admin, KEYS, named("two")).await,
    );
    let own = world.manages(&world.with_key(&secret(&key)));
    assert_eq!(own.get("/-/api/keys/self").await.json()["id"], key["id"]);
    let listed = own.get(KEYS).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(own.get(&format!("{KEYS}/{}", id(&other))).await.status, 404);
    assert_eq!(
        own.call("DELETE", &format!("{KEYS}/{}", id(&other)))
            .await
            .status,
        404
    );
    assert_eq!(
        own.post(KEYS, named("three")).await.code(),
        "sign-in-required"
    );
    let rotated = made(&own, "/-/api/keys/self/rotate", json!({})).await;
    assert_eq!(rotated["predecessor"], key["id"]);
    assert_eq!(status(&world, &rotated).await, 200);
    let revoked = own.call("DELETE", "/-/api/keys/self").await;
    assert_eq!(
        (revoked.status, revoked.json()["changed"].as_bool()),
        (200, Some(true))
    );
    assert_eq!(own.get("/-/api/keys/self").await.status, 401);
    assert_eq!(status(&world, &rotated).await, 200);
}

#[tokio::test]
async fn a_keys_successor_ends_no_later_than_it_would() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let moment = |secs: i64| {
        jiff::Timestamp::from_second(START_MS / 1000 + secs)
            .unwrap()
            .to_string()
    };
    let body = json!({ "name": "ci", "expires_at": moment(3600) });
    let key = made(&admin, KEYS, body).await;
    assert_eq!(key["state"], "expiring");
    let own: Actor = world.manages(&world.with_key(&secret(&key)));
    let later = own
        .post(
            "/-/api/keys/self/rotate",
            json!({ "expires_at": moment(7200) }),
        )
        .await;
    assert_eq!(
        (later.status, later.code()),
        (403, "not-held".into()),
        "{}",
        later.body
    );
    let successor = made(&own, "/-/api/keys/self/rotate", json!({})).await;
    assert_eq!(successor["expires_at"], key["expires_at"]);
    let twice = own.post("/-/api/keys/self/rotate", json!({})).await;
    assert_eq!((twice.status, twice.code()), (409, "conflict".into()));
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(status(&world, &successor).await, 401);
    assert_eq!(status(&world, &key).await, 401);
}

#[tokio::test]
async fn rotation_overlaps_until_its_end() {
    let world = office("k8cost").await;
    let editor = world.manager("editor").await;
    let key = made(&editor, KEYS, named("ci")).await;
    let path = format!("{KEYS}/{}/rotate", id(&key));
    let end = jiff::Timestamp::from_second(START_MS / 1000 + 600)
        .unwrap()
        .to_string();
    let successor = made(&editor, &path, json!({ "retires_at": end })).await;
    let get = |key: &Value| {
        let key = world.with_key(&secret(key));
        async move { key.get("/api/v1/clusters/prod").await.status }
    };
    assert_eq!((get(&key).await, get(&successor).await), (200, 200));
    let old = editor.get(&format!("{KEYS}/{}", id(&key))).await.json();
    assert_eq!(
        (&old["successor"], &old["retires_at"]),
        (&successor["id"], &json!(end))
    );
    assert_eq!(old["state"], "expiring");
    world.clock.advance(Duration::from_secs(599));
    assert_eq!((get(&key).await, get(&successor).await), (200, 200));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!((get(&key).await, get(&successor).await), (401, 200));
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let mut minted = Vec::new();
    for number in 0..7 {
        minted.push(id(
            &made(&admin, KEYS, named(&format!("key {number}"))).await
        ));
    }
    minted.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("{KEYS}?limit=3{cursor}")).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(id));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, minted);
    for bad in [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=%21",
        "cursor=abcd",
        "wrong=1",
    ] {
        let reply = admin.get(&format!("{KEYS}?{bad}")).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "invalid_request".into()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn errors_are_problem_documents_whatever_the_contract_says() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    for (reply, status) in [
        (admin.post(KEYS, json!({ "nam": "x" })).await, 400),
        (admin.post(KEYS, json!({ "name": "" })).await, 422),
        (admin.get(&format!("{KEYS}/nonsense")).await, 404),
        (admin.get("/-/api/nothing").await, 404),
        (world.manages(&world.anonymous()).get(KEYS).await, 401),
        (
            admin.send(admin.request("POST", KEYS).body("{}")).await,
            415,
        ),
    ] {
        assert_eq!(reply.status, status, "{}", reply.body);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.json()["instance"], reply.header("x-request-id"));
        assert!(!reply.header("x-ratelimit-limit").is_empty());
    }
}

#[tokio::test]
async fn a_key_minted_at_the_terminal_is_listed_with_its_owner() {
    let world = office("scopegate").await;
    let key = world
        .key(Key {
            owner: "editor@acme.example",
            ..Key::default()
        })
        .await;
    let editor = world.manager("editor").await;
    let listed = editor.get(KEYS).await.json();
    assert_eq!(listed["items"][0]["id"], key.id.unwrap().to_string());
}

//! What is begun before an end is not ended after it, and what a thief could have made ends with what they stole.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::office::{made, named, office, sent};
use crate::harness::{Actor, Reply, World};

const KEYS: &str = "/-/api/keys";

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn accept(world: &World, invitation: &str) -> u16 {
    let body = json!({ "invitation": invitation, "password": "a password of my own" });
    let nobody = Actor::new(&world.management, None);
    nobody.post("/-/invitation", body).await.status
}

/// A request whose head has come and whose body comes later.
struct Slow {
    body: mpsc::UnboundedSender<Result<Bytes, std::io::Error>>,
    reply: tokio::task::JoinHandle<Reply>,
}

impl Slow {
    async fn begin(actor: &Actor, method: &str, path: &str) -> Self {
        let (body, mut pieces) = mpsc::unbounded_channel();
        let pieces = stream::poll_fn(move |context| pieces.poll_recv(context));
        let request = actor
            .request(method, path)
            .header("content-type", "application/json")
            .body(reqwest::Body::wrap_stream(pieces));
        body.send(Ok(Bytes::from_static(b"{"))).unwrap();
        let actor = actor.clone();
        let reply = tokio::spawn(async move { actor.send(request).await });
        // Time enough for it to be admitted; were it not, the test would only show less.
        tokio::time::sleep(Duration::from_millis(200)).await;
        Self { body, reply }
    }

    async fn end(self, rest: &'static str) -> Reply {
        self.body
            .send(Ok(Bytes::from_static(rest.as_bytes())))
            .unwrap();
        drop(self.body);
        self.reply.await.unwrap()
    }
}

#[tokio::test]
async fn what_was_begun_before_a_sign_out_changes_nothing() {
    let world = office("scopegate").await;
    let editor = world.manager("editor").await;
    let slow = Slow::begin(&editor, "POST", KEYS).await;
    assert_eq!(editor.call("DELETE", "/-/api/sessions").await.status, 200);
    let reply = slow.end("\"name\":\"late\"}").await;
    assert_eq!(
        (reply.status, reply.code()),
        (401, "revoked".into()),
        "{}",
        reply.body
    );
    let editor = world.manager("editor").await;
    assert_eq!(editor.get(KEYS).await.json()["items"], json!([]));
}

#[tokio::test]
async fn what_was_begun_with_another_role_changes_nothing() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let editor = format!("/-/api/users/{}", world.user("editor@acme.example"));
    let any = [("if-match", "*")];
    sent(&admin, "PATCH", &editor, &any, json!({ "role": "admin" })).await;
    let leaver = world.manager("editor").await;
    let slow = Slow::begin(&leaver, "POST", "/-/api/users").await;
    sent(&admin, "PATCH", &editor, &any, json!({ "role": "viewer" })).await;
    let reply = slow
        .end("\"email\":\"friend@acme.example\",\"role\":\"admin\"}")
        .await;
    assert_eq!(
        (reply.status, reply.code()),
        (409, "conflict".into()),
        "{}",
        reply.body
    );
    let users = admin.get("/-/api/users").await;
    assert!(!users.body.contains("friend@"), "{}", users.body);
}

/// Whoever was to have no more than a viewer's account by an invitation gets no administrator's.
#[tokio::test]
async fn an_invitation_ends_with_what_it_was_given_for() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let path = format!("/-/api/users/{}", world.user("viewer@acme.example"));
    let any = [("if-match", "*")];
    for body in [json!({ "role": "editor" }), json!({ "clusters": ["prod"] })] {
        let kept = made(&admin, &format!("{path}/invitation"), json!({})).await;
        let edited = sent(&admin, "PATCH", &path, &any, body).await;
        assert_eq!(edited.status, 200, "{}", edited.body);
        assert_eq!(accept(&world, &text(&kept["invitation"])).await, 401);
    }
    // And with the permissions of a custom role, and with a password of the user's own.
    let role = json!({ "permissions": ["clusters:read"] });
    sent(
        &admin,
        "PUT",
        "/-/api/roles/some",
        &[("if-none-match", "*")],
        role,
    )
    .await;
    sent(&admin, "PATCH", &path, &any, json!({ "role": "some" })).await;
    let kept = made(&admin, &format!("{path}/invitation"), json!({})).await;
    let more = json!({ "permissions": ["clusters:read", "clusters:write"] });
    assert_eq!(
        sent(&admin, "PUT", "/-/api/roles/some", &any, more)
            .await
            .status,
        200
    );
    assert_eq!(accept(&world, &text(&kept["invitation"])).await, 401);
    let kept = made(&admin, &format!("{path}/invitation"), json!({})).await;
    let viewer = world.manager("viewer").await;
    let password = json!({ "current": crate::harness::PASSWORD, "new": "another of my own" });
    assert_eq!(
        sent(&viewer, "PUT", "/-/api/me/password", &[], password)
            .await
            .status,
        204
    );
    assert_eq!(accept(&world, &text(&kept["invitation"])).await, 401);
}

/// A thief who rotates a stolen key has nothing left when it is revoked.
#[tokio::test]
async fn what_a_key_has_made_of_itself_ends_with_it() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let works = |key: &Value| {
        let key = world.with_key(&text(&key["secret"]));
        async move { key.get("/v1/clusters/prod").await.status }
    };
    let key = made(&admin, KEYS, named("stolen")).await;
    let thief = world.manages(&world.with_key(&text(&key["secret"])));
    let first = made(&thief, "/-/api/keys/self/rotate", json!({})).await;
    let thief = world.manages(&world.with_key(&text(&first["secret"])));
    let second = made(&thief, "/-/api/keys/self/rotate", json!({})).await;
    assert_eq!(
        (works(&key).await, works(&first).await, works(&second).await),
        (200, 200, 200)
    );
    let path = format!("{KEYS}/{}", text(&key["id"]));
    assert_eq!(admin.call("DELETE", &path).await.json()["changed"], true);
    assert_eq!(
        (works(&key).await, works(&first).await, works(&second).await),
        (401, 401, 401)
    );

    // What its owner made to follow it stays: that is what rotation is for.
    let key = made(&admin, KEYS, named("mine")).await;
    let next = made(
        &admin,
        &format!("{KEYS}/{}/rotate", text(&key["id"])),
        json!({}),
    )
    .await;
    assert_eq!(
        admin
            .call("DELETE", &format!("{KEYS}/{}", text(&key["id"])))
            .await
            .status,
        200
    );
    assert_eq!((works(&key).await, works(&next).await), (401, 200));
}

#[tokio::test]
async fn two_keys_of_one_user_mean_themselves_by_self() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    let mut successors = Vec::new();
    for name in ["one", "two"] {
        let key = made(&admin, KEYS, named(name)).await;
        let own = world.manages(&world.with_key(&text(&key["secret"])));
        let once = [("idempotency-key", "october")];
        let rotated = sent(&own, "POST", "/-/api/keys/self/rotate", &once, json!({}))
            .await
            .json();
        assert_eq!(
            (&rotated["name"], &rotated["predecessor"]),
            (&json!(name), &key["id"])
        );
        successors.push(text(&rotated["secret"]));
    }
    assert_ne!(successors[0], successors[1]);
}

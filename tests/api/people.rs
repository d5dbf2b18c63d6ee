//! Users, their invitations, roles and sessions; and oneself.

use serde_json::{Value, json};

use super::office::{made, named, office, sent};
use crate::harness::{Actor, PASSWORD, Reply, World};

const USERS: &str = "/-/api/users";
const CHOSEN: &str = "a password of my own";

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

async fn accept(world: &World, invitation: &str, password: &str) -> Reply {
    let body = json!({ "invitation": invitation, "password": password });
    Actor::new(&world.management, None)
        .post("/-/invitation", body)
        .await
}

#[tokio::test]
async fn an_invitation_is_taken_up_once() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let body = json!({ "email": "grace@acme.example", "role": "viewer", "clusters": ["prod"] });
    let invited = made(&admin, USERS, body.clone()).await;
    assert_eq!(invited["user"]["clusters"], json!(["prod"]));
    let invitation = text(&invited["invitation"]);
    let twice = admin.post(USERS, body).await;
    assert_eq!((twice.status, twice.code()), (409, "conflict".into()));

    let email = "grace@acme.example";
    assert_eq!(world.try_sign_in(email, CHOSEN, None).await.status, 401);
    let short = accept(&world, invitation, "short").await;
    assert_eq!((short.status, short.code()), (422, "unprocessable".into()));
    assert_eq!(accept(&world, "nonsense", CHOSEN).await.status, 401);
    assert_eq!(accept(&world, invitation, CHOSEN).await.status, 204);
    assert_eq!(
        accept(&world, invitation, "another password").await.status,
        401
    );
    let grace = world.sign_in(email, CHOSEN).await;
    let me = grace.get("/-/api/me").await.json();
    assert_eq!(
        (&me["name"], &me["clusters"]),
        (&json!(email), &json!(["prod"]))
    );

    // A new invitation is the way back in for one who lost the password. It ends what is open.
    let id = text(&invited["user"]["id"]);
    let again = made(&admin, &format!("{USERS}/{id}/invitation"), json!({})).await;
    let again = text(&again["invitation"]).to_owned();
    assert_eq!(grace.get("/-/api/me").await.status, 200);
    assert_eq!(accept(&world, &again, "yet another one").await.status, 204);
    assert_eq!(grace.get("/-/api/me").await.status, 401);
    world.sign_in(email, "yet another one").await;
}

#[tokio::test]
async fn two_who_edit_the_same_user_do_not_overwrite_each_other() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let path = format!("{USERS}/{}", world.user("viewer@acme.example"));
    let read = admin.get(&path).await;
    let tag = read.header("etag").to_owned();
    let edit = |tag: &str, body: Value| {
        let (admin, path, tag) = (admin.clone(), path.clone(), tag.to_owned());
        async move { sent(&admin, "PATCH", &path, &[("if-match", &tag)], body).await }
    };
    let missing = sent(&admin, "PATCH", &path, &[], json!({ "role": "editor" })).await;
    assert_eq!(
        (missing.status, missing.code()),
        (428, "precondition-required".into())
    );
    let first = edit(&tag, json!({ "role": "editor" })).await;
    assert_eq!(
        (first.status, &first.json()["role"]),
        (200, &json!("editor")),
        "{}",
        first.body
    );
    let second = edit(&tag, json!({ "clusters": [] })).await;
    assert_eq!((second.status, second.code()), (412, "stale".into()));
    let third = edit(first.header("etag"), json!({ "clusters": ["dev"] })).await;
    assert_eq!(third.json()["clusters"], json!(["dev"]));
    let fourth = edit("*", json!({ "clusters": null })).await;
    assert_eq!(
        (&fourth.json()["clusters"], &fourth.json()["role"]),
        (&Value::Null, &json!("editor"))
    );
    assert_eq!(edit("\"never\"", json!({})).await.status, 412);
    assert_eq!(edit("never", json!({})).await.status, 400);
}

#[tokio::test]
async fn a_role_holds_from_the_next_request_on() {
    let world = office("k8cost").await;
    let (admin, viewer) = (world.manager("admin").await, world.manager("viewer").await);
    let key = made(&viewer, "/-/api/keys", named("ci")).await;
    let key = world.with_key(text(&key["secret"]));
    let post = |actor: &Actor| actor.request("PATCH", "/api/v1/clusters/prod");
    assert_eq!(key.send(post(&key)).await.status, 403);
    let path = format!("{USERS}/{}", world.user("viewer@acme.example"));
    let edited = sent(
        &admin,
        "PATCH",
        &path,
        &[("if-match", "*")],
        json!({ "role": "editor" }),
    )
    .await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    assert_eq!(key.send(post(&key)).await.status, 200);
    let disabled = admin.call("POST", &format!("{path}/disable")).await;
    assert_eq!(disabled.json()["changed"], true);
    assert_eq!(key.send(post(&key)).await.status, 401);
    assert_eq!(viewer.get("/-/api/me").await.status, 401);
}

#[tokio::test]
async fn custom_roles_give_what_their_maker_holds() {
    let world = office("k8cost").await;
    let admin = world.manager("admin").await;
    let path = "/-/api/roles/people";
    let none = [("if-none-match", "*")];
    let body = json!({ "permissions": ["manage:users", "clusters:read"] });
    let role = sent(&admin, "PUT", path, &none, body.clone()).await;
    assert_eq!(role.status, 200, "{}", role.body);
    assert_eq!(sent(&admin, "PUT", path, &none, body).await.status, 409);
    let typo = sent(
        &admin,
        "PUT",
        "/-/api/roles/x",
        &none,
        json!({ "permissions": ["clusters:reed"] }),
    )
    .await;
    assert_eq!(typo.status, 422, "{}", typo.body);
    assert!(
        typo.body.contains("did you mean `clusters:read`?"),
        "{}",
        typo.body
    );

    let viewer = format!("{USERS}/{}", world.user("viewer@acme.example"));
    let any = [("if-match", "*")];
    let edited = sent(&admin, "PATCH", &viewer, &any, json!({ "role": "people" })).await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    // Whoever manages users is no administrator by that, nor can they become one.
    let manager = world.manager("viewer").await;
    let admins = format!("{USERS}/{}", world.user("admin@acme.example"));
    for (what, refused) in [
        (
            "demote",
            sent(
                &manager,
                "PATCH",
                &admins,
                &any,
                json!({ "role": "viewer" }),
            )
            .await,
        ),
        (
            "disable",
            manager.call("POST", &format!("{admins}/disable")).await,
        ),
        (
            "take over",
            manager.call("POST", &format!("{admins}/invitation")).await,
        ),
        (
            "sign out",
            manager.call("DELETE", &format!("{admins}/sessions")).await,
        ),
        (
            "invite",
            manager
                .post(USERS, json!({ "email": "x@acme.example", "role": "admin" }))
                .await,
        ),
    ] {
        assert_eq!(
            (refused.status, refused.code()),
            (403, "not-held".into()),
            "{what}: {}",
            refused.body
        );
    }
    // Nor anybody by themselves: one who takes their own rights away could not take them back.
    let own = sent(&manager, "PATCH", &viewer, &any, json!({ "role": "admin" })).await;
    assert_eq!((own.status, own.code()), (409, "conflict".into()));
    let invited = manager
        .post(
            USERS,
            json!({ "email": "x@acme.example", "role": "people" }),
        )
        .await;
    assert_eq!(invited.status, 201, "{}", invited.body);
    let delete = sent(&admin, "DELETE", path, &any, json!({})).await;
    assert_eq!(
        (delete.status, delete.code()),
        (409, "conflict".into()),
        "{}",
        delete.body
    );
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_at_once() {
    let world = office("k8cost").await;
    let (one, two) = (world.manager("editor").await, world.manager("editor").await);
    let listed = one.get("/-/api/sessions").await.json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(
        items
            .iter()
            .map(|item| &item["current"])
            .collect::<Vec<_>>(),
        [false, true]
    );
    let path = format!("/-/api/sessions/{}", text(&items[0]["id"]));
    let viewer = world.manager("viewer").await;
    assert_eq!(viewer.call("DELETE", &path).await.status, 404);
    assert_eq!(one.call("DELETE", &path).await.status, 204);
    assert_eq!(two.get("/-/api/me").await.status, 401);
    let two = world.manager("editor").await;
    assert_eq!(
        one.call("DELETE", "/-/api/sessions").await.json()["changed"],
        true
    );
    for session in [one, two] {
        assert_eq!(session.get("/-/api/me").await.status, 401);
    }
    // And as an administrator does it for others.
    let editor = world.manager("editor").await;
    let admin = world.manager("admin").await;
    let sessions = format!("{USERS}/{}/sessions", world.user("editor@acme.example"));
    assert_eq!(
        admin.get(&sessions).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        admin.call("DELETE", &sessions).await.json()["changed"],
        true
    );
    assert_eq!(editor.get("/-/api/me").await.status, 401);
}

#[tokio::test]
async fn ones_own_password_and_second_factor() {
    let world = office("scopegate").await;
    let (editor, other) = (world.manager("editor").await, world.manager("editor").await);
    let change = |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new });
        let editor = editor.clone();
        async move { sent(&editor, "PUT", "/-/api/me/password", &[], body).await }
    };
    assert_eq!(
        change("wrong password", CHOSEN).await.code(),
        "unprocessable"
    );
    assert_eq!(change(PASSWORD, "short").await.code(), "unprocessable");
    assert_eq!(change(PASSWORD, CHOSEN).await.status, 204);
    assert_eq!(other.get("/-/api/me").await.status, 401);

    let begun = made(&editor, "/-/api/me/factor", json!({})).await;
    let totp = totp_rs::Totp::from_url(text(&begun["url"])).unwrap();
    let code = |world: &World| {
        totp.generate(world.clock.now_ms().unsigned_abs() / 1000)
            .to_string()
    };
    let confirm = |otp: String| {
        let editor = editor.clone();
        async move {
            editor
                .post("/-/api/me/factor/confirm", json!({ "otp": otp }))
                .await
        }
    };
    assert_eq!(confirm("000000".into()).await.code(), "unprocessable");
    let confirmed = confirm(code(&world)).await;
    assert_eq!(confirmed.status, 201, "{}", confirmed.body);
    assert_eq!(confirmed.header("cache-control"), "no-store");
    let codes = confirmed.json()["recovery_codes"].as_array().unwrap().len();
    let me = editor.get("/-/api/me").await.json();
    assert_eq!(
        (&me["mfa"], &me["factor"]["recovery_codes_left"]),
        (&json!(true), &json!(codes))
    );
    let email = "editor@acme.example";
    assert_eq!(
        world.try_sign_in(email, CHOSEN, None).await.code(),
        "otp_required"
    );

    // Whoever has lost it asks an administrator.
    let admin = world.manager("admin").await;
    let reset = format!("{USERS}/{}/factor/reset", world.user(email));
    assert_eq!(admin.call("POST", &reset).await.json()["changed"], true);
    assert_eq!(editor.get("/-/api/me").await.status, 401);
    world.sign_in(email, CHOSEN).await;
}

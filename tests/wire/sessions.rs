//! Log in, refresh, log out, over HTTP.

use std::time::Duration;

use scopegate_host::admin::Command;
use serde_json::json;

use crate::harness::{Key, PASSWORD, World};

const PATH: &str = "/api/v1/clusters/prod";

#[tokio::test]
async fn a_log_in_answers_as_the_contract_says() {
    let world = World::start("k8cost").await;
    let body = json!({ "email": "editor@acme.example", "password": PASSWORD });
    let reply = world.anonymous().post("/auth/login", body.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let login = reply.json();
    assert_eq!(login["user"]["email"], "editor@acme.example");
    assert_eq!(login["user"]["role"], "editor");
    assert_eq!(login["expires_at"], "2026-04-01T12:00:00Z");
    assert_eq!(login.as_object().unwrap().len(), 3);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(
        world
            .bearer(login["token"].as_str().unwrap())
            .get(PATH)
            .await
            .status,
        200
    );

    let world = World::start("kubewatch").await;
    let reply = world.anonymous().post("/auth/login", body).await.json();
    assert!(reply["user"]["orgId"].is_string());
    assert!(reply["user"]["id"].is_string());
    assert!(reply["expiresAt"].is_string());
}

#[tokio::test]
async fn a_wrong_log_in_says_nothing_of_what_was_wrong() {
    let world = World::start("k8cost").await;
    let attempt = |email: &str, password: &str| {
        world_post(&world, json!({ "email": email, "password": password }))
    };
    let wrong = attempt("admin@acme.example", "wrong password").await;
    let unknown = attempt("nobody@acme.example", "wrong password").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "bad-login"));
    assert_eq!(unknown.status, 401);
    let text = |reply: &crate::harness::Reply| {
        let mut body = reply.json();
        body.as_object_mut().unwrap().remove("instance");
        body.to_string()
    };
    assert_eq!(text(&wrong), text(&unknown));
}

async fn world_post(world: &World, body: serde_json::Value) -> crate::harness::Reply {
    world.anonymous().post("/auth/login", body).await
}

#[tokio::test]
async fn what_is_no_log_in_is_told_so() {
    let world = World::start("k8cost").await;
    let anonymous = world.anonymous();
    let post = |content_type: &'static str, body: &'static str| {
        let request = anonymous
            .request("POST", "/auth/login")
            .header("content-type", content_type)
            .body(body);
        let anonymous = anonymous.clone();
        async move { anonymous.send(request).await }
    };
    let json = "application/json";
    for (content_type, body, status, code) in [
        (
            "application/x-www-form-urlencoded",
            "email=a",
            415,
            "unsupported-media-type",
        ),
        ("text/plain", "{}", 415, "unsupported-media-type"),
        (json, "", 400, "invalid_request"),
        (json, "{", 400, "invalid_request"),
        (json, "[]", 400, "invalid_request"),
        (json, r#"{"email":"a@b"}"#, 400, "invalid_request"),
        (
            json,
            r#"{"email":"a@b","password":7}"#,
            400,
            "invalid_request",
        ),
        (
            json,
            r#"{"email":"a@b","password":"secret!" "x"}"#,
            400,
            "invalid_request",
        ),
    ] {
        let reply = post(content_type, body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{body}: {}",
            reply.body
        );
        assert!(!reply.body.contains("secret!"), "{}", reply.body);
        assert!(!reply.header("x-ratelimit-limit").is_empty());
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let reply = anonymous.call(method, "/auth/login").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, "POST"),
            "{method}"
        );
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_session_is_refreshed_until_its_life_is_over() {
    let world = World::start("k8cost").await;
    let mut session = world.session("admin").await;
    for _ in 0..7 {
        world.clock.advance(Duration::from_secs(23 * 3600));
        let reply = session.call("POST", "/auth/refresh").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        session = world.bearer(reply.json()["token"].as_str().unwrap());
        assert_eq!(session.get(PATH).await.status, 200);
    }
    world.clock.advance(Duration::from_secs(8 * 3600));
    assert_eq!(session.call("POST", "/auth/refresh").await.status, 401);
    assert_eq!(session.get(PATH).await.status, 401);
}

#[tokio::test]
async fn refresh_needs_a_session_and_a_contract_that_has_it() {
    let world = World::start("k8cost").await;
    assert_eq!(
        world.anonymous().call("POST", "/auth/refresh").await.status,
        401
    );
    assert_eq!(
        world
            .key(Key::default())
            .await
            .call("POST", "/auth/refresh")
            .await
            .status,
        401
    );
    assert_eq!(world.anonymous().get("/auth/refresh").await.status, 405);
    let world = World::start("kubewatch").await;
    let session = world.session("admin").await;
    assert_eq!(session.call("POST", "/auth/refresh").await.status, 404);
    let world = World::start("kubeadapt").await;
    assert_eq!(
        world
            .anonymous()
            .post("/auth/login", json!({}))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn logging_out_and_disabling_end_a_session_at_once() {
    let world = World::start("k8cost").await;
    let (first, second) = (world.session("viewer").await, world.session("viewer").await);
    assert_eq!(first.call("POST", "/auth/logout").await.status, 204);
    assert_eq!(first.get(PATH).await.status, 401);
    assert_eq!(second.get(PATH).await.status, 200);
    world
        .command(Command::UserDisable {
            email: "viewer@acme.example".into(),
        })
        .await
        .unwrap();
    assert_eq!(second.get(PATH).await.status, 401);
    assert_eq!(
        world_post(
            &world,
            json!({ "email": "viewer@acme.example", "password": PASSWORD })
        )
        .await
        .status,
        401
    );
}

#[tokio::test]
async fn a_change_of_role_counts_at_the_next_request() {
    let world = World::start("k8cost").await;
    let session = world.session("viewer").await;
    let key = world
        .key(Key {
            owner: "viewer@acme.example",
            ..Key::default()
        })
        .await;
    assert_eq!(session.call("DELETE", PATH).await.status, 403);
    world
        .command(Command::UserSetRole {
            email: "viewer@acme.example".into(),
            role: "admin".into(),
        })
        .await
        .unwrap();
    assert_eq!(session.call("DELETE", PATH).await.status, 200);
    assert_eq!(key.call("DELETE", PATH).await.status, 200);
}

/// The command line's changes reach a running server through its socket.
#[tokio::test]
async fn a_revocation_from_a_terminal_counts_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::start("k8cost").await;
    let key = world.key(Key::default()).await;
    assert_eq!(key.get(PATH).await.status, 200);
    let socket = scopegate_host::lock::socket_path(&world.store_path());
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let revoke = Command::KeyRevoke {
        organization: None,
        key: key.id.unwrap().to_string(),
    };
    scopegate_server::send(&socket, &revoke)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(key.get(PATH).await.status, 401);
    let unknown = Command::UserDisable {
        email: "nobody@acme.example".into(),
    };
    let error = scopegate_server::send(&socket, &unknown)
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.message.contains("nobody@acme.example"), "{error}");
    scopegate_host::lock::StoreLock::take(&world.store_path()).unwrap_err();
    world.shutdown().await;
    assert!(!socket.exists());
    scopegate_server::send(&socket, &revoke).await.unwrap_err();
    scopegate_host::lock::StoreLock::take(&world.store_path()).unwrap();
}

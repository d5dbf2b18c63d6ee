//! The second factor, passwords, and the gate's own log-in, over HTTP.

use std::time::Duration;

use scopegate_host::{
    admin::{Command, Reply as AdminReply},
    store::Actor as StoreActor,
};
use serde_json::{Value, json};

use crate::harness::{Actor, Enrolled, Key, Options, PASSWORD, Reply, World};

const PATH: &str = "/api/v1/clusters/prod";
const EDITOR: &str = "editor@acme.example";

async fn login(world: &World, password: &str, otp: Option<&str>) -> Reply {
    let mut body = json!({ "email": EDITOR, "password": password });
    if let Some(otp) = otp {
        body["otp"] = json!(otp);
    }
    world.anonymous().post("/auth/login", body).await
}

fn token(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["token"].as_str().expect("a token").to_owned()
}

/// A world whose editor has a second factor, two steps after it was confirmed.
async fn enrolled() -> (World, Enrolled) {
    let world = World::start("k8cost").await;
    let factor = world.enrol(EDITOR).await;
    world.clock.advance(Duration::from_secs(60));
    (world, factor)
}

#[tokio::test]
async fn a_code_is_asked_for_and_works_once() {
    let (world, factor) = enrolled().await;
    let asked = login(&world, PASSWORD, None).await;
    assert_eq!((asked.status, asked.code().as_str()), (401, "otp_required"));
    assert_eq!(asked.header("www-authenticate"), "Bearer realm=\"k8cost\"");
    assert!(!asked.body.contains("eyJ"), "no token: {}", asked.body);
    let code = factor.code(world.clock.now_ms());
    let session = world.bearer(&token(&login(&world, PASSWORD, Some(&code)).await));
    assert_eq!(session.get(PATH).await.status, 200);
    let again = login(&world, PASSWORD, Some(&code)).await;
    assert_eq!((again.status, again.code().as_str()), (401, "bad-login"));
    let refreshed = token(&session.call("POST", "/auth/refresh").await);
    assert_eq!(world.bearer(&refreshed).get(PATH).await.status, 200);

    // With a wrong password, nothing tells whether there is a factor, or a user.
    let text = |reply: &Reply| {
        let mut body = reply.json();
        body.as_object_mut().expect("an object").remove("instance");
        (reply.status, body.to_string())
    };
    let other = json!({ "email": "nobody@acme.example", "password": "wrong password" });
    let unknown = world.anonymous().post("/auth/login", other).await;
    for otp in [None, Some("000000"), Some(code.as_str())] {
        let wrong = login(&world, "wrong password", otp).await;
        assert_eq!(text(&wrong), text(&unknown));
    }
    assert_eq!(text(&again), text(&unknown));
}

#[tokio::test]
async fn clocks_may_be_one_step_apart() {
    let (world, factor) = enrolled().await;
    for (apart_secs, status) in [(-60, 401), (60, 401), (-30, 200), (30, 200)] {
        world.clock.advance(Duration::from_secs(120));
        let code = factor.code(world.clock.now_ms() + apart_secs * 1000);
        let reply = login(&world, PASSWORD, Some(&code)).await;
        assert_eq!(reply.status, status, "{apart_secs} s: {}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_log_ins_at_once_with_one_code_one_wins() {
    let (world, factor) = enrolled().await;
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(120));
        let code = factor.code(world.clock.now_ms());
        let (one, two) = tokio::join!(
            login(&world, PASSWORD, Some(&code)),
            login(&world, PASSWORD, Some(&code))
        );
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "{} {}", one.body, two.body);
    }
}

#[tokio::test]
async fn a_recovery_code_stands_for_a_code_once() {
    let (world, factor) = enrolled().await;
    let code = factor.recovery[3].as_str();
    let session = world.bearer(&token(&login(&world, PASSWORD, Some(code)).await));
    assert_eq!(session.get(PATH).await.status, 200);
    assert_eq!(
        login(&world, PASSWORD, Some(code)).await.code(),
        "bad-login"
    );
    let lower = factor.recovery[4].to_lowercase();
    token(&login(&world, PASSWORD, Some(&lower)).await);
}

#[tokio::test]
async fn confirming_ends_the_sessions_without_it_and_leaves_keys() {
    let world = World::start("k8cost").await;
    let before = world.session("editor").await;
    let other = world.session("viewer").await;
    let owned = Key {
        owner: EDITOR,
        ..Key::default()
    };
    let key = world.key(owned).await;
    assert_eq!(before.get(PATH).await.status, 200);
    let factor = world.enrol(EDITOR).await;
    assert_eq!(before.get(PATH).await.status, 401);
    assert_eq!(before.call("POST", "/auth/refresh").await.status, 401);
    let here = world.bearer(&world.sign(factor.session.clone()));
    assert_eq!(here.get(PATH).await.status, 200, "the one that confirmed");
    assert_eq!(other.get(PATH).await.status, 200);
    assert_eq!(key.get(PATH).await.status, 200, "keys bypass it");
}

#[tokio::test]
async fn the_command_line_takes_a_factor_away_and_ends_the_sessions() {
    let world = World::start("k8cost").await;
    let factor = world.enrol(EDITOR).await;
    let session = world.bearer(&world.sign(factor.session.clone()));
    assert_eq!(session.get(PATH).await.status, 200);
    let email = EDITOR.to_owned();
    let removed = world.command(Command::UserRemoveFactor { email }).await;
    assert!(matches!(removed, Ok(AdminReply::Done { changed: true })));
    assert_eq!(session.get(PATH).await.status, 401);
    token(&login(&world, PASSWORD, None).await);
}

#[tokio::test]
async fn wrong_codes_lock_the_factor_and_nothing_else() {
    let (world, factor) = enrolled().await;
    for _ in 0..10 {
        assert_eq!(login(&world, PASSWORD, Some("12345x")).await.status, 401);
    }
    // The account's own bucket is not what answers.
    world.clock.advance(Duration::from_secs(120));
    let code = factor.code(world.clock.now_ms());
    let locked = login(&world, PASSWORD, Some(&code)).await;
    assert_eq!(
        (locked.status, locked.code().as_str()),
        (429, "too-many-failures")
    );
    assert_eq!(locked.header("retry-after"), (15 * 60 - 120).to_string());
    token(&login(&world, PASSWORD, Some(&factor.recovery[0])).await);
    world.clock.advance(Duration::from_secs(15 * 60));
    let code = factor.code(world.clock.now_ms());
    token(&login(&world, PASSWORD, Some(&code)).await);
}

#[tokio::test]
async fn neither_secret_nor_codes_are_in_any_file() {
    let (world, factor) = enrolled().await;
    let code = factor.code(world.clock.now_ms());
    token(&login(&world, PASSWORD, Some(&code)).await);
    token(&login(&world, PASSWORD, Some(&factor.recovery[0])).await);
    world.audit().await;
    let secret = factor.totp.secret();
    let base32 = secret.to_base32();
    let folder = world.store_path().parent().expect("a folder").to_owned();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        assert!(!has(secret.as_bytes()), "{}", path.display());
        assert!(!has(base32.as_bytes()), "{}", path.display());
        for code in &factor.recovery {
            assert!(!has(code.as_bytes()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_new_password_and_signing_out_end_sessions_at_once() {
    let world = World::start("k8cost").await;
    let (here, there) = (world.session("editor").await, world.session("editor").await);
    let user = world.user(EDITOR);
    let sid = |actor: &Actor| -> uuid::Uuid {
        let token = actor.credential_value().trim_start_matches("Bearer ");
        let claims = token.split('.').nth(1).expect("claims");
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        claims["sid"]
            .as_str()
            .expect("a session")
            .parse()
            .expect("an id")
    };
    let gate = world.running().gate();
    let (now_ms, origin) = (world.clock.now_ms(), || StoreActor::User(user).into());
    let new = "another good password";
    let changed = gate.change_password(
        sid(&here),
        user,
        PASSWORD.into(),
        new.into(),
        origin(),
        now_ms,
    );
    let changed = changed.await.expect("a store").expect("within the limit");
    assert_eq!(changed, scopegate_host::session::PasswordOutcome::Changed);
    assert_eq!(
        (here.get(PATH).await.status, there.get(PATH).await.status),
        (200, 401)
    );
    assert_eq!(login(&world, PASSWORD, None).await.status, 401);
    let again = world.bearer(&token(&login(&world, new, None).await));
    let ended = gate.sessions().end_all(user, None, origin(), now_ms).await;
    assert!(ended.expect("a store"));
    assert_eq!(
        (here.get(PATH).await.status, again.get(PATH).await.status),
        (401, 401)
    );
}

#[tokio::test]
async fn every_contract_has_a_log_in_on_the_management_listener() {
    for contract in [
        "scopegate",
        "k8cost",
        "kubewatch",
        "kubeadapt",
        "kubevision",
    ] {
        let world = World::start(contract).await;
        let body = json!({ "email": EDITOR, "password": PASSWORD });
        let management = Actor::new(&world.management, None);
        let reply = management.post("/-/login", body.clone()).await;
        let token = token(&reply);
        assert_eq!(reply.json()["user"]["email"], EDITOR);
        assert_eq!(reply.json()["user"]["role"], "editor");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(world.anonymous().post("/-/login", body).await.status, 404);
        let wrong = json!({ "email": EDITOR, "password": "wrong password" });
        let wrong = management.post("/-/login", wrong).await;
        assert_eq!((wrong.status, wrong.code().as_str()), (401, "bad-login"));
        assert_eq!(wrong.header("content-type"), "application/problem+json");
        let get = management.get("/-/login").await;
        assert_eq!((get.status, get.header("allow")), (405, "POST"));
        let manager = world.manager_with(&token);
        assert_eq!(manager.call("POST", "/-/logout").await.status, 204);
        let over = manager.call("POST", "/-/logout").await;
        assert_eq!((over.status, over.code().as_str()), (401, "revoked"));
    }
}

/// KA's sessions are the dashboard's.
#[tokio::test]
async fn kubeadapts_sessions_open_the_management_api_and_not_the_api() {
    let world = World::with(Options {
        shared: true,
        ..Options::of("kubeadapt")
    })
    .await;
    let body = json!({ "email": EDITOR, "password": PASSWORD });
    let token = token(&world.anonymous().post("/-/login", body).await);
    let session = world.bearer(&token);
    let refused = session.get("/v1/clusters").await;
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert!(refused.json()["detail"].is_string(), "{}", refused.body);
    assert_eq!(session.call("POST", "/-/logout").await.status, 204);
}

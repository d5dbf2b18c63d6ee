//! The gate's own pages: a log-in in every contract, sessions taken whatever the API takes, and problem documents
//! whatever the contract says; and second factors as a log-in meets them.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use totp_rs::Totp;
use uuid::Uuid;

use super::{
    sessions::attempt,
    world::{Ask, NOW_MS, World, ask, get, limits},
};
use crate::{
    Cause, Contract, Reason, Refusal,
    contract::{BUILTIN_NAMES, Errors},
    gate::Answer,
    password,
    session::PasswordOutcome,
    store::Actor,
};

const PASSWORD: &str = "correct horse battery";

async fn with_ada(contract: &str) -> (World, Uuid) {
    let world = World::new(contract).await;
    let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
    let ada = world
        .fixture
        .user_with_password("ada@example.com", hash)
        .await;
    (world, ada)
}

async fn login(world: &World, at: &Ask, password: &str, otp: Option<&str>) -> Answer {
    let attempt = attempt("ada@example.com", password, otp);
    world.gate.login(&at.request(), attempt).await
}

fn body(answer: Answer) -> Value {
    match answer {
        Answer::Reply(reply) => serde_json::from_str(&reply.body).unwrap_or_default(),
        Answer::Refuse(refusal) => panic!("refused: {:?}", refusal.cause),
    }
}

fn refused(answer: Answer) -> Refusal {
    match answer {
        Answer::Reply(_) => panic!("not refused"),
        Answer::Refuse(refusal) => *refusal,
    }
}

/// Enrols and confirms; the session is one of now.
async fn enrol(world: &World, user: Uuid, session: Uuid) -> Totp {
    let (sessions, origin) = (world.gate.sessions(), || Actor::User(user).into());
    let begun = sessions.begin_factor(user, origin(), NOW_MS).await.unwrap();
    let totp = Totp::from_url(begun.url.expose_secret()).unwrap();
    let code = code(&totp, NOW_MS).into();
    sessions
        .confirm_factor(session, user, &code, origin(), NOW_MS)
        .await
        .unwrap();
    totp
}

fn code(totp: &Totp, now_ms: i64) -> String {
    totp.generate(now_ms.unsigned_abs() / 1000).to_string()
}

#[test]
fn the_gates_own_words_are_those_of_its_own_contract() {
    let (own, contract) = (
        Errors::own(),
        Contract::builtin("scopegate").unwrap().errors,
    );
    assert_eq!(own.body, contract.body);
    assert_eq!(
        (own.realm, own.content_type, own.several_credentials_401),
        (
            contract.realm,
            contract.content_type,
            contract.several_credentials_401
        )
    );
}

#[tokio::test]
async fn every_contract_has_the_gates_own_log_in() {
    for contract in BUILTIN_NAMES {
        let (world, ada) = with_ada(contract).await;
        let body = body(login(&world, &ask("POST", "/-/login"), PASSWORD, None).await);
        let user = &body["user"];
        assert_eq!(user["id"], ada.to_string(), "{contract}");
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["role"], "viewer");
        assert_eq!(
            user["organization_id"],
            world.fixture.organization.to_string()
        );
        assert_eq!(body["expires_at"], "2027-01-16T08:00:00Z");
        let token = body["token"].as_str().unwrap();
        // Known there: it is the policy that has nothing at this path.
        let own = get("/-/api/nothing").bearer(token);
        assert_eq!(
            own.cause(&world).await,
            Cause::Denied(Reason::NoRoute),
            "{contract}"
        );
        let api = get("/v1/organization").bearer(token).status(&world).await;
        let expected = if contract == "kubeadapt" { 401 } else { 200 };
        assert_eq!(api, expected, "{contract}");
        let out = ask("POST", "/-/logout").bearer(token);
        let Answer::Reply(reply) = world.gate.logout(&out.request()).await else {
            panic!("{contract}")
        };
        assert_eq!(reply.status, 204);
        assert_eq!(own.cause(&world).await, Cause::Revoked);
    }
}

#[tokio::test]
async fn errors_of_the_gates_own_pages_are_problem_documents() {
    for contract in BUILTIN_NAMES {
        let (world, _) = with_ada(contract).await;
        let wrong = refused(login(&world, &ask("POST", "/-/login"), "wrong horse", None).await);
        let none = get("/-/api/nothing").refused(&world).await;
        let bad = get("/-/api/nothing")
            .bearer("eyJa.b.c")
            .refused(&world)
            .await;
        let shape = get("/-/api/a;b").refused(&world).await;
        // However the path is spelt.
        let other = get("//x/../%2D/api/nothing").refused(&world).await;
        let twice = get("/-/api/nothing")
            .bearer("eyJa.b.c")
            .bearer("eyJa.b.c")
            .refused(&world)
            .await;
        let page = world
            .gate
            .refuse(Cause::MethodNotAllowed, &get("/-/metrics").request())
            .await;
        for (refusal, status) in [
            (wrong, 401),
            (none, 401),
            (bad, 401),
            (shape, 400),
            (other, 401),
            (twice, 400),
            (page, 405),
        ] {
            let body: Value = serde_json::from_str(&refusal.body).unwrap();
            assert_eq!(refusal.status, status, "{contract}: {body}");
            assert_eq!(refusal.headers["content-type"], "application/problem+json");
            assert_eq!(body["code"], refusal.cause.code());
            assert_eq!(
                body["instance"],
                refusal.headers["x-request-id"].to_str().unwrap()
            );
        }
    }
    // The API keeps the contract's words.
    let (world, _) = with_ada("kubewatch").await;
    let body = get("/v1/organization").refused(&world).await.body;
    assert_eq!(body, r#"{"error":"unauthorized"}"#);
}

#[tokio::test]
async fn a_code_is_asked_for_only_after_the_right_password() {
    let (world, ada) = with_ada("k8cost").await;
    let claims = world.claims(ada).await;
    let totp = enrol(&world, ada, claims.sid).await;
    let at = ask("POST", "/auth/login");
    let asked = refused(login(&world, &at, PASSWORD, None).await);
    assert_eq!(
        (asked.status.as_u16(), &asked.cause),
        (401, &Cause::OtpRequired)
    );
    assert_eq!(asked.headers["www-authenticate"], "Bearer realm=\"k8cost\"");
    assert_eq!(asked.headers["cache-control"], "no-store");
    assert_eq!(limits(&asked.headers), (20, 19), "the account's");
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body["code"], "otp_required");
    // No failure of the address: the first that is one, is the first.
    let wrong = refused(login(&world, &at, PASSWORD, Some("12345x")).await);
    assert_eq!(wrong.cause, Cause::BadLogin);
    assert_eq!(limits(&wrong.headers), (100, 99));
    for otp in [
        None,
        Some("000000"),
        Some(code(&totp, NOW_MS + 60_000).as_str()),
    ] {
        let stranger = refused(login(&world, &at, "wrong horse", otp).await);
        let other = attempt("nobody@example.com", "wrong horse", otp);
        let unknown = refused(world.gate.login(&at.request(), other).await);
        assert_eq!(stranger.cause, Cause::BadLogin);
        assert_eq!(unknown.cause, Cause::BadLogin);
        assert_eq!(stranger.status, unknown.status);
    }
    let later = at.clone().at(NOW_MS + 60_000);
    let digits = code(&totp, NOW_MS + 60_000);
    let granted = login(&world, &later, PASSWORD, Some(&digits)).await;
    let token = super::own::body(granted)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let admitted = get("/v1/organization")
        .bearer(&token)
        .at(NOW_MS + 60_000)
        .admitted(&world)
        .await;
    assert!(admitted.principal.unwrap().caller.mfa);
    let log = world.text_of_log().await;
    assert!(!log.contains(&digits), "no code is recorded");
    let long = "1".repeat(65);
    assert_eq!(
        refused(login(&world, &at, PASSWORD, Some(&long)).await).status,
        400
    );
}

#[tokio::test]
async fn a_locked_factor_says_when_to_come_back() {
    let (world, ada) = with_ada("k8cost").await;
    let claims = world.claims(ada).await;
    enrol(&world, ada, claims.sid).await;
    let at = ask("POST", "/auth/login");
    for _ in 0..10 {
        let wrong = refused(login(&world, &at, PASSWORD, Some("12345x")).await);
        assert_eq!(wrong.cause, Cause::BadLogin);
    }
    let locked = refused(login(&world, &at, PASSWORD, Some("123456")).await);
    assert_eq!(
        (locked.status.as_u16(), &locked.cause),
        (429, &Cause::TooManyFailures)
    );
    assert_eq!(locked.headers["retry-after"], "900");
    let stranger = refused(login(&world, &at, "wrong horse", Some("123456")).await);
    assert_eq!(stranger.cause, Cause::BadLogin, "they learn nothing of it");
}

#[tokio::test]
async fn guessing_ones_password_is_bounded_as_logging_in_is() {
    let (world, ada) = with_ada("k8cost").await;
    let claims = world.claims(ada).await;
    let change = |current: &str| {
        let origin = Actor::User(ada).into();
        let (current, new) = (current.into(), "another password".into());
        world
            .gate
            .change_password(claims.sid, ada, current, new, origin, NOW_MS)
    };
    for _ in 0..20 {
        let wrong = change("wrong horse").await.unwrap();
        assert_eq!(wrong, Ok(PasswordOutcome::WrongPassword));
    }
    let over = change(PASSWORD).await.unwrap().unwrap_err();
    assert_eq!((over.admitted, over.limit), (false, 20));
}

#[tokio::test]
async fn wrong_log_ins_do_not_keep_one_from_changing_ones_password() {
    let (world, ada) = with_ada("k8cost").await;
    let claims = world.claims(ada).await;
    for _ in 0..30 {
        login(&world, &ask("POST", "/-/login"), "wrong horse", None).await;
    }
    let (current, new) = (PASSWORD.into(), "another password".into());
    let origin = Actor::User(ada).into();
    let changed = world
        .gate
        .change_password(claims.sid, ada, current, new, origin, NOW_MS);
    assert_eq!(changed.await.unwrap(), Ok(PasswordOutcome::Changed));
}

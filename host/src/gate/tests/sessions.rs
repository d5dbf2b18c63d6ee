//! Logging in, refreshing, logging out, and swapping the policy under a running gate.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

use super::world::{Ask, NOW_MS, World, ask, get, limits};
use crate::{
    Cause, Refusal,
    engine::{Sandbox, SandboxConfig, build_document},
    gate::{Answer, Parts, Reply},
    password,
    session::Attempt,
};

const PASSWORD: &str = "correct horse battery";

async fn with_ada(contract: &str) -> World {
    with_ada_and(contract, |_| {}).await
}

async fn with_ada_and(contract: &str, change: impl FnOnce(&mut Parts)) -> World {
    let world = World::with(contract, change).await;
    let hash = password::hash(&SecretString::from(PASSWORD)).unwrap();
    world
        .fixture
        .user_with_password("ada@example.com", hash)
        .await;
    world
}

pub(super) fn attempt(email: &str, password: &str, otp: Option<&str>) -> Attempt {
    Attempt {
        email: email.to_owned(),
        password: SecretString::from(password),
        otp: otp.map(SecretString::from),
    }
}

async fn login(world: &World, email: &str, password: &str, from: &str) -> Answer {
    let request = ask("POST", "/auth/login").from(from);
    world
        .gate
        .login(&request.request(), attempt(email, password, None))
        .await
}

fn reply(answer: Answer) -> (Reply, Value) {
    match answer {
        Answer::Reply(reply) => {
            let body = serde_json::from_str(&reply.body).unwrap_or_default();
            (*reply, body)
        }
        Answer::Refuse(refusal) => panic!("refused: {:?}", refusal.cause),
    }
}

fn refused(answer: Answer) -> Refusal {
    match answer {
        Answer::Reply(_) => panic!("not refused"),
        Answer::Refuse(refusal) => *refusal,
    }
}

fn bearer(method: &'static str, token: &Value) -> Ask {
    ask(method, "/auth/refresh").bearer(token.as_str().unwrap())
}

/// K8C-02, K8C-04.
#[tokio::test]
async fn a_log_in_answers_in_the_contracts_words() {
    let world = with_ada("k8cost").await;
    let (reply, body) = reply(login(&world, "Ada@Example.com", PASSWORD, "192.0.2.1").await);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(limits(&reply.headers), (20, 19));
    assert_eq!(body["expires_at"], "2027-01-16T08:00:00Z");
    assert_eq!(body["user"]["email"], "ada@example.com");
    assert_eq!(body["user"]["role"], "viewer");
    let token = body["token"].as_str().unwrap();
    assert!(!format!("{reply:?}").contains(token));
    let request = get("/v1/organization").bearer(token);
    assert_eq!(request.status(&world).await, 200);
    assert_eq!(
        request.at(NOW_MS + 86_400_000).cause(&world).await,
        Cause::TokenExpired
    );
    assert!(!world.text_of_log().await.contains(token));
}

/// KW-02, KW-03.
#[tokio::test]
async fn kubewatch_has_its_own_reply_and_no_refresh() {
    let world = with_ada("kubewatch").await;
    let (_, body) = reply(login(&world, "ada@example.com", PASSWORD, "192.0.2.1").await);
    assert_eq!(body["expiresAt"], "2027-01-16T08:00:00Z");
    assert_eq!(
        body["user"]["orgId"],
        format!("org_{}", world.fixture.organization)
    );
    assert!(body["token"].as_str().unwrap().starts_with("eyJ"));
    let answer = world
        .gate
        .refresh(&bearer("POST", &body["token"]).request())
        .await;
    assert_eq!(refused(answer).status, 404);
    let world = World::new("kubeadapt").await;
    assert_eq!(
        refused(login(&world, "ada@example.com", PASSWORD, "192.0.2.1").await).status,
        404
    );
}

#[tokio::test]
async fn failed_log_ins_count_by_address_and_by_account() {
    let world = with_ada("k8cost").await;
    let unknown = refused(login(&world, "nobody@example.com", PASSWORD, "192.0.2.1").await);
    let wrong = refused(login(&world, "ada@example.com", "wrong password", "192.0.2.1").await);
    // Nothing tells one from the other, but for the request's id.
    let body = |refusal: &Refusal| {
        let mut body: Value = serde_json::from_str(&refusal.body).unwrap();
        body.as_object_mut().unwrap().remove("instance");
        body
    };
    assert_eq!(
        (unknown.status, body(&unknown)),
        (wrong.status, body(&wrong))
    );
    assert_eq!(unknown.cause, Cause::BadLogin);
    assert_eq!(
        (limits(&unknown.headers), limits(&wrong.headers)),
        ((100, 99), (100, 98))
    );
    // The account is guarded, in whatever case it is written.
    for _ in 0..19 {
        let again = login(&world, "ADA@example.com", "", "192.0.2.1").await;
        assert_eq!(refused(again).cause, Cause::BadLogin);
    }
    let over = refused(login(&world, "ada@example.com", PASSWORD, "192.0.2.1").await);
    assert_eq!(
        (over.status.as_u16(), over.cause, limits(&over.headers)),
        (429, Cause::TooManyFailures, (20, 0))
    );
    let other = login(&world, "nobody@example.com", "", "192.0.2.1").await;
    assert_eq!(refused(other).cause, Cause::BadLogin, "another account");
    let too_long =
        refused(login(&world, "ada@example.com", &"x".repeat(1025), "203.0.113.2").await);
    assert_eq!(too_long.status, 400);
}

/// Who tries an account from one address keeps nobody out elsewhere; from many, no more than five addresses' worth.
#[tokio::test]
async fn a_stranger_keeps_nobody_out_of_their_account() {
    let world = with_ada_and("k8cost", |parts| parts.contract.limits.logins = 4).await;
    let try_from = async |from: &str, times: u32| {
        let mut causes = Vec::new();
        for _ in 0..times {
            let wrong = login(&world, "ada@example.com", "", from).await;
            causes.push(refused(wrong).cause);
        }
        let looked_at = causes.iter().filter(|cause| **cause == Cause::BadLogin);
        looked_at.count()
    };
    // What is over the address's limit does not count against the account.
    assert_eq!(try_from("198.51.100.0", 30).await, 4);
    let (in_time, _) = reply(login(&world, "ada@example.com", PASSWORD, "203.0.113.1").await);
    assert_eq!(limits(&in_time.headers), (4, 3));
    // One log-in of the twenty was the owner's.
    for (n, looked_at) in [(1, 4), (2, 4), (3, 4), (4, 3), (5, 0)] {
        let from = format!("198.51.100.{n}");
        assert_eq!(try_from(&from, 5).await, looked_at, "{from}");
    }
    let over = refused(login(&world, "ada@example.com", PASSWORD, "203.0.113.2").await);
    assert_eq!(
        (over.status.as_u16(), over.cause, limits(&over.headers)),
        (429, Cause::TooManyFailures, (20, 0))
    );
}

/// K8C-05.
#[tokio::test]
async fn a_refresh_keeps_the_session_and_log_out_ends_it() {
    let world = with_ada("k8cost").await;
    let (_, body) = reply(login(&world, "ada@example.com", PASSWORD, "192.0.2.1").await);
    let later = NOW_MS + 3_600_000;
    let answer = world
        .gate
        .refresh(&bearer("POST", &body["token"]).at(later).request())
        .await;
    let (refreshed, second) = reply(answer);
    assert_eq!(limits(&refreshed.headers).0, 100);
    assert_eq!(second["expires_at"], "2027-01-16T09:00:00Z");
    assert_ne!(second["token"], body["token"]);
    let of = |token: &Value| {
        get("/v1/organization")
            .bearer(token.as_str().unwrap())
            .at(later)
    };
    let first = of(&body["token"])
        .admitted(&world)
        .await
        .principal
        .unwrap()
        .credential;
    assert_eq!(
        of(&second["token"])
            .admitted(&world)
            .await
            .principal
            .unwrap()
            .credential,
        first
    );
    // Neither a key nor nobody has a session to refresh.
    let key = world.key(Some(world.admin().await), |_| {}).await;
    let by_key = ask("POST", "/auth/refresh").header("x-api-key", &key);
    assert_eq!(
        refused(world.gate.refresh(&by_key.request()).await).cause,
        Cause::UnknownCredential
    );
    let nobody = refused(
        world
            .gate
            .refresh(&ask("POST", "/auth/refresh").request())
            .await,
    );
    assert_eq!(nobody.cause, Cause::NotAuthenticated);
    assert!(nobody.headers.contains_key("www-authenticate"));

    let (left, _) = reply(
        world
            .gate
            .logout(&bearer("POST", &second["token"]).at(later).request())
            .await,
    );
    assert_eq!(left.status, 204);
    for token in [&body["token"], &second["token"]] {
        assert_eq!(of(token).cause(&world).await, Cause::Revoked);
    }
    let again = world
        .gate
        .refresh(&bearer("POST", &second["token"]).at(later).request())
        .await;
    assert_eq!(refused(again).cause, Cause::Revoked);
}

#[tokio::test]
async fn a_session_ends_after_its_life_whatever_is_refreshed() {
    let world = with_ada("k8cost").await;
    let (_, mut body) = reply(login(&world, "ada@example.com", PASSWORD, "192.0.2.1").await);
    let hour = 3_600_000;
    for day in 0..7 {
        let now_ms = NOW_MS + (day + 1) * 23 * hour;
        let (_, next) = reply(
            world
                .gate
                .refresh(&bearer("POST", &body["token"]).at(now_ms).request())
                .await,
        );
        body = next;
    }
    assert_eq!(
        body["expires_at"], "2027-01-22T08:00:00Z",
        "the session's end, not the token's"
    );
    let end = NOW_MS + 7 * 24 * hour;
    let request = get("/v1/organization").bearer(body["token"].as_str().unwrap());
    assert_eq!(request.clone().at(end - 1).status(&world).await, 200);
    assert_eq!(request.at(end).cause(&world).await, Cause::TokenExpired);
}

#[tokio::test]
async fn a_swapped_policy_decides_the_next_request() {
    let world = World::new("scopegate").await;
    let key = world.key(Some(world.admin().await), |_| {}).await;
    let request = get("/v1/organization").bearer(&key);
    assert_eq!(request.status(&world).await, 200);
    let before = world.gate.policy().digest().to_owned();
    let narrow = "policy: narrow\npermissions:\n  a:read: { category: A, unlocks: A }\nroles:\n  admin: [\"*\"]\n\
                  routes:\n  - { match: GET /v1/other, requires: \"a:read\", cluster: none }\n";
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let policy = sandbox
        .load(&build_document("narrow.yaml", narrow).unwrap())
        .unwrap();
    world.gate.activate(Arc::new(policy));
    assert_ne!(world.gate.policy().digest(), before);
    assert_eq!(request.status(&world).await, 404);
    assert_eq!(get("/v1/other").bearer(&key).status(&world).await, 200);
}

#[tokio::test]
async fn an_adapters_own_refusals_are_in_the_same_words() {
    let world = World::new("kubewatch").await;
    let request = ask("GET", "/auth/login");
    let refusal = world
        .gate
        .refuse(Cause::MethodNotAllowed, &request.request())
        .await;
    assert_eq!(refusal.status, 405);
    assert_eq!(refusal.headers["content-type"], "application/json");
    assert_eq!(limits(&refusal.headers), (100, 100));
    let log = world.log().await;
    assert_eq!(log[0]["reason"], "method-not-allowed");
    assert_eq!(log[0]["path"], "/auth/login");
    assert!(refusal.headers.contains_key("x-request-id"));
}

//! Each contract's words for each kind of refusal, and what no refusal may say.

use http::StatusCode;
use scopegate_policy::Reason;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Cause, Contract, Refusal,
    limit::{self, Cells, Taken},
    refusal::refuse,
};

const ID: Uuid = Uuid::from_u128(7);
const NOW: i64 = 1_775_000_041_000;

fn state() -> Taken {
    limit::look(limit::Window::MINUTE, Cells::default(), 100, NOW)
}

fn by(contract: &str, cause: Cause) -> Refusal {
    refuse(
        &Contract::builtin(contract).unwrap().errors,
        cause,
        &state(),
        ID,
    )
}

fn json(refusal: &Refusal) -> Value {
    serde_json::from_str(&refusal.body).unwrap()
}

fn header<'r>(refusal: &'r Refusal, name: &str) -> Option<&'r str> {
    refusal
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap())
}

fn missing() -> Cause {
    Cause::Denied(Reason::MissingPermission("clusters:read".into()))
}

#[test]
fn scopegate_answers_problem_documents() {
    let refusal = by("scopegate", missing());
    assert_eq!(refusal.status, StatusCode::FORBIDDEN);
    assert_eq!(
        header(&refusal, "content-type"),
        Some("application/problem+json")
    );
    let body = json(&refusal);
    assert_eq!(
        body["type"],
        "https://scopegate.dev/problems/missing-permission"
    );
    assert_eq!(body["title"], "Permission missing");
    assert_eq!(body["status"], 403);
    assert_eq!(body["detail"], "the permission `clusters:read` is missing");
    assert_eq!(body["code"], "missing-permission");
    assert_eq!(body["instance"], ID.to_string());
}

#[test]
fn challenges_follow_rfc_6750() {
    let challenge = |cause| {
        by("scopegate", cause)
            .headers
            .get("www-authenticate")
            .map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!(
        challenge(Cause::NotAuthenticated).as_deref(),
        Some("Bearer realm=\"scopegate\"")
    );
    for cause in [
        Cause::UnknownCredential,
        Cause::Revoked,
        Cause::Expired,
        Cause::TokenExpired,
        Cause::MissingOrgId,
    ] {
        assert_eq!(
            challenge(cause).as_deref(),
            Some("Bearer realm=\"scopegate\", error=\"invalid_token\"")
        );
    }
    assert_eq!(
        challenge(missing()).as_deref(),
        Some("Bearer realm=\"scopegate\", error=\"insufficient_scope\", scope=\"clusters:read\"")
    );
    for cause in [
        Cause::RateLimited,
        Cause::Overloaded,
        Cause::PolicyFault(String::new()),
        Cause::GatewayTimeout,
    ] {
        assert_eq!(challenge(cause), None);
    }
    assert_eq!(challenge(Cause::Denied(Reason::NoRoute)), None);
}

#[test]
fn a_policys_own_words_cannot_break_out() {
    let refusal = by(
        "scopegate",
        Cause::Denied(Reason::MissingPermission(
            "a\", x=\"\r\nSet-Cookie: a".into(),
        )),
    );
    assert_eq!(
        header(&refusal, "www-authenticate"),
        Some("Bearer realm=\"scopegate\", error=\"insufficient_scope\"")
    );
    let refusal = by(
        "scopegate",
        Cause::Denied(Reason::Other("../../x y".into())),
    );
    assert_eq!(json(&refusal)["code"], "denied");
    let refusal = by(
        "scopegate",
        Cause::Denied(Reason::ClusterNotAllowed("é".repeat(4000))),
    );
    assert!(refusal.body.len() < 1000);
}

#[test]
fn limits_and_request_id_are_on_every_refusal() {
    for cause in [
        Cause::NotAuthenticated,
        missing(),
        Cause::InvalidRequest("x".into()),
        Cause::RateLimited,
    ] {
        let refusal = by("kubeadapt", cause);
        assert_eq!(header(&refusal, "x-ratelimit-limit"), Some("100"));
        assert_eq!(header(&refusal, "x-ratelimit-remaining"), Some("100"));
        assert_eq!(header(&refusal, "x-ratelimit-reset"), Some("1775000100"));
        assert_eq!(
            header(&refusal, "x-request-id"),
            Some(ID.to_string().as_str())
        );
    }
}

#[test]
fn caching_and_retrying() {
    for (cause, no_store, retry) in [
        (Cause::NotAuthenticated, true, None),
        (missing(), true, None),
        (Cause::RateLimited, true, Some("1")),
        (Cause::Overloaded, false, Some("1")),
        (Cause::Unavailable("disk".into()), false, Some("1")),
        (Cause::InvalidRequest("x".into()), false, None),
    ] {
        let refusal = by("scopegate", cause);
        assert_eq!(
            header(&refusal, "cache-control") == Some("no-store"),
            no_store,
            "{:?}",
            refusal.cause
        );
        assert_eq!(
            header(&refusal, "retry-after"),
            retry,
            "{:?}",
            refusal.cause
        );
    }
}

#[test]
fn the_log_knows_more_than_the_caller() {
    for cause in [
        Cause::PolicyFault("trap at 0x1234".into()),
        Cause::Unavailable("/var/lib/scopegate.db".into()),
        Cause::BadGateway("10.1.2.3 refused".into()),
        Cause::UnfilterableList("item 7".into()),
    ] {
        let refusal = by("scopegate", cause.clone());
        for secret in ["0x1234", "/var/lib", "10.1.2.3", "item 7"] {
            assert!(!refusal.body.contains(secret), "{cause:?}");
        }
    }
}

/// KA-20, KA-21.
#[test]
fn kubeadapts_two_bodies_are_verbatim() {
    for cause in [
        Cause::NotAuthenticated,
        Cause::UnknownCredential,
        Cause::Revoked,
        Cause::SeveralCredentials,
    ] {
        let refusal = by("kubeadapt", cause);
        assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            json(&refusal),
            serde_json::json!({"detail": "API key required. Use 'Authorization: Bearer <api_key>'"})
        );
        assert!(header(&refusal, "www-authenticate").is_some());
    }
    let refusal = by("kubeadapt", missing());
    assert_eq!(
        json(&refusal),
        serde_json::json!({"detail": "Missing required permission: clusters:read"})
    );
}

/// KW-11 to KW-14.
#[test]
fn kubewatchs_four_words_come_from_their_causes() {
    for (cause, word) in [
        (Cause::NotAuthenticated, "unauthorized"),
        (Cause::UnknownCredential, "unauthorized"),
        (Cause::Revoked, "unauthorized"),
        (Cause::Expired, "unauthorized"),
        (Cause::SeveralCredentials, "unauthorized"),
        (Cause::InvalidToken("signature"), "invalid token"),
        (Cause::TokenExpired, "token expired"),
        (Cause::MissingOrgId, "missing org_id claim"),
    ] {
        let refusal = by("kubewatch", cause.clone());
        assert_eq!(refusal.status, StatusCode::UNAUTHORIZED, "{cause:?}");
        assert!(
            refusal.body.contains(&format!("\"{word}\"")),
            "{cause:?}: {}",
            refusal.body
        );
    }
}

#[test]
fn little_of_what_the_caller_sent_comes_back() {
    let long = "ä".repeat(100_000);
    for cause in [
        Cause::InvalidRequest(long.clone()),
        Cause::Unprocessable(long.clone()),
        Cause::NotFound(long.clone()),
        Cause::Conflict(long.clone()),
        Cause::NotHeld(long.clone()),
        Cause::Stale(long.clone()),
    ] {
        let refusal = by("scopegate", cause);
        assert!(refusal.body.len() < 1500, "{}", refusal.body);
        let detail = json(&refusal)["detail"].as_str().map(str::to_owned);
        assert!(long.starts_with(&detail.unwrap()));
    }
}

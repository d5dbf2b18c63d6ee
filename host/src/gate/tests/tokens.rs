//! Own tokens: each cause in its order, clock edges, and keys that cannot be confused.

use std::os::unix::fs::PermissionsExt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{NOW_MS, World, get};
use crate::{Cause, KeyRing, store::Change};

const SECRET: [u8; 32] = [7; 32];
pub(super) const NOW: i64 = NOW_MS / 1000;

fn known_ring() -> KeyRing {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let secret = BASE64_URL_SAFE_NO_PAD.encode(SECRET);
    let ring =
        json!({"issuer": "own", "keys": [{"kid": "a", "algorithm": "HS256", "secret": secret}]});
    std::fs::write(&path, ring.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    KeyRing::load(&path).unwrap()
}

pub(super) fn token(
    header: &Value,
    claims: &Value,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn own(header: &Value, claims: &Value) -> String {
    token(
        header,
        claims,
        &EncodingKey::from_secret(&SECRET),
        Algorithm::HS256,
    )
}

pub(super) fn with(base: &Value, changes: Value) -> Value {
    let mut changed = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
            value => changed[name] = value.clone(),
        }
    }
    changed
}

async fn kubewatch() -> (World, Value, Value) {
    let world = World::with("kubewatch", |parts| parts.keys = known_ring().into()).await;
    let claims = serde_json::to_value(world.claims(world.admin().await).await).unwrap();
    (
        world,
        json!({"alg": "HS256", "typ": "JWT", "kid": "a"}),
        claims,
    )
}

pub(super) async fn cause(world: &World, token: &str) -> Cause {
    // Each from an address of its own, so that failures do not add up.
    let address = format!("2001:db8:{:x}:{:x}::1", rand(), rand());
    get("/v1/organization")
        .bearer(token)
        .from(&address)
        .cause(world)
        .await
}

fn rand() -> u16 {
    (Uuid::new_v4().as_u128() >> 112) as u16
}

/// KW-11 to KW-14: each from its cause, and in this order where several apply.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, a row for each cause")]
async fn causes_come_in_their_order() {
    let (world, header, claims) = kubewatch().await;
    assert_eq!(
        get("/v1/organization")
            .bearer(&own(&header, &claims))
            .status(&world)
            .await,
        200
    );
    let all_wrong = json!({"exp": NOW - 1, "org_id": null, "sub": "x", "sid": "y"});
    let other = EncodingKey::from_secret(&[8; 32]);
    let forged = token(
        &header,
        &with(&claims, all_wrong.clone()),
        &other,
        Algorithm::HS256,
    );
    let own_with = |changes: Value| own(&header, &with(&with(&claims, all_wrong.clone()), changes));
    let invalid = Cause::InvalidToken;
    for (token, expected) in [
        ("eyJ!.a.b".to_owned(), invalid("unparsable")),
        ("eyJh.e30.".to_owned(), invalid("unparsable")),
        (
            own(&with(&header, json!({"kid": "b"})), &claims),
            invalid("key"),
        ),
        (
            own(&with(&header, json!({"kid": null})), &claims),
            invalid("key"),
        ),
        (
            own(&with(&header, json!({"alg": "HS512"})), &claims),
            invalid("algorithm"),
        ),
        (
            own(&with(&header, json!({"alg": "none"})), &claims),
            invalid("algorithm"),
        ),
        (
            own(&with(&header, json!({"alg": "hs256"})), &claims),
            invalid("algorithm"),
        ),
        (
            own(&with(&header, json!({"crit": ["exp"]})), &claims),
            invalid("critical extension"),
        ),
        (forged, invalid("signature")),
        (own_with(json!({"iss": "other"})), invalid("issuer")),
        (own_with(json!({"iss": null})), invalid("issuer")),
        (own_with(json!({"aud": "k8cost"})), invalid("audience")),
        (own_with(json!({"aud": null})), invalid("audience")),
        (own_with(json!({"aud": ["a", "b"]})), invalid("audience")),
        (own_with(json!({"exp": null})), invalid("no expiry")),
        (own_with(json!({"exp": "tomorrow"})), invalid("unparsable")),
        (own_with(json!({})), Cause::TokenExpired),
        (own_with(json!({"exp": NOW + 60})), Cause::MissingOrgId),
        (
            own_with(json!({"exp": NOW + 60, "org_id": ""})),
            Cause::MissingOrgId,
        ),
        (
            own_with(json!({"exp": NOW + 60, "org_id": 7})),
            Cause::UnknownCredential,
        ),
        (
            own_with(json!({"exp": NOW + 60, "org_id": "x"})),
            Cause::UnknownCredential,
        ),
        (
            own(&header, &with(&claims, json!({"org_id": Uuid::new_v4()}))),
            Cause::UnknownCredential,
        ),
        (
            own(&header, &with(&claims, json!({"nbf": NOW + 1}))),
            Cause::UnknownCredential,
        ),
        (
            own(&header, &with(&claims, json!({"sid": Uuid::new_v4()}))),
            Cause::UnknownCredential,
        ),
        (
            own(&header, &with(&claims, json!({"sub": Uuid::new_v4()}))),
            Cause::UnknownCredential,
        ),
    ] {
        assert_eq!(cause(&world, &token).await, expected, "{token}");
    }
}

#[tokio::test]
async fn a_tampered_or_stripped_token_is_invalid() {
    let (world, header, claims) = kubewatch().await;
    let good = own(&header, &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    let admin =
        BASE64_URL_SAFE_NO_PAD.encode(with(&claims, json!({"sub": Uuid::nil()})).to_string());
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"a"}"#);
    for bad in [
        format!("{head}.{admin}.{signature}"),
        format!("{head}.{payload}."),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{head}.{payload}.{signature}A"),
        format!("{head}.{payload}={signature}.{signature}"),
        format!("{head}.{payload}.{signature}="),
    ] {
        assert!(
            matches!(cause(&world, &bad).await, Cause::InvalidToken(_)),
            "{bad}"
        );
    }
    // Keys that a token brings along are not looked at.
    let bringing = with(
        &header,
        json!({"jku": "https://a", "x5u": "https://a", "jwk": {"kty": "oct", "k": "AA"}}),
    );
    assert_eq!(
        get("/v1/organization")
            .bearer(&own(&bringing, &claims))
            .status(&world)
            .await,
        200
    );
    let twice = format!("{{\"sub\":\"x\",{}", &claims.to_string()[1..]);
    let twice = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(twice));
    let key = EncodingKey::from_secret(&SECRET);
    let signed = jsonwebtoken::crypto::sign(twice.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(
        cause(&world, &format!("{twice}.{signed}")).await,
        Cause::InvalidToken("unparsable")
    );
}

#[tokio::test]
async fn the_expiry_is_the_first_moment_that_is_too_late() {
    let (world, header, claims) = kubewatch().await;
    let until = |exp: Value| {
        get("/v1/organization").bearer(&own(&header, &with(&claims, json!({"exp": exp}))))
    };
    let at = (NOW + 10) * 1000;
    assert_eq!(until(json!(NOW + 10)).at(at - 1).status(&world).await, 200);
    assert_eq!(
        until(json!(NOW + 10)).at(at).cause(&world).await,
        Cause::TokenExpired
    );
    assert_eq!(
        until(json!(NOW as f64 + 10.5))
            .at(at + 499)
            .status(&world)
            .await,
        200
    );
    assert_eq!(
        until(json!(NOW as f64 + 10.5))
            .at(at + 500)
            .cause(&world)
            .await,
        Cause::TokenExpired
    );
    assert_eq!(until(json!(1e300)).status(&world).await, 200);
    let from = |nbf: i64| {
        get("/v1/organization").bearer(&own(&header, &with(&claims, json!({"nbf": nbf}))))
    };
    assert_eq!(from(NOW + 10).at(at).status(&world).await, 200);
    assert_eq!(
        from(NOW + 10).at(at - 1).cause(&world).await,
        Cause::UnknownCredential
    );
}

#[tokio::test]
async fn a_token_ends_with_its_session_and_its_user() {
    let (world, header, claims) = kubewatch().await;
    let token = own(&header, &claims);
    assert_eq!(
        get("/v1/organization").bearer(&token).status(&world).await,
        200
    );
    world
        .fixture
        .make(Change::EndSession(
            claims["sid"].as_str().unwrap().parse().unwrap(),
        ))
        .await;
    assert_eq!(cause(&world, &token).await, Cause::Revoked);
    // A token that outlives its session's whole life.
    let claims = serde_json::to_value(world.claims(world.admin().await).await).unwrap();
    let long = own(&header, &with(&claims, json!({"exp": NOW + 100 * 86_400})));
    let late = get("/v1/organization")
        .bearer(&long)
        .at(NOW_MS + 7 * 86_400_000);
    assert_eq!(late.cause(&world).await, Cause::Expired);
    let admission = get("/v1/organization")
        .bearer(&own(&header, &claims))
        .admitted(&world)
        .await;
    assert_eq!(admission.expires_at, Some(NOW + 86_400));
}

/// KA-19.
#[tokio::test]
async fn kubeadapts_api_takes_no_session() {
    let world = World::new("kubeadapt").await;
    let token = world.session(world.admin().await).await;
    assert_eq!(
        get("/v1/organization").bearer(&token).cause(&world).await,
        Cause::UnknownCredential
    );
    assert_eq!(
        get("/v1/organization")
            .header("cookie", &format!("session={token}"))
            .status(&world)
            .await,
        401
    );
}

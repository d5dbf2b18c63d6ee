//! Keys behind a URL: fetched with care from a local server over TLS.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::{
    issuers::{Provider, gate_with},
    tls_server::{TlsServer, http_ok},
    tokens::{NOW, cause, token, with},
    world::{NOW_MS, get},
};
use crate::{
    Cause,
    authenticate::{IssuerKeys, JWKS_BYTES_MAX, Place},
};

#[tokio::test(flavor = "multi_thread")]
async fn remote_keys_are_fetched_once_and_not_too_often() {
    let provider = Provider::new();
    let server = TlsServer::start(
        provider.folder.path(),
        http_ok(&provider.jwks().to_string()),
    )
    .await;
    let world = Arc::new(gate_with(provider.config(IssuerKeys::Jwks(server.place()))).await);
    let good = provider.token(json!({"exp": NOW + 86_400 * 3}));
    let at = |token: &str, ms: i64| get("/v1/organization").bearer(token).at(NOW_MS + ms);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (world, request) = (Arc::clone(&world), at(&good, 0));
            tokio::spawn(async move { request.status(&world).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(server.requests(), 1, "one fetch for all who wait");
    // Unknown keys cause at most one fetch in thirty seconds.
    let unknown = provider.sign(
        &json!({"alg": "ES256", "kid": "new"}),
        &with(&Provider::claims(), json!({"exp": NOW + 900})),
    );
    for ms in [0, 1_000, 29_000] {
        assert_eq!(
            at(&unknown, ms).cause(&world).await,
            Cause::InvalidToken("key")
        );
    }
    assert_eq!(server.requests(), 1);
    assert_eq!(
        at(&unknown, 30_000).cause(&world).await,
        Cause::InvalidToken("key")
    );
    assert_eq!(server.requests(), 2);
    // Known ones none, until they are old.
    assert_eq!(at(&good, 60_000).status(&world).await, 200);
    assert_eq!(server.requests(), 2);
    assert_eq!(at(&good, 700_000).status(&world).await, 200);
    assert_eq!(server.requests(), 3);
    // An issuer that is down keeps its keys for a day.
    server
        .replies("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    assert_eq!(at(&good, 4_000_000).status(&world).await, 200);
    assert!(matches!(
        at(&good, 2 * 86_400_000).cause(&world).await,
        Cause::Unavailable(_)
    ));
    // A shared secret in the set is nobody's key.
    let shared = token(
        &json!({"alg": "HS256", "kid": "o"}),
        &Provider::claims(),
        &EncodingKey::from_secret(&[1; 32]),
        Algorithm::HS256,
    );
    assert_eq!(cause(&world, &shared).await, Cause::InvalidToken("key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_big_bodies_and_strangers_certificates_are_refused() {
    let provider = Provider::new();
    let good = http_ok(&provider.jwks().to_string());
    let server = TlsServer::start(provider.folder.path(), good.clone()).await;
    let target = TlsServer::start(tempfile::tempdir().unwrap().path(), good).await;
    let big = http_ok(&format!(
        "{}{}",
        provider.jwks(),
        " ".repeat(JWKS_BYTES_MAX)
    ));
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        target.url
    );
    for reply in [
        big,
        redirect,
        http_ok("{}"),
        http_ok("{\"keys\": []}"),
        "nonsense".to_owned(),
    ] {
        server.replies(reply);
        let world = gate_with(provider.config(IssuerKeys::Jwks(server.place()))).await;
        let request = get("/v1/organization").bearer(&provider.token(json!({})));
        assert!(matches!(request.cause(&world).await, Cause::Unavailable(_)));
    }
    assert_eq!(target.requests(), 0);
    // Without its authority, the server is a stranger.
    let keys = IssuerKeys::Jwks(Place {
        ca_file: Some(server.ca.clone()),
        ..Place::of(&target.url)
    });
    let world = gate_with(provider.config(keys)).await;
    let request = get("/v1/organization").bearer(&provider.token(json!({})));
    assert!(matches!(request.cause(&world).await, Cause::Unavailable(_)));
    assert_eq!(target.requests(), 0);
    // A failing issuer costs the address no failure.
    assert_eq!(
        get("/v1/organization")
            .bearer("bad")
            .refused(&world)
            .await
            .headers["x-ratelimit-remaining"],
        "99"
    );
}

//! Signing keys that change under a running server, and their public halves.

use std::{path::PathBuf, time::Duration};

use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use scopegate_host::{
    admin::Command,
    keyring::{self, NewKey},
    lock::socket_path,
};
use serde_json::{Value, json};

use crate::harness::{Actor, World};

const PATH: &str = "/api/v1/clusters/prod";
const DAY_SECS: i64 = 24 * 3600;

fn key_file(world: &World) -> PathBuf {
    world.store_path().with_file_name("keys.json")
}

/// As the command line does it.
async fn reload(world: &World) -> Result<(), String> {
    let socket = socket_path(&world.store_path());
    let reply = scopegate_server::send(&socket, &Command::KeysReload).await;
    reply
        .expect("an answer")
        .map(drop)
        .map_err(|error| error.message)
}

fn kid(actor: &Actor) -> String {
    let token = actor.credential_value().trim_start_matches("Bearer ");
    let header = jsonwebtoken::decode_header(token).expect("a header");
    header.kid.expect("a kid")
}

#[tokio::test]
async fn a_rotation_overlaps_and_ends() {
    let world = World::start("k8cost").await;
    let old = world.session("admin").await;
    let rotated = keyring::rotate(
        &key_file(&world),
        Some(NewKey::Es256),
        2 * DAY_SECS,
        world.clock.now_ms(),
    );
    let rotated = rotated.expect("a rotation");
    assert_eq!(old.get(PATH).await.status, 200);
    reload(&world).await.expect("the keys are good");
    let new = world.session("admin").await;
    assert_eq!(kid(&new), rotated.key.kid);
    assert_ne!(kid(&old), kid(&new));
    assert_eq!(
        (old.get(PATH).await.status, new.get(PATH).await.status),
        (200, 200)
    );
    // A refresh moves the old session to the new key.
    let refreshed = old.call("POST", "/auth/refresh").await.json();
    let refreshed = world.bearer(refreshed["token"].as_str().expect("a token"));
    assert_eq!(kid(&refreshed), rotated.key.kid);

    assert!(keyring::retire(&key_file(&world), &kid(&old)).expect("a file"));
    reload(&world).await.expect("the keys are good");
    let refused = old.get(PATH).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "invalid-token")
    );
    for session in [&new, &refreshed] {
        assert_eq!(session.get(PATH).await.status, 200);
    }
}

#[tokio::test]
async fn an_old_key_retires_by_itself() {
    let world = World::start("k8cost").await;
    let old = world.session("admin").await;
    let path = key_file(&world);
    keyring::rotate(&path, None, 3600, world.clock.now_ms()).expect("a rotation");
    reload(&world).await.expect("the keys are good");
    world.clock.advance(Duration::from_secs(3599));
    assert_eq!(old.get(PATH).await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(old.get(PATH).await.code(), "invalid-token");
}

/// Whoever changes the file without a word to the server is heard as well; a broken file changes nothing.
#[tokio::test]
async fn the_server_looks_at_the_file_itself() {
    let world = World::start("k8cost").await;
    let path = key_file(&world);
    let good = std::fs::read_to_string(&path).expect("the file");
    let old = world.session("admin").await;
    std::fs::write(&path, "{").expect("writable");
    let error = reload(&world).await.expect_err("broken");
    assert!(error.contains("the server keeps its keys"), "{error}");
    assert_eq!(old.get(PATH).await.status, 200);
    std::fs::write(&path, good).expect("writable");
    let rotated = keyring::rotate(&path, None, DAY_SECS, world.clock.now_ms());
    let rotated = rotated.expect("a rotation");
    for _ in 0..100 {
        if kid(&world.session("viewer").await) == rotated.key.kid {
            assert_eq!(old.get(PATH).await.status, 200);
            return;
        }
        // The account's bucket has room for twenty a minute.
        world.clock.advance(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server did not take the new key");
}

#[tokio::test]
async fn the_public_halves_verify_a_token_elsewhere() {
    let world = World::start("k8cost").await;
    let (public, management) = (world.anonymous(), Actor::new(&world.management, None));
    assert_eq!(
        public.get("/-/jwks.json").await.json(),
        json!({ "keys": [] })
    );
    let secret: Value =
        serde_json::from_str(&std::fs::read_to_string(key_file(&world)).expect("the file"))
            .expect("JSON");
    for kind in [NewKey::Es256, NewKey::EdDsa] {
        let path = key_file(&world);
        keyring::rotate(&path, Some(kind), DAY_SECS, world.clock.now_ms()).expect("a rotation");
        reload(&world).await.expect("the keys are good");
        let session = world.session("admin").await;
        for listener in [&public, &management] {
            let reply = listener.get("/-/jwks.json").await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("cache-control"), "max-age=300");
            let hmac = secret["keys"][0]["secret"].as_str().expect("a secret");
            let sealing = secret["sealing"].as_str().expect("a secret");
            assert!(!reply.body.contains(hmac) && !reply.body.contains(sealing));
            assert!(!reply.body.contains("\"d\""), "{}", reply.body);
            let set: JwkSet = serde_json::from_str(&reply.body).expect("a key set");
            let jwk = set.find(&kid(&session)).expect("the key that signed");
            let key = DecodingKey::from_jwk(jwk).expect("a key");
            let mut validation = Validation::new(kind.algorithm());
            validation.set_audience(&["k8cost"]);
            // The world's clock is not the machine's.
            validation.validate_exp = false;
            let token = session.credential_value().trim_start_matches("Bearer ");
            let read = jsonwebtoken::decode::<Value>(token, &key, &validation);
            let claims = read.expect("verified").claims;
            assert_eq!(claims["iss"], world.keyring.issuer());
        }
    }
    assert_eq!(public.call("POST", "/-/jwks.json").await.status, 405);
}

/// KubeWatch promises HS256.
#[tokio::test]
async fn a_contract_that_promises_an_algorithm_keeps_it() {
    let world = World::start("kubewatch").await;
    let old = world.session("admin").await;
    let path = key_file(&world);
    keyring::rotate(&path, Some(NewKey::EdDsa), DAY_SECS, world.clock.now_ms()).expect("written");
    let error = reload(&world).await.expect_err("not promised");
    assert!(
        error.contains("HS256") && error.contains("EdDSA"),
        "{error}"
    );
    assert_eq!(kid(&world.session("admin").await), kid(&old));
}

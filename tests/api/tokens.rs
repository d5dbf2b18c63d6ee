//! Introspection (RFC 7662), revocation (RFC 7009), and reports of secret scanners.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use scopegate_host::scanning::{PartnerKeys, Partners};
use serde_json::{Value, json};

use super::office::{made, named, office};
use crate::harness::{Actor, Options, Reply, World};

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn form(actor: &Actor, path: &str, token: &str) -> Reply {
    let request = actor
        .request("POST", path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={token}&token_type_hint=access_token"));
    actor.send(request).await
}

#[tokio::test]
async fn a_service_asks_what_a_credential_is() {
    let mut world = office("scopegate").await;
    world.add_organization("other").await;
    world
        .add_user("other", "admin@other.example", "admin", None)
        .await;
    let (admin, foreign) = (
        world.manager("admin").await,
        world.manager("admin@other.example").await,
    );
    let body = json!({ "name": "ci", "scopes": ["clusters:read", "nodes:read"] });
    let key = made(&admin, "/-/api/keys", body).await;
    let secret = text(&key["secret"]);
    let service = made(&admin, "/-/api/keys", named("service")).await;
    let service = world.manages(&world.with_key(&text(&service["secret"])));

    let told = form(&service, "/-/api/introspect", &secret).await;
    assert_eq!(
        (told.status, told.header("cache-control")),
        (200, "no-store"),
        "{}",
        told.body
    );
    let told = told.json();
    assert_eq!(told["active"], true);
    assert_eq!(told["scope"], "clusters:read nodes:read");
    assert_eq!(
        (&told["client_id"], &told["username"]),
        (&key["id"], &json!("admin@acme.example"))
    );
    assert_eq!(told["token_type"], "api-key");
    let session = admin
        .credential_value()
        .trim_start_matches("Bearer ")
        .to_owned();
    let told = form(&service, "/-/api/introspect", &session).await.json();
    assert_eq!(
        (&told["active"], &told["token_type"]),
        (&json!(true), &json!("session"))
    );
    assert!(told["exp"].is_i64() && told.get("scope").is_none());

    // Nothing is said of what is not good, nor of what is another organization's.
    let inactive = json!({ "active": false });
    for token in [
        "nonsense",
        "sg_live_000000000000000000000000000000000000",
        "eyJa.eyJb.c",
    ] {
        assert_eq!(
            form(&service, "/-/api/introspect", token).await.json(),
            inactive,
            "{token}"
        );
    }
    assert_eq!(
        form(&foreign, "/-/api/introspect", &secret).await.json(),
        inactive
    );
    assert_eq!(form(&foreign, "/-/api/revoke", &secret).await.status, 200);
    assert_eq!(
        form(&service, "/-/api/introspect", &secret).await.json()["active"],
        true
    );

    assert_eq!(form(&service, "/-/api/revoke", &secret).await.status, 200);
    assert_eq!(
        form(&service, "/-/api/introspect", &secret).await.json(),
        inactive
    );
    assert_eq!(
        world
            .with_key(&secret)
            .get("/v1/clusters/prod")
            .await
            .status,
        401
    );
    assert_eq!(form(&service, "/-/api/revoke", &session).await.status, 200);
    assert_eq!(admin.get("/-/api/me").await.status, 401);
    assert_eq!(
        form(&service, "/-/api/revoke", "nonsense").await.status,
        200
    );

    let empty = service.request("POST", "/-/api/introspect");
    let empty = empty
        .header("content-type", "application/x-www-form-urlencoded")
        .body("");
    assert_eq!(service.send(empty).await.code(), "invalid_request");
    let json = service
        .post("/-/api/introspect", json!({ "token": "x" }))
        .await;
    assert_eq!(json.status, 415);
    let nobody = world.manages(&world.anonymous());
    assert_eq!(
        form(&nobody, "/-/api/introspect", &secret).await.status,
        401
    );
    let agent = world.manages(&world.agent("prod").await);
    assert_eq!(form(&agent, "/-/api/introspect", &secret).await.status, 404);
}

/// A scanner whose key the gate has.
struct Scanner {
    pair: EcdsaKeyPair,
}

impl Scanner {
    fn new() -> (Self, Partners) {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        let der = [head.as_slice(), pair.public_key().as_ref()].concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64_STANDARD.encode(der)
        );
        let list =
            json!({ "public_keys": [{ "key_identifier": "k1", "key": pem, "is_current": true }] });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), list.to_string()).unwrap();
        let partners = Partners::new(&PartnerKeys::File(file.path().to_owned())).unwrap();
        (Self { pair }, partners)
    }

    async fn reports(&self, world: &World, signed: &str, sent: &str) -> Reply {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        let scanner = world.anonymous();
        let request = scanner
            .request("POST", "/-/secret-scanning")
            .header("content-type", "application/json")
            .header("Github-Public-Key-Identifier", "k1")
            .header(
                "Github-Public-Key-Signature",
                BASE64_STANDARD.encode(signature.as_ref()),
            )
            .body(sent.to_owned());
        scanner.send(request).await
    }
}

#[tokio::test]
async fn a_key_that_a_scanner_has_found_is_revoked() {
    let (scanner, partners) = Scanner::new();
    let world = World::with(Options {
        partners: Some(partners),
        ..Options::of("kubeadapt")
    })
    .await;
    let admin = world.manager("admin").await;
    let body = json!({ "name": "ci", "scopes": ["clusters:read"] });
    let key = made(&admin, "/-/api/keys", body).await;
    let secret = text(&key["secret"]);
    let url = "https://github.com/acme/repo/blob/1/ci.yaml";
    let report = json!([
        { "token": secret, "type": "kubeadapt_api_key", "url": url, "source": "commit" },
        { "token": "ka_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "type": "kubeadapt_api_key", "url": url, "source": "commit" },
    ])
    .to_string();
    let tampered = scanner.reports(&world, "[]", &report).await;
    assert_eq!(tampered.status, 401, "{}", tampered.body);
    assert_eq!(
        world
            .with_key(&secret)
            .get("/v1/clusters/prod")
            .await
            .status,
        200
    );

    let reply = scanner.reports(&world, &report, &report).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let labels: Vec<String> = reply
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["label"]))
        .collect();
    assert_eq!(labels, ["true_positive", "false_positive"]);
    assert!(!reply.body.contains(&secret));
    assert_eq!(
        world
            .with_key(&secret)
            .get("/v1/clusters/prod")
            .await
            .status,
        401
    );
    let again = scanner.reports(&world, &report, &report).await;
    assert_eq!(again.json()[0]["label"], "true_positive");

    let pattern = world.anonymous().get("/-/secret-scanning").await.json();
    let pattern = regex::Regex::new(pattern["patterns"][0]["regex"].as_str().unwrap()).unwrap();
    assert!(pattern.is_match(&format!("key: {secret}\n")));
}

#[tokio::test]
async fn without_partners_nobody_reports() {
    let world = office("scopegate").await;
    let reply = world
        .anonymous()
        .post("/-/secret-scanning", json!([]))
        .await;
    assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"));
    assert_eq!(
        world.anonymous().get("/-/secret-scanning").await.status,
        200
    );
}

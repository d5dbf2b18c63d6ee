//! Key files: made private, refused when weak or exposed, and never shown.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use secrecy::ExposeSecret as _;

use super::*;

fn claims(ring: &KeyRing) -> SessionClaims {
    SessionClaims {
        iss: ring.issuer().to_owned(),
        aud: "scopegate".to_owned(),
        sub: Uuid::from_u128(1),
        sid: Uuid::from_u128(2),
        org_id: Uuid::from_u128(3),
        iat: 1000,
        exp: 2000,
        auth_time: 1000,
        jti: Uuid::from_u128(4),
    }
}

fn write(path: &Path, content: &str, mode: u32) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn load(content: &Value) -> Result<KeyRing, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    write(&path, &content.to_string(), 0o600);
    KeyRing::load(&path).map_err(|error| error.to_string())
}

#[test]
fn a_new_file_is_private_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let made = KeyRing::create(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let read = KeyRing::load(&path).unwrap();
    assert_eq!(made.issuer(), read.issuer());
    assert!(read.sign(&claims(&read)).is_ok());
    assert!(
        matches!(KeyRing::create(&path), Err(KeyRingError::File { .. })),
        "an existing file is never replaced"
    );
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::create(&path).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(KeyRing::load(&path), Err(KeyRingError::Exposed { .. })),
            "{mode:o}"
        );
    }
}

#[test]
fn weak_and_broken_keys_are_refused_without_being_shown() {
    let strong = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
    let weak = BASE64_URL_SAFE_NO_PAD.encode([7; 31]);
    let one = |key: Value| json!({"issuer": "i", "keys": [key]});
    assert!(
        load(&one(
            json!({"kid": "a", "algorithm": "HS256", "secret": strong})
        ))
        .is_ok()
    );
    for (wrong, says) in [
        (
            one(json!({"kid": "a", "algorithm": "HS256", "secret": weak})),
            "shorter than 32 bytes",
        ),
        (
            one(json!({"kid": "a", "algorithm": "HS256", "secret": "+++"})),
            "base64url",
        ),
        (
            one(json!({"kid": "a", "algorithm": "HS256"})),
            "take `secret`",
        ),
        (
            one(json!({"kid": "a", "algorithm": "RS256", "secret": strong})),
            "take `private_key`",
        ),
        (
            one(json!({"kid": "a", "algorithm": "none", "secret": strong})),
            "line 1",
        ),
        (
            one(json!({"kid": "", "algorithm": "HS256", "secret": strong})),
            "empty or there twice",
        ),
        (json!({"issuer": "", "keys": []}), "issuer is empty"),
        (json!({"issuer": "i", "keys": []}), "no key that signs"),
        (
            json!({"issuer": "i", "keys": [
                {"kid": "a", "algorithm": "HS256", "secret": strong}, {"kid": "a", "algorithm": "HS256", "secret": strong}
            ]}),
            "there twice",
        ),
    ] {
        let error = load(&wrong).unwrap_err();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains(&strong) && !error.contains(&weak));
    }
}

#[test]
fn keys_of_other_algorithms_come_from_pem_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    for (name, algorithm, kind) in [
        ("ES256", Algorithm::ES256, &rcgen::PKCS_ECDSA_P256_SHA256),
        ("EdDSA", Algorithm::EdDSA, &rcgen::PKCS_ED25519),
        ("RS256", Algorithm::RS256, &rcgen::PKCS_RSA_SHA256),
    ] {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        write(
            &folder.path().join("private.pem"),
            &pair.serialize_pem(),
            0o600,
        );
        write(
            &folder.path().join("public.pem"),
            &pair.public_key_pem(),
            0o644,
        );
        let key = |field: &str, pem: &str| json!({"issuer": "i", "keys": [{"kid": "a", "algorithm": name, field: pem}]});
        write(&path, &key("private_key", "private.pem").to_string(), 0o600);
        let ring = KeyRing::load(&path).unwrap();
        let key_a = ring.verifying("a").unwrap();
        assert_eq!(key_a.algorithm, algorithm);
        let token = ring.sign(&claims(&ring)).unwrap();
        let (message, signature) = token.expose_secret().rsplit_once('.').unwrap();
        let verified =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key_a.key, algorithm);
        assert!(verified.unwrap(), "{name}");
        write(&path, &key("public_key", "public.pem").to_string(), 0o600);
        assert!(
            KeyRing::load(&path)
                .unwrap_err()
                .to_string()
                .contains("no key that signs")
        );
        write(
            &folder.path().join("private.pem"),
            &pair.serialize_pem(),
            0o644,
        );
        write(&path, &key("private_key", "private.pem").to_string(), 0o600);
        assert!(matches!(
            KeyRing::load(&path),
            Err(KeyRingError::Exposed { .. })
        ));
    }
}

#[test]
fn nothing_of_a_key_is_in_its_debug_text() {
    let ring = KeyRing::ephemeral().unwrap();
    let text = format!("{ring:?}");
    assert!(
        text.contains(ring.issuer()) && !text.contains("secret"),
        "{text}"
    );
}

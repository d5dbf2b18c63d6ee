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
        let key_a = ring.verifying("a", 0).unwrap();
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

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::create(&path).unwrap();
    (folder, path)
}

/// The seconds since the epoch of the rotations.
const NOW: i64 = 1_800_000_000;

fn kid_of(token: &SecretString) -> String {
    jsonwebtoken::decode_header(token.expose_secret())
        .unwrap()
        .kid
        .unwrap()
}

#[test]
fn a_rotation_puts_a_key_in_front_and_lets_the_old_one_retire() {
    let (folder, path) = folder();
    let first = list(&path).unwrap().remove(0);
    assert!(first.signs && first.retires_at.is_none());
    let rotated = rotate(&path, None, 3600, NOW * 1000).unwrap();
    assert_eq!(rotated.key.algorithm, Algorithm::HS256, "as before");
    assert!(!rotated.sealing_added, "new files have one");
    let ring = KeyRing::load(&path).unwrap();
    assert_eq!(kid_of(&ring.sign(&claims(&ring)).unwrap()), rotated.key.kid);
    let until = (NOW + 3600) * 1000;
    assert!(ring.verifying(&first.kid, until - 1).is_some());
    assert!(ring.verifying(&first.kid, until).is_none());
    assert!(ring.verifying(&rotated.key.kid, i64::MAX).is_some());
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    // A later rotation keeps the earlier end, and takes out what has retired.
    let second = rotate(&path, None, 86_400, (NOW + 60) * 1000).unwrap();
    let kept = list(&path).unwrap();
    let ends: Vec<_> = kept.iter().map(|key| key.retires_at).collect();
    assert_eq!(ends, [None, Some(NOW + 60 + 86_400), Some(NOW + 3600)]);
    let third = rotate(&path, None, 0, (NOW + 3600) * 1000).unwrap();
    assert_eq!(third.removed, [first.kid]);
    assert_eq!(list(&path).unwrap().len(), 3);

    assert!(retire(&path, &second.key.kid).unwrap());
    assert!(
        !retire(&path, &second.key.kid).unwrap(),
        "it is out already"
    );
    let error = retire(&path, &third.key.kid).unwrap_err().to_string();
    assert!(error.contains("rotate first"), "{error}");
    assert!(KeyRing::load(&path).is_ok());
}

#[test]
fn every_algorithm_signs_and_its_public_half_verifies_elsewhere() {
    for (kind, algorithm) in [
        (NewKey::Hs256, Algorithm::HS256),
        (NewKey::Es256, Algorithm::ES256),
        (NewKey::EdDsa, Algorithm::EdDSA),
    ] {
        let (_folder, path) = folder();
        let made = rotate(&path, Some(kind), 3600, NOW * 1000).unwrap();
        let ring = KeyRing::load(&path).unwrap();
        let token = ring.sign(&claims(&ring)).unwrap();
        assert_eq!(kid_of(&token), made.key.kid);
        let set = ring.jwks(NOW * 1000);
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(set).unwrap();
        if kind == NewKey::Hs256 {
            assert!(set.keys.is_empty(), "a shared secret is never published");
            continue;
        }
        assert_eq!(set.keys.len(), 1, "the HS256 key is not among them");
        let key = DecodingKey::from_jwk(set.find(&made.key.kid).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(algorithm);
        validation.set_audience(&["scopegate"]);
        validation.validate_exp = false;
        let read = jsonwebtoken::decode::<SessionClaims>(token.expose_secret(), &key, &validation);
        assert_eq!(read.unwrap().claims, claims(&ring), "{algorithm:?}");
        let json = &ring.jwks(NOW * 1000)["keys"][0];
        assert_eq!(
            (json["use"].as_str(), json["d"].as_str()),
            (Some("sig"), None)
        );
        assert_eq!(json["alg"], format!("{algorithm:?}"));
    }
}

#[test]
fn an_old_file_gets_its_sealing_secret_by_a_rotation() {
    let (_folder, path) = folder();
    let mut content: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    content.as_object_mut().unwrap().remove("sealing");
    write(&path, &content.to_string(), 0o600);
    assert!(KeyRing::load(&path).unwrap().sealing().is_none());
    assert!(rotate(&path, None, 0, NOW * 1000).unwrap().sealing_added);
    assert!(KeyRing::load(&path).unwrap().sealing().is_some());
    let sealing = std::fs::read_to_string(&path).unwrap();
    assert!(!rotate(&path, None, 0, NOW * 1000).unwrap().sealing_added);
    let secret = |text: &str| serde_json::from_str::<Value>(text).unwrap()["sealing"].clone();
    let now = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        secret(&sealing),
        secret(&now),
        "what it sealed is lost without it"
    );
    content["sealing"] = json!("c2hvcnQ");
    write(&path, &content.to_string(), 0o600);
    let error = KeyRing::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("`sealing`") && !error.contains("c2hvcnQ"),
        "{error}"
    );
}

#[test]
fn two_rotations_at_once_do_not_undo_each_other() {
    let (folder, path) = folder();
    let before = std::fs::read(&path).unwrap();
    write(&folder.path().join("keys.json.new"), "", 0o600);
    let error = rotate(&path, None, 0, NOW * 1000).unwrap_err().to_string();
    assert!(error.contains("being changed"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(folder.path().join("keys.json.new")).unwrap();
    // A link stays one.
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    rotate(&link, None, 0, NOW * 1000).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_ne!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
    let (_folder, path) = folder();
    let keys = Keys::open(&path, Some(Algorithm::HS256)).unwrap();
    let signs = |keys: &Keys| kid_of(&keys.current().sign(&claims(&keys.current())).unwrap());
    let first = signs(&keys);
    assert!(!keys.reload_if_changed().unwrap());
    let second = rotate(&path, None, 60, NOW * 1000).unwrap().key.kid;
    assert_eq!(signs(&keys), first);
    assert!(keys.reload_if_changed().unwrap());
    assert_eq!(signs(&keys), second);
    let good = std::fs::read_to_string(&path).unwrap();
    write(&path, "{", 0o600);
    keys.reload_if_changed().unwrap_err();
    assert!(!keys.reload_if_changed().unwrap(), "told once");
    keys.reload().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    keys.reload_if_changed().unwrap_err();
    assert_eq!(signs(&keys), second, "the old ring stays");
    write(&path, &good, 0o600);
    assert!(keys.reload_if_changed().unwrap());
    // KubeWatch promises HS256.
    rotate(&path, Some(NewKey::Es256), 60, NOW * 1000).unwrap();
    let error = keys.reload_if_changed().unwrap_err().to_string();
    assert!(
        error.contains("ES256") && error.contains("HS256"),
        "{error}"
    );
    assert_eq!(signs(&keys), second);
    Keys::open(&path, Some(Algorithm::HS256)).unwrap_err();
}

#[test]
fn what_is_sealed_for_one_user_opens_for_no_other() {
    let ring = KeyRing::ephemeral().unwrap();
    let sealing = ring.sealing().unwrap();
    let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let sealed = sealing.seal(ada, b"secret").unwrap();
    assert_ne!(
        sealed,
        sealing.seal(ada, b"secret").unwrap(),
        "a nonce each"
    );
    assert_eq!(&sealing.open(ada, &sealed).unwrap()[..], b"secret");
    sealing.open(bob, &sealed).unwrap_err();
    let other = KeyRing::ephemeral().unwrap();
    other.sealing().unwrap().open(ada, &sealed).unwrap_err();
    assert_eq!(format!("{sealed:?} {sealing:?}"), "Sealed(..) Sealing(..)");
}

//! External issuers: bound to their keys, algorithms and organization.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    tokens::{NOW, cause, token, with},
    world::{World, get},
};
use crate::{
    Cause,
    authenticate::{IssuerConfig, IssuerKey, IssuerKeys, Issuers, Place},
};

/// An issuer whose private key the test has.
pub(super) struct Provider {
    pair: rcgen::KeyPair,
    pub(super) folder: tempfile::TempDir,
}

impl Provider {
    pub(super) fn new() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("public.pem"), pair.public_key_pem()).unwrap();
        Self { pair, folder }
    }

    fn pem(&self) -> PathBuf {
        self.folder.path().join("public.pem")
    }

    pub(super) fn config(&self, keys: IssuerKeys) -> IssuerConfig {
        IssuerConfig {
            issuer: "https://id.example.com".into(),
            organization: Uuid::nil(),
            audiences: vec!["costs".into()],
            algorithms: vec![Algorithm::ES256],
            keys,
            leeway_secs: 5,
            roles_claim: Some("groups".into()),
            roles: BTreeMap::from([
                ("platform".into(), "admin".into()),
                ("staff".into(), "viewer".into()),
            ]),
            clusters_claim: None,
        }
    }

    pub(super) fn fixed(&self) -> IssuerKeys {
        IssuerKeys::Fixed(vec![IssuerKey {
            kid: Some("e".into()),
            algorithm: Algorithm::ES256,
            public_key: self.pem(),
        }])
    }

    pub(super) fn claims() -> Value {
        json!({"iss": "https://id.example.com", "aud": ["costs", "x"], "sub": "ada", "exp": NOW + 60,
            "groups": ["platform", "unmapped"], "jti": "1"})
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let key = EncodingKey::from_ec_pem(self.pair.serialize_pem().as_bytes()).unwrap();
        token(header, claims, &key, Algorithm::ES256)
    }

    pub(super) fn token(&self, changes: Value) -> String {
        self.sign(
            &json!({"alg": "ES256", "kid": "e"}),
            &with(&Self::claims(), changes),
        )
    }

    pub(super) fn jwks(&self) -> Value {
        let raw = self.pair.public_key_raw();
        let part = |range: std::ops::Range<usize>| BASE64_URL_SAFE_NO_PAD.encode(&raw[range]);
        json!({"keys": [
            {"kty": "oct", "kid": "o", "k": BASE64_URL_SAFE_NO_PAD.encode([1; 32])},
            {"kty": "EC", "crv": "P-256", "kid": "e", "use": "sig", "alg": "ES256", "x": part(1..33), "y": part(33..65)},
            {"kty": "future", "kid": "f"}
        ]})
    }
}

/// A gate that knows this issuer, bound to the fixture's organization.
pub(super) async fn gate_with(mut config: IssuerConfig) -> World {
    World::within("scopegate", |parts, organization| {
        config.organization = organization;
        parts.issuers = Issuers::new(vec![config]).unwrap();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_issuer_is_bound_to_its_keys_and_organization() {
    let provider = Provider::new();
    let world = gate_with(provider.config(provider.fixed())).await;
    let admission = get("/v1/organization")
        .bearer(&provider.token(json!({})))
        .admitted(&world)
        .await;
    let principal = admission.principal.unwrap();
    assert_eq!(principal.caller.roles, ["admin"]);
    assert_eq!(principal.caller.subject, "https://id.example.com#ada");
    assert_eq!(principal.organization, world.fixture.organization);
    assert_eq!(principal.name, "ada");
    // Its leeway is configured, and what is let in by it may also finish.
    let late = get("/v1/organization")
        .bearer(&provider.token(json!({"exp": NOW - 4})))
        .admitted(&world)
        .await;
    assert_eq!(late.expires_at, Some(NOW + 1));
    assert_eq!(late.principal.unwrap().expires_at, Some(NOW + 1));
    let public = std::fs::read(provider.pem()).unwrap();
    let confused = token(
        &json!({"alg": "HS256", "kid": "e"}),
        &Provider::claims(),
        &EncodingKey::from_secret(&public),
        Algorithm::HS256,
    );
    let own_issuer = provider.token(json!({"iss": world.keyring().issuer()}));
    let invalid = Cause::InvalidToken;
    for (token, expected) in [
        (confused, invalid("algorithm")),
        (own_issuer, invalid("key")),
        (
            provider.sign(&json!({"alg": "ES256", "kid": "o"}), &Provider::claims()),
            invalid("key"),
        ),
        (Provider::new().token(json!({})), invalid("signature")),
        (
            provider.token(json!({"iss": "https://evil.example.com"})),
            invalid("issuer"),
        ),
        (provider.token(json!({"aud": "other"})), invalid("audience")),
        (provider.token(json!({"sub": null})), invalid("subject")),
        (provider.token(json!({"sub": ""})), invalid("subject")),
        (provider.token(json!({"exp": NOW - 5})), Cause::TokenExpired),
        (
            provider.token(json!({"nbf": NOW + 6})),
            Cause::UnknownCredential,
        ),
        (
            provider.token(json!({"org_id": Uuid::new_v4()})),
            Cause::UnknownCredential,
        ),
    ] {
        assert_eq!(cause(&world, &token).await, expected);
    }
    // What the mapping does not name grants nothing.
    let nobody = provider.token(json!({"groups": ["admin", "*"]}));
    assert_eq!(
        get("/v1/organization").bearer(&nobody).status(&world).await,
        403
    );
    // However many tokens, one subject has one bucket.
    for n in 0..120 {
        let token = provider.token(json!({"jti": n.to_string()}));
        get("/v1/organization").bearer(&token).on(&world).await;
    }
    assert_eq!(
        get("/v1/organization")
            .bearer(&provider.token(json!({"jti": "x"})))
            .status(&world)
            .await,
        429
    );
}

#[test]
fn a_careless_issuer_is_not_configured() {
    let provider = Provider::new();
    let jwks = |url: &str| IssuerKeys::Jwks(Place::of(url));
    let refused = |config: IssuerConfig| match Issuers::new(vec![config]) {
        Ok(_) => panic!("accepted"),
        Err(problems) => problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; "),
    };
    let good = || provider.config(provider.fixed());
    for (config, says) in [
        (
            IssuerConfig {
                algorithms: vec![Algorithm::HS256],
                ..good()
            },
            "shared secret",
        ),
        (
            IssuerConfig {
                algorithms: vec![],
                ..good()
            },
            "at least one algorithm",
        ),
        (
            IssuerConfig {
                audiences: vec![],
                ..good()
            },
            "at least one audience",
        ),
        (
            IssuerConfig {
                leeway_secs: 3600,
                ..good()
            },
            "at most 300",
        ),
        (
            IssuerConfig {
                roles_claim: None,
                ..good()
            },
            "needs `roles_claim`",
        ),
        (provider.config(jwks("http://id.example.com/jwks")), "https"),
        (provider.config(jwks("file:///etc/passwd")), "https"),
        (
            provider.config(jwks("https://u:p@id.example.com/")),
            "without a user",
        ),
        (provider.config(jwks("nonsense")), "not a URL"),
        (provider.config(IssuerKeys::Fixed(vec![])), "no keys"),
    ] {
        let text = refused(config);
        assert!(text.contains(says), "{text}");
    }
    assert!(Issuers::new(vec![good(), good()]).is_err());
}

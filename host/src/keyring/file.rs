//! The key file: what is in it, how its keys are read, and who may read it.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{EllipticCurve, Jwk},
};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::{Deserialize, Serialize};

use super::{KeyRingError, public_pem};
use crate::private_file::{self, ReadError};

/// Shortest secret of an HMAC key, in bytes (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    pub(super) issuer: String,
    pub(super) keys: Vec<KeyEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    /// HMAC: the secret, base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    /// Others: a PEM file (PKCS #8) beside the key file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private_key: Option<PathBuf>,
    /// Others, to verify only: a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<PathBuf>,
}

/// A secret as the file has it, wiped when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Secret(String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl KeyEntry {
    pub(super) fn read(
        &self,
        file: &Path,
    ) -> Result<(Option<EncodingKey>, DecodingKey), KeyRingError> {
        let wrong = |what: &str| malformed(file, format!("key `{}`: {what}", self.kid));
        let beside = |pem: &Path| file.parent().unwrap_or(Path::new("")).join(pem);
        match (
            self.algorithm,
            &self.secret,
            &self.private_key,
            &self.public_key,
        ) {
            (Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512, Some(secret), None, None) => {
                let secret = BASE64_URL_SAFE_NO_PAD
                    .decode(secret.0.as_bytes())
                    .map(Zeroizing::new)
                    .map_err(|_| wrong("the secret is not base64url without padding"))?;
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(wrong("the secret is shorter than 32 bytes"));
                }
                Ok((
                    Some(EncodingKey::from_secret(&secret)),
                    DecodingKey::from_secret(&secret),
                ))
            }
            (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA, None, Some(pem), None) => {
                let pem = read_private(&beside(pem))?;
                let key = private_pem(self.algorithm, pem.as_bytes()).map_err(|_| {
                    wrong("the private key is not a PEM of its algorithm (PKCS #8)")
                })?;
                let public = public_half(self.algorithm, &key)
                    .map_err(|_| wrong("the private key does not fit its algorithm"))?;
                Ok((Some(key), public))
            }
            (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA, None, None, Some(pem)) => {
                let path = beside(pem);
                let pem =
                    std::fs::read(&path).map_err(|error| KeyRingError::File { path, error })?;
                let key = public_pem(self.algorithm, &pem)
                    .map_err(|_| wrong("the public key is not a PEM of its algorithm"))?;
                Ok((None, key))
            }
            _ => Err(wrong(
                "HS256, HS384 and HS512 take `secret`; RS256, ES256 and EdDSA take `private_key` or `public_key`",
            )),
        }
    }
}

fn private_pem(algorithm: Algorithm, pem: &[u8]) -> jsonwebtoken::errors::Result<EncodingKey> {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    }
}

fn public_half(
    algorithm: Algorithm,
    key: &EncodingKey,
) -> jsonwebtoken::errors::Result<DecodingKey> {
    if algorithm == Algorithm::EdDSA {
        // `Jwk` knows only the first version of PKCS #8, which lacks the public half that others carry.
        let utilities = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.key_utils;
        let public = (utilities.ed_pub_components_from_private_key)(
            key.as_bytes(),
            &EllipticCurve::Ed25519,
        )?;
        return Ok(DecodingKey::from_ed_der(&public));
    }
    DecodingKey::from_jwk(&Jwk::from_encoding_key(key, algorithm)?)
}

pub(super) fn malformed(path: &Path, what: impl Into<String>) -> KeyRingError {
    KeyRingError::Malformed {
        path: path.to_owned(),
        what: what.into(),
    }
}

/// What is wrong with JSON, without showing any of it: the text around the place may be a secret.
pub(super) fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Io => "it cannot be read",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data => {
            "it is not `issuer` and a list of `keys` with `kid` and `algorithm`"
        }
        serde_json::error::Category::Eof => "it ends too early",
    }
}

/// Reads a file that only its owner may read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyRingError> {
    private_file::read(path).map_err(|error| {
        let path = path.to_owned();
        match error {
            ReadError::File(error) => KeyRingError::File { path, error },
            ReadError::Exposed(mode) => KeyRingError::Exposed { path, mode },
        }
    })
}

pub(super) fn new_file() -> Result<KeyFile, KeyRingError> {
    let random = SystemRandom::new();
    let fill = |bytes: &mut [u8]| random.fill(bytes).map_err(|_| KeyRingError::NoRandomness);
    let mut secret = Zeroizing::new([0; SECRET_BYTES_MIN]);
    let mut names = [0; 16];
    fill(secret.as_mut())?;
    fill(&mut names)?;
    let (issuer, kid) = names.split_at(8);
    Ok(KeyFile {
        issuer: format!("scopegate-{}", hex::encode(issuer)),
        keys: vec![KeyEntry {
            kid: hex::encode(kid),
            algorithm: Algorithm::HS256,
            secret: Some(Secret(BASE64_URL_SAFE_NO_PAD.encode(secret.as_ref()))),
            private_key: None,
            public_key: None,
        }],
    })
}

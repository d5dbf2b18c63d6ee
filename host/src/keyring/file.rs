//! The key file: what is in it, how its keys are read, and who may read it.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{EllipticCurve, Jwk},
};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::{Deserialize, Serialize};

use super::{
    KeyRingError, NewKey, is_shared_secret, public_pem,
    sealing::{SEALING_BYTES, Sealing},
};
use crate::private_file::{self, ReadError};

/// Shortest secret of an HMAC key, in bytes (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    pub(super) issuer: String,
    /// Seals second factors: 32 bytes, base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealing: Option<Secret>,
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
    /// The same, in the key file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private_pem: Option<Secret>,
    /// Others, to verify only: a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<PathBuf>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Timestamp>,
    /// From when on it verifies nothing. It signs nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retires_at: Option<Timestamp>,
}

/// A secret as the file has it, wiped when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(String);

impl Secret {
    fn random<const BYTES: usize>() -> Result<Self, KeyRingError> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        SystemRandom::new()
            .fill(bytes.as_mut_slice())
            .map_err(|_| KeyRingError::NoRandomness)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(self.0.as_bytes());
        bytes.ok().map(Zeroizing::new)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl KeyFile {
    /// The secret that seals second factors.
    pub(super) fn sealing(&self, file: &Path) -> Result<Option<Sealing>, KeyRingError> {
        let Some(secret) = &self.sealing else {
            return Ok(None);
        };
        let sealing = secret.bytes().and_then(|bytes| Sealing::new(&bytes));
        match sealing {
            Some(sealing) => Ok(Some(sealing)),
            None => Err(malformed(
                file,
                "`sealing` is not 32 bytes in base64url without padding",
            )),
        }
    }

    /// Adds a sealing secret where there is none; tells whether it did. One that is there stays for ever: what it has
    /// sealed is lost without it.
    pub(super) fn add_sealing(&mut self) -> Result<bool, KeyRingError> {
        if self.sealing.is_some() {
            return Ok(false);
        }
        self.sealing = Some(Secret::random::<SEALING_BYTES>()?);
        Ok(true)
    }
}

impl KeyEntry {
    /// A key that was never anywhere.
    pub(super) fn new(kind: NewKey, now: Option<Timestamp>) -> Result<Self, KeyRingError> {
        let mut kid = [0; 8];
        SystemRandom::new()
            .fill(&mut kid)
            .map_err(|_| KeyRingError::NoRandomness)?;
        let (secret, private_pem) = match kind {
            NewKey::Hs256 => (Some(Secret::random::<SECRET_BYTES_MIN>()?), None),
            NewKey::Es256 | NewKey::EdDsa => (None, Some(new_pem(kind)?)),
        };
        Ok(Self {
            kid: hex::encode(kid),
            algorithm: kind.algorithm(),
            secret,
            private_key: None,
            private_pem,
            public_key: None,
            created_at: now,
            retires_at: None,
        })
    }

    /// Whether it can sign, apart from being about to retire.
    pub(super) fn can_sign(&self) -> bool {
        self.public_key.is_none()
    }

    pub(super) fn read(
        &self,
        file: &Path,
    ) -> Result<(Option<EncodingKey>, DecodingKey), KeyRingError> {
        let wrong = |what: &str| malformed(file, format!("key `{}`: {what}", self.kid));
        let beside = |pem: &Path| file.parent().unwrap_or(Path::new("")).join(pem);
        let of_private = |pem: &str| {
            let key = private_pem(self.algorithm, pem.as_bytes())
                .map_err(|_| wrong("the private key is not a PEM of its algorithm (PKCS #8)"))?;
            let public = public_half(self.algorithm, &key)
                .map_err(|_| wrong("the private key does not fit its algorithm"))?;
            Ok((Some(key), public))
        };
        let asymmetric = matches!(
            self.algorithm,
            Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA
        );
        match (
            &self.secret,
            &self.private_key,
            &self.private_pem,
            &self.public_key,
        ) {
            (Some(secret), None, None, None) if is_shared_secret(self.algorithm) => {
                let secret = secret
                    .bytes()
                    .ok_or_else(|| wrong("the secret is not base64url without padding"))?;
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(wrong("the secret is shorter than 32 bytes"));
                }
                Ok((
                    Some(EncodingKey::from_secret(&secret)),
                    DecodingKey::from_secret(&secret),
                ))
            }
            (None, Some(pem), None, None) if asymmetric => of_private(&read_private(&beside(pem))?),
            (None, None, Some(pem), None) if asymmetric => of_private(&pem.0),
            (None, None, None, Some(pem)) if asymmetric => {
                let path = beside(pem);
                let pem =
                    std::fs::read(&path).map_err(|error| KeyRingError::File { path, error })?;
                let key = public_pem(self.algorithm, &pem)
                    .map_err(|_| wrong("the public key is not a PEM of its algorithm"))?;
                Ok((None, key))
            }
            _ => Err(wrong(
                "HS256, HS384 and HS512 take `secret`; RS256, ES256 and EdDSA take `private_key`, `private_pem` or `public_key`",
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

/// Reads a key file, but not yet the keys in it.
pub(super) fn read_file(path: &Path) -> Result<KeyFile, KeyRingError> {
    let text = read_private(path)?;
    serde_json::from_str(&text)
        .map_err(|error| malformed(path, format!("line {}: {}", error.line(), category(&error))))
}

/// Writes a key file; it is on disk when this returns.
pub(super) fn write(file: &mut File, content: &KeyFile) -> io::Result<()> {
    let text = Zeroizing::new(serde_json::to_string_pretty(content)?);
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

pub(super) fn new_file() -> Result<KeyFile, KeyRingError> {
    let mut issuer = [0; 8];
    SystemRandom::new()
        .fill(&mut issuer)
        .map_err(|_| KeyRingError::NoRandomness)?;
    Ok(KeyFile {
        issuer: format!("scopegate-{}", hex::encode(issuer)),
        sealing: Some(Secret::random::<SEALING_BYTES>()?),
        keys: vec![KeyEntry::new(NewKey::Hs256, None)?],
    })
}

/// A new private key, PKCS #8 in PEM (RFC 7468).
fn new_pem(kind: NewKey) -> Result<Secret, KeyRingError> {
    let random = SystemRandom::new();
    let made = match kind {
        NewKey::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
        _ => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
    };
    let der = made.map_err(|_| KeyRingError::NoRandomness)?;
    let pem = private_file::pem("PRIVATE KEY", der.as_ref());
    Ok(Secret(pem.as_str().to_owned()))
}

//! The keys that sign and verify this gate's own session tokens (JWT, RFC 7519).
//!
//! A key ring is a JSON file that only its owner can read: the issuer's name and a list of keys, each with a `kid`. The
//! first key that can sign and is not to retire does; all of them verify until they retire, so that a key is changed by
//! putting a new one in front and letting the old one retire when its last token has expired. Each key is bound to one
//! algorithm. Beside them stands the secret that seals second factors, which is never changed.

mod file;
mod keys;
mod rotate;
mod sealing;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Once,
};

use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use file::{KeyFile, malformed, new_file, read_file, write};

use crate::private_file;

pub use keys::Keys;
pub use rotate::{KeyView, NewKey, Rotated, list, retire, rotate};
pub use sealing::Sealing;
pub(crate) use sealing::{DerivedKey, TAG_BYTES};

/// Why there is no key ring. Each says which file, and never shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The file cannot be read or written.
    #[error("cannot use the key file `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Others than the owner can read the file.
    #[error("the key file `{}` can be read by others (mode {mode:o}); it must be 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file's content is wrong.
    #[error("the key file `{}` is not usable: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key")]
    NoRandomness,
    /// The key cannot sign.
    #[error("the signing key `{kid}` does not work: {what}")]
    Signing {
        /// Which key.
        kid: String,
        /// What the library says.
        what: String,
    },
}

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    /// The issuer: [`KeyRing::issuer`].
    pub iss: String,
    /// The audience: the contract's name.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The session, which stays when the token is refreshed.
    pub sid: Uuid,
    /// The user's organization.
    pub org_id: Uuid,
    /// When the token was made, in seconds since the epoch.
    pub iat: i64,
    /// The first second at which it is no longer good.
    pub exp: i64,
    /// When the user signed in.
    pub auth_time: i64,
    /// This token, and no other.
    pub jti: Uuid,
}

/// A key that verifies, bound to its name and its one algorithm.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    /// Its name; external issuers with one key may leave it out.
    pub kid: Option<String>,
    /// The only algorithm that it verifies.
    pub algorithm: Algorithm,
    /// The key.
    pub key: DecodingKey,
}

/// The gate's own keys.
pub struct KeyRing {
    issuer: String,
    signing: SigningKey,
    verifying: Vec<OwnKey>,
    sealing: Option<Sealing>,
}

struct OwnKey {
    key: VerifyingKey,
    /// From when on it verifies nothing, in milliseconds since the epoch.
    retires_at_ms: Option<i64>,
}

struct SigningKey {
    header: Header,
    kid: String,
    key: EncodingKey,
}

/// Chooses the cryptography behind tokens and behind TLS, once for the process.
pub fn install_cryptography() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Who embeds the gate may have chosen before; then theirs stays.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl KeyRing {
    /// A ring with one new HS256 key that is nowhere else: its tokens end with the process.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn ephemeral() -> Result<Self, KeyRingError> {
        Self::from_file(new_file()?, Path::new("(in memory)"))
    }

    /// Writes a new key file with one HS256 key of 256 bits, a sealing secret, and mode 600.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyRingError> {
        let content = new_file()?;
        private_file::create(path)
            .and_then(|mut file| write(&mut file, &content))
            .map_err(|error| KeyRingError::File {
                path: path.to_owned(),
                error,
            })?;
        Self::from_file(content, path)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it cannot be read, when others can read it, or when a key in it is weak, broken or named twice.
    pub fn load(path: &Path) -> Result<Self, KeyRingError> {
        Self::from_file(read_file(path)?, path)
    }

    /// Who the tokens say they are from.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs a session token.
    ///
    /// # Errors
    /// When the key does not work for its algorithm.
    pub fn sign(&self, claims: &SessionClaims) -> Result<SecretString, KeyRingError> {
        let SigningKey { header, kid, key } = &self.signing;
        jsonwebtoken::encode(header, claims, key)
            .map(SecretString::from)
            .map_err(|error| KeyRingError::Signing {
                kid: kid.clone(),
                what: error.to_string(),
            })
    }

    /// The key of this name, unless it has retired.
    pub fn verifying(&self, kid: &str, now_ms: i64) -> Option<&VerifyingKey> {
        self.in_force(now_ms)
            .find(|key| key.kid.as_deref() == Some(kid))
    }

    /// The public halves of the keys that verify now, as a JWK Set (RFC 7517). Shared secrets have none.
    pub fn jwks(&self, now_ms: i64) -> serde_json::Value {
        let public = self
            .in_force(now_ms)
            .filter(|key| !is_shared_secret(key.algorithm));
        let keys: Vec<Jwk> = public
            .filter_map(|key| {
                let mut jwk = Jwk::from_decoding_key(&key.key, Some(key.algorithm)).ok()?;
                jwk.common.key_id.clone_from(&key.kid);
                jwk.common.public_key_use = Some(PublicKeyUse::Signature);
                Some(jwk)
            })
            .collect();
        serde_json::json!({ "keys": keys })
    }

    /// What seals second factors, and what keys for other uses are derived from; files of older versions have none.
    pub fn sealing(&self) -> Option<&Sealing> {
        self.sealing.as_ref()
    }

    fn in_force(&self, now_ms: i64) -> impl Iterator<Item = &VerifyingKey> {
        self.verifying
            .iter()
            .filter(move |own| own.retires_at_ms.is_none_or(|at| now_ms < at))
            .map(|own| &own.key)
    }

    fn from_file(content: KeyFile, path: &Path) -> Result<Self, KeyRingError> {
        install_cryptography();
        if content.issuer.is_empty() {
            return Err(malformed(path, "the issuer is empty"));
        }
        let sealing = content.sealing(path)?;
        let mut signing = None;
        let mut verifying: Vec<OwnKey> = Vec::new();
        for entry in content.keys {
            if entry.kid.is_empty()
                || verifying
                    .iter()
                    .any(|own| own.key.kid.as_ref() == Some(&entry.kid))
            {
                return Err(malformed(
                    path,
                    format!("the kid `{}` is empty or there twice", entry.kid),
                ));
            }
            let (key, public) = entry.read(path)?;
            verifying.push(OwnKey {
                key: VerifyingKey {
                    kid: Some(entry.kid.clone()),
                    algorithm: entry.algorithm,
                    key: public,
                },
                retires_at_ms: entry.retires_at.map(Timestamp::as_millisecond),
            });
            // What it signed last must not outlive it.
            if entry.retires_at.is_some() {
                continue;
            }
            if let (None, Some(key)) = (&signing, key) {
                let header = Header {
                    kid: Some(entry.kid.clone()),
                    ..Header::new(entry.algorithm)
                };
                signing = Some(SigningKey {
                    header,
                    kid: entry.kid,
                    key,
                });
            }
        }
        let signing = signing.ok_or_else(|| malformed(path, "it has no key that signs"))?;
        Ok(Self {
            issuer: content.issuer,
            signing,
            verifying,
            sealing,
        })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kids: Vec<_> = self
            .verifying
            .iter()
            .filter_map(|own| own.key.kid.as_deref())
            .collect();
        f.debug_struct("KeyRing")
            .field("issuer", &self.issuer)
            .field("kids", &kids)
            .finish_non_exhaustive()
    }
}

/// Whether who verifies with this algorithm could sign as well.
fn is_shared_secret(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

/// A public key in PEM, for the family of its algorithm.
pub(crate) fn public_pem(
    algorithm: Algorithm,
    pem: &[u8],
) -> jsonwebtoken::errors::Result<DecodingKey> {
    install_cryptography();
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            Err(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into())
        }
        _ => DecodingKey::from_rsa_pem(pem),
    }
}

#[cfg(test)]
mod tests;

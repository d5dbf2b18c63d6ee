//! The key that signs the audit's heads: Ed25519 (RFC 8032), in a file of its own, outside the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::{Deserialize, Serialize};

use crate::{
    ed25519::{self, NoRandomness, PUBLIC_BYTES, SigningKey, id_of},
    private_file::{self, ReadError},
};

/// Why a key cannot be used. Never shows what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// The file cannot be read or written.
    #[error("cannot use the audit key `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Others than the owner can read a private key.
    #[error("the audit key `{}` can be read by others (mode {mode:o}); it must be 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not such a key.
    #[error("the audit key `{}` is not usable: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key")]
    NoRandomness,
}

/// A key that signs.
pub struct AuditKey {
    id: String,
    key: SigningKey,
}

/// The half that verifies, which is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditPublicKey {
    /// The first eight bytes of the SHA-256 of the key, in hex.
    pub key_id: String,
    /// The 32 bytes of the key, in base64.
    #[serde(serialize_with = "as_base64")]
    pub public_key: Vec<u8>,
}

/// Both kinds of file: one has `private_key` (PKCS #8 in base64), the other `public_key`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    key_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.private_key.zeroize();
    }
}

impl AuditKey {
    /// A key that is nowhere else.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn ephemeral() -> Result<Self, AuditKeyError> {
        Ok(new_key()?.0)
    }

    /// Writes a new key to a new file with mode 600.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, AuditKeyError> {
        let (key, pkcs8) = new_key()?;
        let content = KeyFile {
            key_id: key.id.clone(),
            private_key: Some(BASE64_STANDARD.encode(&*pkcs8)),
            public_key: None,
        };
        let failed = |error: io::Error| AuditKeyError::File {
            path: path.to_owned(),
            error,
        };
        let text = serde_json::to_string_pretty(&content).map_err(|error| failed(error.into()))?;
        let text = Zeroizing::new(text);
        private_file::write_new(path, &text).map_err(failed)?;
        Ok(key)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it cannot be read, when others can read it, or when it holds no private key.
    pub fn load(path: &Path) -> Result<Self, AuditKeyError> {
        let text = private_file::read(path).map_err(|error| unread(path, error))?;
        let file = parse(path, &text)?;
        let Some(private) = &file.private_key else {
            return Err(malformed(path, "it has no `private_key`"));
        };
        let key = BASE64_STANDARD
            .decode(private)
            .map(Zeroizing::new)
            .ok()
            .and_then(|pkcs8| Self::from_pkcs8(&pkcs8))
            .ok_or_else(|| {
                malformed(path, "the private key is not Ed25519 in PKCS #8, in base64")
            })?;
        if key.id != file.key_id {
            return Err(malformed(path, "`key_id` is not that of the key"));
        }
        Ok(key)
    }

    /// The half that verifies.
    pub fn public(&self) -> AuditPublicKey {
        AuditPublicKey {
            key_id: self.id.clone(),
            public_key: self.key.public().to_vec(),
        }
    }

    /// The key's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }

    fn of(key: SigningKey) -> Self {
        Self {
            id: id_of(&key.public()),
            key,
        }
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        SigningKey::from_pkcs8(pkcs8).map(Self::of)
    }
}

impl AuditPublicKey {
    /// Reads the public half from either kind of file; one with a private key must be readable by its owner alone.
    ///
    /// # Errors
    /// When the file cannot be read or holds no such key.
    pub fn load(path: &Path) -> Result<Self, AuditKeyError> {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| AuditKeyError::File {
                path: path.to_owned(),
                error,
            })?;
        let file = parse(path, &text)?;
        if file.private_key.is_some() {
            return AuditKey::load(path).map(|key| key.public());
        }
        let key = file
            .public_key
            .as_ref()
            .and_then(|key| BASE64_STANDARD.decode(key).ok())
            .filter(|key| key.len() == PUBLIC_BYTES)
            .ok_or_else(|| malformed(path, "it has no `public_key` of 32 bytes in base64"))?;
        if id_of(&key) != file.key_id {
            return Err(malformed(path, "`key_id` is not that of the key"));
        }
        Ok(Self {
            key_id: file.key_id.clone(),
            public_key: key,
        })
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519::verifies(&self.public_key, message, signature)
    }
}

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn new_key() -> Result<(AuditKey, Zeroizing<Vec<u8>>), AuditKeyError> {
    let (key, pkcs8) =
        SigningKey::generate().map_err(|NoRandomness| AuditKeyError::NoRandomness)?;
    Ok((AuditKey::of(key), pkcs8))
}

fn parse(path: &Path, text: &str) -> Result<KeyFile, AuditKeyError> {
    // Without what the parser says: it may show what is around the place.
    serde_json::from_str(text).map_err(|_| {
        malformed(
            path,
            "it is not `key_id` with `private_key` or `public_key`, as JSON",
        )
    })
}

fn malformed(path: &Path, what: &'static str) -> AuditKeyError {
    AuditKeyError::Malformed {
        path: path.to_owned(),
        what,
    }
}

fn unread(path: &Path, error: ReadError) -> AuditKeyError {
    let path = path.to_owned();
    match error {
        ReadError::File(error) => AuditKeyError::File { path, error },
        ReadError::Exposed(mode) => AuditKeyError::Exposed { path, mode },
    }
}

fn as_base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_key_is_read_back_and_its_public_half_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit-key.json");
        let key = AuditKey::create(&path).unwrap();
        assert!(AuditKey::create(&path).is_err());
        assert_eq!(AuditKey::load(&path).unwrap().id(), key.id());
        let signature = key.sign(b"head");
        let public = folder.path().join("public.json");
        fs::write(&public, serde_json::to_string(&key.public()).unwrap()).unwrap();
        for path in [&path, &public] {
            let public = AuditPublicKey::load(path).unwrap();
            assert!(public.verifies(b"head", &signature));
            assert!(!public.verifies(b"heads", &signature));
        }
        // The public half cannot sign.
        assert!(matches!(
            AuditKey::load(&public),
            Err(AuditKeyError::Exposed { .. })
        ));
        fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            AuditKey::load(&public),
            Err(AuditKeyError::Malformed { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        for error in [
            AuditKey::load(&path).err(),
            AuditPublicKey::load(&path).err(),
        ] {
            assert!(matches!(
                error,
                Some(AuditKeyError::Exposed { mode: 0o640, .. })
            ));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit-key.json");
        let other = AuditKey::ephemeral().unwrap().public();
        let wrong_id = format!(
            r#"{{"key_id":"0000","public_key":"{}"}}"#,
            BASE64_STANDARD.encode(&other.public_key)
        );
        for text in [
            "hunter2",
            r#"{"key_id":"x","private_key":"hunter2"}"#,
            r#"{"key_id":"x","public_key":"aGk="}"#,
            &wrong_id,
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = AuditPublicKey::load(&path).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(AuditKey::load(&path).is_err());
        }
    }
}

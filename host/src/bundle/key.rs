//! The keys that sign policies: Ed25519 (RFC 8032), in the files that `openssl` reads and writes too: PKCS #8 (RFC 8410) in
//! PEM.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};
use secrecy::zeroize::Zeroizing;

use crate::{
    ed25519::{self, NoRandomness, PUBLIC_BYTES, SigningKey, id_of},
    private_file::{self, ReadError, pem},
};

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why a key cannot be used. Never shows what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum PolicyKeyError {
    /// The file cannot be read or written.
    #[error("cannot use the policy key `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Others than the owner can read a private key.
    #[error("the policy key `{}` can be read by others (mode {mode:o}); it must be 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not such a key.
    #[error("`{}` is no {what} key for policies: an Ed25519 key in PEM is wanted", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which half was wanted.
        what: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key")]
    NoRandomness,
}

/// A key that signs policies.
pub struct PolicySigningKey(SigningKey);

/// The half that verifies, which is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPublicKey {
    id: String,
    bytes: [u8; PUBLIC_BYTES],
}

impl PolicySigningKey {
    /// A key that is nowhere else.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn ephemeral() -> Result<Self, PolicyKeyError> {
        Ok(new_key()?.0)
    }

    /// Writes a new key to a new file with mode 600.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, PolicyKeyError> {
        let (key, pkcs8) = new_key()?;
        private_file::write_new(path, &pem("PRIVATE KEY", &pkcs8))
            .map_err(|error| file_error(path, error))?;
        Ok(key)
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// When it cannot be read, when others can read it, or when it is none.
    pub fn load(path: &Path) -> Result<Self, PolicyKeyError> {
        let text = private_file::read(path).map_err(|error| match error {
            ReadError::File(error) => file_error(path, error),
            ReadError::Exposed(mode) => PolicyKeyError::Exposed {
                path: path.to_owned(),
                mode,
            },
        })?;
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok();
        pkcs8
            .and_then(|pkcs8| SigningKey::from_pkcs8(pkcs8.secret_pkcs8_der()))
            .map(Self)
            .ok_or_else(|| malformed(path, "private"))
    }

    /// The half that verifies.
    pub fn public(&self) -> PolicyPublicKey {
        PolicyPublicKey::of(self.0.public())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message)
    }
}

impl PolicyPublicKey {
    /// Reads a public key, or the public half of a private one.
    ///
    /// # Errors
    /// When the file cannot be read or is no such key.
    pub fn load(path: &Path) -> Result<Self, PolicyKeyError> {
        let text = std::fs::read(path).map_err(|error| file_error(path, error))?;
        let text = Zeroizing::new(text);
        if let Ok(spki) = SubjectPublicKeyInfoDer::from_pem_slice(&text) {
            let bytes = spki.strip_prefix(SPKI_PREFIX.as_slice());
            return match bytes.and_then(|bytes| bytes.try_into().ok()) {
                Some(bytes) => Ok(Self::of(bytes)),
                None => Err(malformed(path, "public")),
            };
        }
        match PrivatePkcs8KeyDer::from_pem_slice(&text) {
            Ok(_) => PolicySigningKey::load(path).map(|key| key.public()),
            Err(_) => Err(malformed(path, "public")),
        }
    }

    /// The first eight bytes of the key's SHA-256, in hex.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As a file has it.
    pub fn pem(&self) -> String {
        let spki = [SPKI_PREFIX.as_slice(), &self.bytes].concat();
        pem("PUBLIC KEY", &spki).as_str().to_owned()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519::verifies(&self.bytes, message, signature)
    }

    fn of(bytes: [u8; PUBLIC_BYTES]) -> Self {
        Self {
            id: id_of(&bytes),
            bytes,
        }
    }
}

impl std::fmt::Debug for PolicySigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PolicySigningKey")
            .field(&self.public().id)
            .finish()
    }
}

fn new_key() -> Result<(PolicySigningKey, Zeroizing<Vec<u8>>), PolicyKeyError> {
    let (key, pkcs8) =
        SigningKey::generate().map_err(|NoRandomness| PolicyKeyError::NoRandomness)?;
    Ok((PolicySigningKey(key), pkcs8))
}

fn file_error(path: &Path, error: io::Error) -> PolicyKeyError {
    PolicyKeyError::File {
        path: path.to_owned(),
        error,
    }
}

fn malformed(path: &Path, what: &'static str) -> PolicyKeyError {
    PolicyKeyError::Malformed {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_key_is_read_back_and_so_is_its_public_half() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-key.pem");
        let key = PolicySigningKey::create(&path).unwrap();
        assert!(
            PolicySigningKey::create(&path).is_err(),
            "never written over"
        );
        assert_eq!(
            PolicySigningKey::load(&path).unwrap().public(),
            key.public()
        );
        assert_eq!(PolicyPublicKey::load(&path).unwrap(), key.public());
        let public = folder.path().join("public.pem");
        fs::write(&public, key.public().pem()).unwrap();
        assert_eq!(PolicyPublicKey::load(&public).unwrap(), key.public());
        fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            PolicySigningKey::load(&public),
            Err(PolicyKeyError::Malformed { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        for error in [
            PolicySigningKey::load(&path).map(drop),
            PolicyPublicKey::load(&path).map(drop),
        ] {
            assert!(matches!(
                error,
                Err(PolicyKeyError::Exposed { mode: 0o644, .. })
            ));
        }
    }

    /// Those of RFC 8410, section 10, are as `openssl` writes them: without the public half.
    #[test]
    fn keys_of_openssl_are_taken() {
        const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, PRIVATE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let key = PolicySigningKey::load(&path).unwrap();
        assert_eq!(key.public().pem(), PUBLIC);
        fs::write(&path, "hunter2").unwrap();
        let error = PolicySigningKey::load(&path).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

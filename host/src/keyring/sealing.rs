//! The key that seals what the store must not be able to tell: AES-256-GCM, bound to the user.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use secrecy::zeroize::Zeroizing;
use uuid::Uuid;

use crate::factor::{FactorError, Sealed};

/// Length of the key, in bytes.
pub(super) const SEALING_BYTES: usize = 32;

/// A sealing key. Nonces are random: one key seals far fewer than the 2^32 secrets up to which that is safe.
pub struct Sealing(LessSafeKey);

impl Sealing {
    /// `None`: not 32 bytes.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, secret).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Seals a secret of this user: nonce, then ciphertext with tag.
    pub(crate) fn seal(&self, user: Uuid, secret: &[u8]) -> Result<Sealed, FactorError> {
        let mut nonce = [0; NONCE_LEN];
        let mut sealed = secret.to_vec();
        let done = SystemRandom::new().fill(&mut nonce).and_then(|()| {
            let unique = Nonce::assume_unique_for_key(nonce);
            self.0
                .seal_in_place_append_tag(unique, Aad::from(user.as_bytes()), &mut sealed)
        });
        match done {
            Ok(()) => Ok(Sealed::from_bytes([&nonce[..], &sealed].concat())),
            Err(_) => Err(FactorError::Failed(
                "the secret could not be sealed".to_owned(),
            )),
        }
    }

    /// Opens what was sealed for this user.
    pub(crate) fn open(
        &self,
        user: Uuid,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, FactorError> {
        let opened = sealed
            .as_bytes()
            .split_at_checked(NONCE_LEN)
            .and_then(|(nonce, rest)| {
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                let mut bytes = Zeroizing::new(rest.to_vec());
                let aad = Aad::from(user.as_bytes());
                let secret = self.0.open_in_place(nonce, aad, &mut bytes).ok()?;
                Some(Zeroizing::new(secret.to_vec()))
            });
        opened.ok_or_else(|| {
            FactorError::Failed(
                "a second factor's secret is damaged, or was sealed with another key file"
                    .to_owned(),
            )
        })
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing(..)")
    }
}

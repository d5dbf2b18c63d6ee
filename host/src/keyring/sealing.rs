//! The key that seals what the store must not be able to tell: AES-256-GCM, bound to the user; and keys for other uses that
//! are derived from the same secret.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};
use secrecy::zeroize::Zeroizing;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::factor::{FactorError, Sealed};

/// Length of the key, in bytes.
pub(super) const SEALING_BYTES: usize = 32;

/// A sealing key. Nonces are random: one key seals far fewer than the 2^32 secrets up to which that is safe.
pub struct Sealing {
    key: LessSafeKey,
    /// What other keys are derived from (HKDF, RFC 5869); nothing of it leads back to the secret.
    others: Prk,
}

/// A key for one use, which says whether bytes are those that whoever has the key file wrote (HMAC-SHA-256).
#[derive(Clone)]
pub(crate) struct DerivedKey(hmac::Key);

/// Length of a [`DerivedKey`]'s tag, in bytes.
pub(crate) const TAG_BYTES: usize = 32;

impl Sealing {
    /// `None`: not 32 bytes.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, secret).ok()?;
        Some(Self {
            key: LessSafeKey::new(key),
            others: Salt::new(HKDF_SHA256, b"scopegate derived keys 1").extract(secret),
        })
    }

    /// The key for this use, the same from the same key file. `None`: never, by what HKDF allows.
    pub(crate) fn derive(&self, purpose: &str) -> Option<DerivedKey> {
        let info = [purpose.as_bytes()];
        let okm = self.others.expand(&info, HMAC_SHA256).ok()?;
        Some(DerivedKey(okm.into()))
    }

    /// Seals a secret of this user: nonce, then ciphertext with tag.
    pub(crate) fn seal(&self, user: Uuid, secret: &[u8]) -> Result<Sealed, FactorError> {
        let mut nonce = [0; NONCE_LEN];
        let mut sealed = secret.to_vec();
        let done = SystemRandom::new().fill(&mut nonce).and_then(|()| {
            let unique = Nonce::assume_unique_for_key(nonce);
            self.key
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
                let secret = self.key.open_in_place(nonce, aad, &mut bytes).ok()?;
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

impl DerivedKey {
    /// The tag of these bytes, one part after the other. Parts that are not always equally long must not stand beside each
    /// other.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; TAG_BYTES];
        // It has as many.
        tag.iter_mut()
            .zip(context.sign().as_ref())
            .for_each(|(byte, from)| *byte = *from);
        tag
    }

    /// Whether a tag is that of these bytes. Takes as long whatever differs.
    pub(crate) fn verifies(&self, tag: &[u8], parts: &[&[u8]]) -> bool {
        self.tag(parts).ct_eq(tag).into()
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing(..)")
    }
}

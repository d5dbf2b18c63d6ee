//! Ed25519 (RFC 8032): what the keys of the audit and those of policies have in common, whatever their files look like.

use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

/// Hex digits of a key's id.
pub(crate) const ID_BYTES: usize = 16;
/// Bytes of a public key.
pub(crate) const PUBLIC_BYTES: usize = 32;

/// A key that signs.
pub(crate) struct SigningKey(Ed25519KeyPair);

/// The operating system gave no random bytes.
pub(crate) struct NoRandomness;

impl SigningKey {
    /// A new key, and what is to be kept of it: PKCS #8 (RFC 8410).
    pub(crate) fn generate() -> Result<(Self, Zeroizing<Vec<u8>>), NoRandomness> {
        let made =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| NoRandomness)?;
        let pkcs8 = Zeroizing::new(made.as_ref().to_vec());
        let key = Self::from_pkcs8(&pkcs8).ok_or(NoRandomness)?;
        Ok((key, pkcs8))
    }

    /// With the public half or, as `openssl` writes it, without.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .ok()
            .map(Self)
    }

    pub(crate) fn public(&self) -> [u8; PUBLIC_BYTES] {
        let mut bytes = [0; PUBLIC_BYTES];
        // It has as many.
        bytes
            .iter_mut()
            .zip(self.0.public_key().as_ref())
            .for_each(|(byte, from)| *byte = *from);
        bytes
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// Whether the owner of this public key has signed the message.
pub(crate) fn verifies(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, public);
    key.verify(message, signature).is_ok()
}

/// What a key is called: the first eight bytes of its public half's SHA-256, in hex.
pub(crate) fn id_of(public: &[u8]) -> String {
    let mut hash = hex::encode(Sha256::digest(public));
    hash.truncate(ID_BYTES);
    hash
}

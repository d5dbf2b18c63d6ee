//! The format of API keys and agent tokens: made, recognised and hashed here, and nowhere else.
//!
//! `<prefix>_live_` (keys) or `<prefix>_agent_` (agent tokens), then 30 base62 characters of entropy (178 bits), then
//! 6 characters of checksum: the CRC32 (IEEE) of the 30, in base62 (`0-9A-Za-z`), left-padded with `0`. The checksum
//! lets a mistyped key be refused without a look-up and lets secret scanners tell a key from noise. Keys that
//! were imported from elsewhere have neither a fixed length nor a checksum; they are told apart by their shape.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{SecretString, zeroize::Zeroizing};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use scopegate_policy::wire::key::{BASE62, CHECKSUM_CHARS, ENTROPY_CHARS, checksum};
/// What the text of a key says by itself is read elsewhere too.
pub use scopegate_policy::wire::key::{KeyFormat, KeyKind, recognise};

/// The SHA-256 of a whole key: all that is kept of it. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a presented key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// A hash that was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For storing it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for KeyHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// A new key. The secret is nowhere else, and is wiped when this is dropped.
#[derive(Debug)]
pub struct Minted {
    /// The whole key, for its owner's eyes, once.
    pub secret: SecretString,
    /// What is stored.
    pub hash: KeyHash,
    /// What lists show before the secret part, such as `ka_live_`.
    pub prefix: String,
    /// What lists show of the secret part: its last four characters.
    pub last_four: String,
}

/// The machine gave no random bytes, so no key can be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// Makes a key of the contract's prefix (without `_`).
pub fn mint(prefix: &str, kind: KeyKind) -> Result<Minted, NoRandomness> {
    let entropy = random_base62::<ENTROPY_CHARS>()?;
    let checksum = checksum(entropy.as_bytes());
    let checksum = Zeroizing::new(String::from_utf8_lossy(&checksum).into_owned());
    let prefix = format!("{prefix}_{}_", kind.word());
    let mut secret = Zeroizing::new(String::with_capacity(
        prefix.len() + ENTROPY_CHARS + CHECKSUM_CHARS,
    ));
    secret.push_str(&prefix);
    secret.push_str(&entropy);
    secret.push_str(&checksum);
    Ok(Minted {
        hash: KeyHash::of(&secret),
        prefix,
        last_four: checksum.chars().skip(CHECKSUM_CHARS - 4).collect(),
        secret: SecretString::from(secret.as_str()),
    })
}

/// The regular expression to publish to secret scanners, for a contract's prefix.
pub fn secret_scanning_regex(prefix: &str) -> String {
    format!("\\b{prefix}_(?:live|agent)_[0-9A-Za-z]{{36}}\\b")
}

/// Random text for secrets other than keys, such as generated passwords: each character is one of 62, all equally
/// likely.
pub fn random_base62<const CHARS: usize>() -> Result<Zeroizing<String>, NoRandomness> {
    let random = SystemRandom::new();
    let mut text = Zeroizing::new(String::with_capacity(CHARS));
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while text.len() < CHARS {
        random
            .fill(bytes.as_mut_slice())
            .map_err(|_| NoRandomness)?;
        // 248 is the largest multiple of 62 in a byte: taking the rest as well would favour some characters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let chars = fair.filter_map(|byte| BASE62.get(usize::from(byte % 62)));
        let missing = CHARS - text.len();
        text.extend(chars.take(missing).map(|byte| char::from(*byte)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn checksum_is_the_published_vector() {
        assert_eq!(&checksum(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), b"0mLq17");
        assert_eq!(
            recognise("sg", "sg_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"),
            KeyFormat::Ours(KeyKind::Live)
        );
    }

    #[test]
    fn minted_keys_show_only_prefix_and_last_four() {
        let minted = mint("k8c", KeyKind::Agent).unwrap();
        let text = minted.secret.expose_secret();
        assert!(text.starts_with("k8c_agent_"));
        assert_eq!(text.len(), "k8c_agent_".len() + 36);
        assert_eq!(minted.prefix, "k8c_agent_");
        assert!(text.ends_with(&minted.last_four) && minted.last_four.len() == 4);
        assert_eq!(minted.hash, KeyHash::of(text));
        let shown = format!("{minted:?}");
        assert!(!shown.contains(&text[10..40]), "{shown}");
    }

    #[test]
    fn foreign_keys_are_told_from_mistyped_ones() {
        let mistyped = "ka_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18";
        assert_eq!(recognise("ka", mistyped), KeyFormat::BadChecksum);
        for foreign in [
            "",
            "ka",
            "ka_",
            "ka_live_",
            "ka_your_api_key",
            "ka_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "kw_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17",
            "ka_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq1é",
            "ka_LIVE_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17",
            "8f14e45fceea167a5a36dedd4bea2543",
        ] {
            assert_eq!(recognise("ka", foreign), KeyFormat::Foreign, "{foreign}");
        }
    }

    #[test]
    fn characters_are_equally_likely() {
        let mut counts = [0_u32; 128];
        for _ in 0..2_000 {
            for byte in random_base62::<31>().unwrap().bytes() {
                counts[usize::from(byte)] += 1;
            }
        }
        // 62,000 draws: 1,000 expected for each, so 6 standard deviations are about 190.
        for byte in BASE62 {
            let count = counts[usize::from(*byte)];
            assert!(
                (810..=1190).contains(&count),
                "`{}`: {count}",
                char::from(*byte)
            );
        }
    }

    proptest! {
        #[test]
        fn a_minted_key_is_recognised(prefix in "[a-z][a-z0-9]{0,6}", agent in any::<bool>()) {
            let kind = if agent { KeyKind::Agent } else { KeyKind::Live };
            let minted = mint(&prefix, kind).unwrap();
            prop_assert_eq!(recognise(&prefix, minted.secret.expose_secret()), KeyFormat::Ours(kind));
        }

        #[test]
        fn any_change_of_one_character_is_refused(place in 0_usize..36, with in "[0-9A-Za-z]") {
            let minted = mint("ka", KeyKind::Live).unwrap();
            let key = minted.secret.expose_secret();
            let place = "ka_live_".len() + place;
            prop_assume!(!key[place..].starts_with(&with));
            let mut changed = key.to_owned();
            changed.replace_range(place..=place, &with);
            prop_assert_eq!(recognise("ka", &changed), KeyFormat::BadChecksum);
            prop_assert_ne!(KeyHash::of(&changed), minted.hash);
        }

        #[test]
        fn anything_can_be_presented(key in any::<String>()) {
            prop_assert!(!matches!(recognise("ka", &key), KeyFormat::Ours(_)));
        }
    }
}

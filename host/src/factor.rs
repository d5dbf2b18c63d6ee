//! Second factors: codes of an authenticator app (TOTP, RFC 6238: SHA-1, six digits, 30 seconds) and recovery codes.
//!
//! A secret leaves the gate once, when it is enrolled, and rests sealed. Recovery codes are shown once and rest as
//! hashes. Whether a code still counts is settled in the store, in the transaction that opens the session.

mod enrol;

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{SecretString, zeroize::Zeroizing};
use totp_rs::{Builder, Secret, Totp};

pub use enrol::{Enrolment, FactorError, FactorStatus};

use crate::key::KeyHash;

/// How many recovery codes a user gets.
pub const RECOVERY_CODES: usize = 10;
/// Longest code that is looked at, in bytes.
pub const CODE_BYTES_MAX: usize = 64;

/// 160 bits, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;
const STEP_SECS: u64 = 30;
/// Clocks may be one step apart.
const SKEW_STEPS: u16 = 1;
const DIGITS: usize = 6;
/// 80 bits: nobody guesses these, so a plain hash is enough.
const RECOVERY_BYTES: usize = 10;
const RECOVERY_CHARS: usize = 16;

/// A second factor's secret as the store has it. Only the gate's sealing key, which is not in the store, opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For the store.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// What a user typed where a code was asked for.
pub(crate) enum Typed {
    /// Six digits.
    Digits(Zeroizing<String>),
    /// The shape of a recovery code; its hash.
    Recovery(KeyHash),
}

impl Typed {
    /// Reads a code, in either case and with the spaces and hyphens that people type. `None`: it cannot be one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > CODE_BYTES_MAX {
            return None;
        }
        let text: Zeroizing<String> = Zeroizing::new(
            text.chars()
                .filter(|c| !matches!(c, ' ' | '-'))
                .map(|c| c.to_ascii_uppercase())
                .collect(),
        );
        if text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Digits(text));
        }
        let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
        (text.len() == RECOVERY_CHARS && text.bytes().all(is_base32))
            .then(|| Self::Recovery(KeyHash::of(&text)))
    }
}

/// The step of which this is the code, at this moment or one step beside it.
pub(crate) fn step_of(secret: &[u8], digits: &str, now_ms: i64) -> Option<i64> {
    let now = u64::try_from(now_ms.div_euclid(1000)).ok()?;
    let step = totp(secret, "", None).check(digits, now)?;
    i64::try_from(step).ok()
}

fn totp(secret: &[u8], account: &str, issuer: Option<&str>) -> Totp {
    Builder::new()
        .with_secret(secret.to_vec())
        .with_step_duration(STEP_SECS)
        .with_skew(SKEW_STEPS)
        .with_account_name(account)
        .with_issuer(issuer)
        .build_noncompliant()
}

fn random<const BYTES: usize>() -> Result<Zeroizing<[u8; BYTES]>, FactorError> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    match SystemRandom::new().fill(bytes.as_mut_slice()) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(FactorError::Failed(
            "the operating system gave no random bytes".to_owned(),
        )),
    }
}

fn base32(bytes: &[u8]) -> String {
    Secret::from(bytes.to_vec()).to_base32()
}

/// New recovery codes, such as `K5QW-…`, and what is kept of them.
fn recovery_codes() -> Result<(Vec<SecretString>, Vec<KeyHash>), FactorError> {
    let codes = (0..RECOVERY_CODES).map(|_| {
        let code = Zeroizing::new(base32(random::<RECOVERY_BYTES>()?.as_slice()));
        let mut shown = String::with_capacity(RECOVERY_CHARS + 3);
        for (index, c) in code.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                shown.push('-');
            }
            shown.push(c);
        }
        Ok((SecretString::from(shown), KeyHash::of(&code)))
    });
    codes.collect()
}

#[cfg(test)]
mod tests;

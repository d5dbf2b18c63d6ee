//! Reading and verifying JWTs (RFC 7519, RFC 8725): parse, pick the key, then check in a fixed order.
//!
//! The order of causes is a promise (KubeWatch's texts): what cannot be believed is `invalid token` (unparsable, unknown
//! key, algorithm, signature, issuer, audience), then `token expired`, then `missing org_id claim`, then the rest.
//! The algorithm is the key's own: what the token says only has to agree. Headers that bring keys along (`jwk`,
//! `jku`, `x5u`, `x5c`) are ignored; a critical extension (`crit`) is refused.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Cause, keyring::VerifyingKey};

/// Longest token that is read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A token taken apart; nothing of it is believed yet.
pub(super) struct Unverified<'t> {
    header: JoseHeader,
    claims: Claims,
    /// As it came.
    text: &'t str,
    /// What is signed: header and payload as they came.
    message: &'t str,
    signature: &'t str,
}

#[derive(Deserialize)]
struct JoseHeader {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
    #[serde(default)]
    b64: Option<Value>,
}

/// The claims that the gate reads; others only by configuration.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) iss: Option<String>,
    #[serde(default)]
    pub(super) sub: Option<String>,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(default)]
    exp: Option<serde_json::Number>,
    #[serde(default)]
    nbf: Option<serde_json::Number>,
    #[serde(default)]
    pub(super) auth_time: Option<serde_json::Number>,
    #[serde(default)]
    pub(super) org_id: Option<Value>,
    #[serde(default)]
    pub(super) sid: Option<String>,
    #[serde(default)]
    pub(super) jti: Option<String>,
    #[serde(flatten)]
    pub(super) others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, accepted: &[String]) -> bool {
        match self {
            Self::One(audience) => accepted.contains(audience),
            Self::Many(audiences) => audiences.iter().any(|audience| accepted.contains(audience)),
        }
    }
}

/// What a verified token must say.
pub(super) struct Expected<'e> {
    pub(super) issuer: &'e str,
    pub(super) audiences: &'e [String],
    /// How far clocks may differ, in seconds.
    pub(super) leeway_secs: i64,
}

const UNPARSABLE: Cause = Cause::InvalidToken("unparsable");

impl<'t> Unverified<'t> {
    /// Takes a token apart. Everything must be there exactly once and in its form.
    pub(super) fn parse(token: &'t str) -> Result<Self, Cause> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Cause::InvalidToken("too long"));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(UNPARSABLE)?;
        let (header, payload) = message.split_once('.').ok_or(UNPARSABLE)?;
        let header: JoseHeader = decode(header)?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Cause::InvalidToken("critical extension"));
        }
        Ok(Self {
            header,
            claims: decode(payload)?,
            text: token,
            message,
            signature,
        })
    }

    /// What the token says, to find out who can verify it, and to refuse it before. Nothing is believed by it.
    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The whole token, as it came.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The name of the key that the token says signed it.
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The algorithm that the token says it was signed with.
    pub(super) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// Checks algorithm and signature with `key`, then the claims. What is returned is believed.
    pub(super) fn verify(
        self,
        key: &VerifyingKey,
        expected: &Expected<'_>,
        now_ms: i64,
    ) -> Result<Claims, Cause> {
        if self.header.alg.parse() != Ok(key.algorithm) {
            return Err(Cause::InvalidToken("algorithm"));
        }
        let verified = jsonwebtoken::crypto::verify(
            self.signature,
            self.message.as_bytes(),
            &key.key,
            key.algorithm,
        );
        if !matches!(verified, Ok(true)) {
            return Err(Cause::InvalidToken("signature"));
        }
        self.vouched_for(expected, now_ms)
    }

    /// Checks the claims alone. What is returned is believed where somebody else vouches for the token, and not before.
    pub(super) fn vouched_for(self, expected: &Expected<'_>, now_ms: i64) -> Result<Claims, Cause> {
        let claims = self.claims;
        if claims.iss.as_deref() != Some(expected.issuer) {
            return Err(Cause::InvalidToken("issuer"));
        }
        if !claims.are_for(expected.audiences) {
            return Err(Cause::InvalidToken("audience"));
        }
        let expiry = claims
            .exp
            .as_ref()
            .and_then(millis)
            .ok_or(Cause::InvalidToken("no expiry"))?;
        if now_ms >= expiry.saturating_add(expected.leeway_secs.saturating_mul(1000)) {
            return Err(Cause::TokenExpired);
        }
        Ok(claims)
    }
}

impl Claims {
    /// Whether the token is for one of these.
    pub(super) fn are_for(&self, audiences: &[String]) -> bool {
        self.aud.as_ref().is_some_and(|aud| aud.has(audiences))
    }

    /// How long it lasts from when it was issued, in milliseconds; nothing where it does not say both.
    pub(super) fn life_ms(&self) -> Option<i64> {
        let issued = self.others.get("iat").and_then(Value::as_number)?;
        let expires = self.exp.as_ref()?;
        Some(millis(expires)?.saturating_sub(millis(issued)?))
    }

    /// Checked after `org_id`, as the order of causes has it: `unauthorized`, like everything else.
    pub(super) fn check_not_before(&self, leeway_secs: i64, now_ms: i64) -> Result<(), Cause> {
        let Some(not_before) = &self.nbf else {
            return Ok(());
        };
        let not_before = millis(not_before).ok_or(UNPARSABLE)?;
        if now_ms.saturating_add(leeway_secs.saturating_mul(1000)) < not_before {
            return Err(Cause::UnknownCredential);
        }
        Ok(())
    }

    /// When the token ends, in seconds since the epoch.
    pub(super) fn expires_at(&self) -> Option<i64> {
        self.exp
            .as_ref()
            .and_then(millis)
            .map(|at| at.div_euclid(1000))
    }
}

/// A NumericDate in milliseconds since the epoch; fractions of a second are allowed.
pub(super) fn millis(date: &serde_json::Number) -> Option<i64> {
    if let Some(secs) = date.as_i64() {
        return Some(secs.saturating_mul(1000));
    }
    // A float-to-integer cast saturates, which is what a date beyond all bounds should do.
    date.as_f64()
        .filter(|secs| secs.is_finite())
        .map(|secs| (secs * 1000.0) as i64)
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Cause> {
    let json = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| UNPARSABLE)?;
    serde_json::from_slice(&json).map_err(|_| UNPARSABLE)
}

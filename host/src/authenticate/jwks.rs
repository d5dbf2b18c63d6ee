//! An issuer's keys behind a URL (JWK Set, RFC 7517), fetched with care.
//!
//! Only the configuration names the URL. It is fetched over https without redirects, at most 64 KiB, one fetch at a
//! time, and not again before some time has passed, whatever tokens come in. Keys that were fetched stay good for a
//! while when the issuer cannot be reached.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Effort, issuer_keys::choose};
use crate::{
    Cause,
    fetch::{Fetcher, Place},
    keyring::VerifyingKey,
};

/// Most keys that are kept of one.
const KEYS_MAX: usize = 64;
/// How old keys may be before they are fetched again.
const FRESH_MS: i64 = 10 * 60 * 1000;
/// How old they may be when the issuer cannot be reached.
const STALE_MS: i64 = 24 * 60 * 60 * 1000;
/// Time between two fetches, at least.
const FETCH_INTERVAL_MS: i64 = 30 * 1000;

/// A remote set of keys.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Fetcher,
    fetched: ArcSwapOption<Fetched>,
    /// When it was last tried, in milliseconds since the epoch.
    tried_at: AtomicI64,
    /// Held while fetching.
    fetching: Mutex<()>,
}

#[derive(Debug)]
struct Fetched {
    keys: Vec<VerifyingKey>,
    at_ms: i64,
}

impl Jwks {
    /// A set that is fetched when it is first needed. An error says what is wrong with the configuration.
    pub(super) fn new(place: &Place) -> Result<Self, String> {
        Ok(Self {
            source: Fetcher::new(place)?,
            fetched: ArcSwapOption::empty(),
            tried_at: AtomicI64::new(i64::MIN),
            fetching: Mutex::new(()),
        })
    }

    /// The key that a token means; `None` when the issuer has no such key.
    ///
    /// # Errors
    /// [`Cause::Unavailable`] when there are no keys that could tell.
    pub(super) async fn key(
        &self,
        kid: Option<&str>,
        algorithm: &str,
        effort: Effort,
        now_ms: i64,
    ) -> Result<Option<VerifyingKey>, Cause> {
        if let Some(known) = self.known(kid, algorithm, now_ms, FRESH_MS) {
            return Ok(Some(known));
        }
        if effort == Effort::Full {
            self.refresh(kid, algorithm, now_ms).await;
        }
        if let Some(known) = self.known(kid, algorithm, now_ms, STALE_MS) {
            return Ok(Some(known));
        }
        match &*self.fetched.load() {
            Some(fetched) if now_ms.saturating_sub(fetched.at_ms) < STALE_MS => Ok(None),
            _ => Err(Cause::Unavailable(format!(
                "the keys of `{}` cannot be fetched",
                self.source.url()
            ))),
        }
    }

    fn known(
        &self,
        kid: Option<&str>,
        algorithm: &str,
        now_ms: i64,
        age_ms_max: i64,
    ) -> Option<VerifyingKey> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref()?;
        if now_ms.saturating_sub(fetched.at_ms) >= age_ms_max {
            return None;
        }
        choose(&fetched.keys, kid, algorithm).cloned()
    }

    /// Fetches the keys anew, unless that was tried a short while ago or somebody else has just done it.
    async fn refresh(&self, kid: Option<&str>, algorithm: &str, now_ms: i64) {
        let _one_at_a_time = self.fetching.lock().await;
        if self.known(kid, algorithm, now_ms, FRESH_MS).is_some() {
            return;
        }
        let tried_at = self.tried_at.load(Relaxed);
        if tried_at != i64::MIN && now_ms.saturating_sub(tried_at).abs() < FETCH_INTERVAL_MS {
            return;
        }
        self.tried_at.store(now_ms, Relaxed);
        match self.fetch().await {
            Ok(keys) => self.fetched.store(Some(Arc::new(Fetched {
                keys,
                at_ms: now_ms,
            }))),
            Err(error) => {
                metrics::counter!("scopegate_jwks_errors_total").increment(1);
                tracing::warn!(
                    url = self.source.url(),
                    error,
                    "the keys of an issuer cannot be fetched"
                );
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<VerifyingKey>, String> {
        let body = self
            .source
            .get("application/jwk-set+json, application/json")
            .await?;
        read(&body)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The usable keys of a set. Those of kinds that the gate does not know are left out (RFC 7517, section 5).
fn read(body: &[u8]) -> Result<Vec<VerifyingKey>, String> {
    let set: Set = serde_json::from_slice(body).map_err(|_| "it is not a JWK Set".to_owned())?;
    let keys: Vec<VerifyingKey> = set
        .keys
        .into_iter()
        .filter_map(usable)
        .take(KEYS_MAX)
        .collect();
    if keys.is_empty() {
        return Err("it has no usable key".to_owned());
    }
    Ok(keys)
}

fn usable(key: Value) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    if jwk
        .common
        .public_key_use
        .as_ref()
        .is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
    {
        return None;
    }
    let stated = jwk
        .common
        .key_algorithm
        .map(|algorithm| algorithm.to_string().parse::<Algorithm>());
    let algorithm = match (&jwk.algorithm, stated) {
        // A shared secret is nobody else's business, and never comes over the network.
        (AlgorithmParameters::OctetKey(_), _) => return None,
        (_, Some(Err(_))) => return None,
        (_, Some(Ok(algorithm))) => algorithm,
        (AlgorithmParameters::RSA(_), None) => Algorithm::RS256,
        (AlgorithmParameters::EllipticCurve(curve), None) => match curve.curve {
            EllipticCurve::P256 => Algorithm::ES256,
            EllipticCurve::P384 => Algorithm::ES384,
            _ => return None,
        },
        (AlgorithmParameters::OctetKeyPair(_), None) => Algorithm::EdDSA,
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk)
        .ok()
        .filter(|key| key.family() == algorithm.family())?;
    Some(VerifyingKey {
        kid: jwk.common.key_id,
        algorithm,
        key,
    })
}

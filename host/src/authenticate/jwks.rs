//! An issuer's keys behind a URL (JWK Set, RFC 7517), fetched with care.
//!
//! Only the configuration names the URL. It is fetched over https without redirects, at most 64 KiB, one fetch at a
//! time, and not again before some time has passed, whatever tokens come in. Keys that were fetched stay good for a
//! while when the issuer cannot be reached.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Effort, issuers::choose};
use crate::{
    Cause,
    keyring::{self, VerifyingKey},
};

/// Largest JWK Set that is read, in bytes.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;
/// Most keys that are kept of one.
const KEYS_MAX: usize = 64;
/// How old keys may be before they are fetched again.
const FRESH_MS: i64 = 10 * 60 * 1000;
/// How old they may be when the issuer cannot be reached.
const STALE_MS: i64 = 24 * 60 * 60 * 1000;
/// Time between two fetches, at least.
const FETCH_INTERVAL_MS: i64 = 30 * 1000;
/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A remote set of keys.
#[derive(Debug)]
pub(super) struct Jwks {
    url: String,
    client: reqwest::Client,
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
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        keyring::install_cryptography();
        let parsed =
            reqwest::Url::parse(url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        if parsed.scheme() != "https"
            || !parsed.username().is_empty()
            || parsed.password().is_some()
        {
            return Err(format!("`{url}` is not an https URL without a user"));
        }
        let mut client = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(FETCH_TIMEOUT)
            .no_proxy();
        if let Some(path) = ca_file {
            let wrong = |what: String| format!("cannot use `{}`: {what}", path.display());
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| wrong(error.to_string()))?;
            if authorities.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
            client = client.tls_certs_merge(authorities);
        }
        Ok(Self {
            url: url.to_owned(),
            client: client
                .build()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?,
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
                self.url
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
                    url = self.url,
                    error,
                    "the keys of an issuer cannot be fetched"
                );
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<VerifyingKey>, String> {
        let mut response = self
            .client
            .get(&self.url)
            .header(
                http::header::ACCEPT,
                "application/jwk-set+json, application/json",
            )
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("it answered {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > JWKS_BYTES_MAX {
                return Err(format!("it has more than {JWKS_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
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

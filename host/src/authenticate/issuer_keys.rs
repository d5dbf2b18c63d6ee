//! The keys that somebody else signs tokens with: fixed ones, or a set behind a URL. Each is bound to one algorithm.

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::{Effort, jwks::Jwks, jwt::Unverified};
use crate::{
    Cause,
    fetch::Place,
    keyring::{self, VerifyingKey},
};

/// Where an issuer's keys are.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKeys {
    /// PEM files.
    Fixed(Vec<IssuerKey>),
    /// A JWK Set (RFC 7517) behind an `https` URL.
    Jwks(Place),
}

/// A fixed key of an issuer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerKey {
    /// Its name in tokens; one key alone may go without.
    #[serde(default)]
    pub kid: Option<String>,
    /// Its one algorithm.
    pub algorithm: Algorithm,
    /// PEM file of the public key.
    pub public_key: PathBuf,
}

/// The keys of an issuer, and the algorithms that count.
#[derive(Debug)]
pub(super) struct KeySet {
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Fixed(Vec<VerifyingKey>),
    Remote(Box<Jwks>),
}

impl KeySet {
    /// Reads fixed keys; remote ones are fetched when they are first needed. An error says everything that is wrong.
    pub(super) fn new(keys: &IssuerKeys, algorithms: &[Algorithm]) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        if algorithms.is_empty() {
            wrong.push("it needs at least one algorithm".to_owned());
        }
        if algorithms.iter().copied().any(is_symmetric) {
            wrong.push(
                "algorithms with a shared secret are for the gate's own tokens only".to_owned(),
            );
        }
        let keys = match keys {
            IssuerKeys::Fixed(keys) => fixed(keys, algorithms).map(Keys::Fixed),
            IssuerKeys::Jwks(place) => Jwks::new(place).map(|jwks| Keys::Remote(Box::new(jwks))),
        };
        match keys {
            Ok(keys) if wrong.is_empty() => Ok(Self {
                algorithms: algorithms.to_vec(),
                keys,
            }),
            Ok(_) => Err(wrong),
            Err(what) => {
                wrong.push(what);
                Err(wrong)
            }
        }
    }

    /// The key that a token names; where it names none, the only one of its algorithm.
    pub(super) async fn key(
        &self,
        token: &Unverified<'_>,
        effort: Effort,
        now_ms: i64,
    ) -> Result<VerifyingKey, Cause> {
        let found = match &self.keys {
            Keys::Fixed(keys) => choose(keys, token.kid(), token.algorithm()).cloned(),
            Keys::Remote(jwks) => {
                jwks.key(token.kid(), token.algorithm(), effort, now_ms)
                    .await?
            }
        };
        let key = found.ok_or(Cause::InvalidToken("key"))?;
        match self.algorithms.contains(&key.algorithm) {
            true => Ok(key),
            false => Err(Cause::InvalidToken("algorithm")),
        }
    }
}

/// The key that a token means, among those of the algorithm it states.
pub(super) fn choose<'k>(
    keys: &'k [VerifyingKey],
    kid: Option<&str>,
    algorithm: &str,
) -> Option<&'k VerifyingKey> {
    if kid.is_some() {
        return keys.iter().find(|key| key.kid.as_deref() == kid);
    }
    let mut fitting = keys
        .iter()
        .filter(|key| algorithm.parse() == Ok(key.algorithm));
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only)
}

fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

fn fixed(keys: &[IssuerKey], accepted: &[Algorithm]) -> Result<Vec<VerifyingKey>, String> {
    if keys.is_empty() {
        return Err("it has no keys".to_owned());
    }
    keys.iter()
        .map(|key| {
            if !accepted.contains(&key.algorithm) || is_symmetric(key.algorithm) {
                return Err("a key's algorithm is not one of its algorithms".to_owned());
            }
            let public = read_public(key.algorithm, &key.public_key)?;
            Ok(VerifyingKey {
                kid: key.kid.clone(),
                algorithm: key.algorithm,
                key: public,
            })
        })
        .collect()
}

fn read_public(algorithm: Algorithm, path: &Path) -> Result<jsonwebtoken::DecodingKey, String> {
    let pem = std::fs::read(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    keyring::public_pem(algorithm, &pem).map_err(|_| {
        format!(
            "`{}` is not a public key in PEM for its algorithm",
            path.display()
        )
    })
}

//! External issuers of JWTs (an OpenID provider): each bound to its keys, its algorithms and one organization.
//!
//! A subject is (issuer, subject), so that two issuers cannot speak for one another's people. Roles come from a
//! claim, by a mapping that the configuration gives; what it does not name grants nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use jsonwebtoken::Algorithm;
use scopegate_policy::{Caller, CallerKind, Clusters, is_cluster_id};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Authenticated, Effort,
    jwks::Jwks,
    jwt::{Claims, Expected, Unverified, millis},
};
use crate::{
    Cause, Directory, Principal,
    counters::redis::FilledUnder,
    keyring::{self, VerifyingKey},
};

/// Values of a claim that are read.
const CLAIM_VALUES_MAX: usize = 256;
/// Longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 255;
/// Largest difference of clocks that may be configured, in seconds.
const LEEWAY_SECS_MAX: u32 = 300;

/// An issuer as the configuration has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// Its `iss`.
    pub issuer: String,
    /// The organization that its people are in.
    pub organization: Uuid,
    /// Accepted values of `aud`.
    pub audiences: Vec<String>,
    /// Accepted algorithms; none with shared secrets.
    pub algorithms: Vec<Algorithm>,
    /// Its keys.
    pub keys: IssuerKeys,
    /// How far its clock may differ, in seconds.
    #[serde(default)]
    pub leeway_secs: u32,
    /// The claim that says the roles: a text or a list of texts.
    #[serde(default)]
    pub roles_claim: Option<String>,
    /// From values of that claim to roles of the policy.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    /// The claim that lists the clusters; without this setting, all of the organization's.
    #[serde(default)]
    pub clusters_claim: Option<String>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKeys {
    /// PEM files.
    Fixed(Vec<IssuerKey>),
    /// A JWK Set (RFC 7517) behind an `https` URL.
    Jwks {
        /// The URL.
        url: String,
        /// PEM file of a further authority to trust for it.
        #[serde(default)]
        ca_file: Option<PathBuf>,
    },
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

/// What is wrong with an issuer of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("issuer `{issuer}`: {what}")]
pub struct BadIssuer {
    /// Which.
    pub issuer: String,
    /// What is wrong.
    pub what: String,
}

/// All external issuers.
#[derive(Debug, Default)]
pub struct Issuers(Vec<Issuer>);

impl Issuers {
    /// Checks the configured issuers and reads their keys; remote ones are fetched when they are first needed.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(configs: Vec<IssuerConfig>) -> Result<Self, Vec<BadIssuer>> {
        let mut issuers: Vec<Issuer> = Vec::new();
        let mut wrong = Vec::new();
        for config in configs {
            let name = config.issuer.clone();
            let mut fail = |what: String| {
                wrong.push(BadIssuer {
                    issuer: name.clone(),
                    what,
                });
            };
            if issuers
                .iter()
                .any(|known| known.config.issuer == config.issuer)
            {
                fail("it is configured twice".to_owned());
            }
            match Issuer::new(config) {
                Ok(issuer) => issuers.push(issuer),
                Err(problems) => problems.into_iter().for_each(fail),
            }
        }
        if wrong.is_empty() {
            Ok(Self(issuers))
        } else {
            Err(wrong)
        }
    }

    pub(super) fn find(&self, issuer: &str) -> Option<&Issuer> {
        self.0.iter().find(|known| known.config.issuer == issuer)
    }
}

#[derive(Debug)]
pub(super) struct Issuer {
    config: IssuerConfig,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Fixed(Vec<VerifyingKey>),
    Remote(Box<Jwks>),
}

impl Issuer {
    fn new(config: IssuerConfig) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        if config.issuer.is_empty() {
            wrong.push("its name is empty".to_owned());
        }
        if config.audiences.is_empty() || config.audiences.iter().any(String::is_empty) {
            wrong.push("it needs at least one audience, and no empty one".to_owned());
        }
        if config.algorithms.is_empty() {
            wrong.push("it needs at least one algorithm".to_owned());
        }
        if config
            .algorithms
            .iter()
            .any(|algorithm| is_symmetric(*algorithm))
        {
            wrong.push(
                "algorithms with a shared secret are for the gate's own tokens only".to_owned(),
            );
        }
        if config.leeway_secs > LEEWAY_SECS_MAX {
            wrong.push(format!("`leeway_secs` is at most {LEEWAY_SECS_MAX}"));
        }
        if config.roles_claim.is_none() && !config.roles.is_empty() {
            wrong.push("`roles` needs `roles_claim`".to_owned());
        }
        let keys = match &config.keys {
            IssuerKeys::Fixed(keys) => fixed(keys, &config.algorithms).map(Keys::Fixed),
            IssuerKeys::Jwks { url, ca_file } => {
                Jwks::new(url, ca_file.as_deref()).map(|jwks| Keys::Remote(Box::new(jwks)))
            }
        };
        match keys {
            Ok(keys) if wrong.is_empty() => Ok(Self { config, keys }),
            Ok(_) => Err(wrong),
            Err(what) => {
                wrong.push(what);
                Err(wrong)
            }
        }
    }

    pub(super) async fn authenticate(
        &self,
        token: Unverified<'_>,
        directory: &Directory,
        effort: Effort,
        now_ms: i64,
    ) -> Result<Authenticated, Cause> {
        let key = self.key(&token, effort, now_ms).await?;
        if !self.config.algorithms.contains(&key.algorithm) {
            return Err(Cause::InvalidToken("algorithm"));
        }
        let leeway_secs = i64::from(self.config.leeway_secs);
        let expected = Expected {
            issuer: &self.config.issuer,
            audiences: &self.config.audiences,
            leeway_secs,
        };
        let claims = token.verify(&key, &expected, now_ms)?;
        // Its organization is configured; a claim about it may be absent, but not contradict.
        match &claims.org_id {
            None | Some(Value::Null) => {}
            Some(Value::String(id)) if id.parse() == Ok(self.config.organization) => {}
            Some(_) => return Err(Cause::UnknownCredential),
        }
        claims.check_not_before(leeway_secs, now_ms)?;
        let (registered, filled) = directory
            .registered_to_confirm(self.config.organization)
            .await?;
        let principal = self.principal(&claims, registered, filled)?;
        Ok(Authenticated {
            counted_as: principal.user.unwrap_or(principal.credential),
            token_expires_at: principal.expires_at,
            principal: Arc::new(principal),
            is_own_session: false,
        })
    }

    /// The key that the token names; where it names none, the only one of its algorithm.
    async fn key(
        &self,
        token: &Unverified<'_>,
        effort: Effort,
        now_ms: i64,
    ) -> Result<VerifyingKey, Cause> {
        match &self.keys {
            Keys::Fixed(keys) => choose(keys, token.kid(), token.algorithm()).cloned(),
            Keys::Remote(jwks) => {
                jwks.key(token.kid(), token.algorithm(), effort, now_ms)
                    .await?
            }
        }
        .ok_or(Cause::InvalidToken("key"))
    }

    fn principal(
        &self,
        claims: &Claims,
        registered: Arc<BTreeSet<String>>,
        filled: FilledUnder,
    ) -> Result<Principal, Cause> {
        let issuer = &self.config.issuer;
        let subject = claims
            .sub
            .as_deref()
            .filter(|subject| !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX)
            .ok_or(Cause::InvalidToken("subject"))?;
        let user = stable_id(&[issuer, subject]);
        let token = claims
            .jti
            .as_deref()
            .map_or(user, |token| stable_id(&[issuer, subject, token]));
        let roles = self.roles(claims);
        let clusters = match &self.config.clusters_claim {
            None => Clusters::All,
            Some(claim) => Clusters::only(
                values(claims, claim)
                    .into_iter()
                    .filter(|id| is_cluster_id(id)),
            ),
        };
        Ok(Principal {
            credential: token,
            kind: CallerKind::Session,
            organization: self.config.organization,
            user: Some(user),
            name: subject.to_owned(),
            key_name: None,
            // As long as its issuer's clock may be behind: it is let in until then, so it lasts until then.
            expires_at: claims
                .expires_at()
                .map(|at| at.saturating_add(i64::from(self.config.leeway_secs))),
            caller: Caller {
                kind: CallerKind::Session,
                subject: format!("{issuer}#{subject}"),
                organization: self.config.organization.to_string(),
                roles,
                permissions: Vec::new(),
                scopes: None,
                clusters,
                allowed_clusters: Clusters::All,
                agent_cluster: None,
                operator: false,
                mfa: false,
                auth_time: claims
                    .auth_time
                    .as_ref()
                    .and_then(millis)
                    .map(|at| at.div_euclid(1000)),
                credential_created: None,
            },
            registered,
            version: None,
            is_successor: false,
            filled,
            standing: crate::principal::Standing::default(),
            packed: crate::engine::PackedCaller::default(),
            identity: std::sync::OnceLock::new(),
            in_log: std::sync::OnceLock::new(),
        })
    }

    fn roles(&self, claims: &Claims) -> Vec<String> {
        let Some(claim) = &self.config.roles_claim else {
            return Vec::new();
        };
        let roles: BTreeSet<&String> = values(claims, claim)
            .into_iter()
            .filter_map(|value| self.config.roles.get(value))
            .collect();
        roles.into_iter().cloned().collect()
    }
}

/// The texts of a claim.
fn values<'c>(claims: &'c Claims, claim: &str) -> Vec<&'c str> {
    match claims.others.get(claim) {
        Some(Value::String(value)) => vec![value],
        Some(Value::Array(values)) => values
            .iter()
            .take(CLAIM_VALUES_MAX)
            .filter_map(Value::as_str)
            .collect(),
        _ => Vec::new(),
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

pub(super) fn is_symmetric(algorithm: Algorithm) -> bool {
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

/// An id that is the same for the same parts and for no others.
fn stable_id(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(digest.iter())
        .for_each(|(byte, from)| *byte = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

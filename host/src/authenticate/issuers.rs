//! External issuers of JWTs (an OpenID provider): each bound to its keys, its algorithms and one organization.
//!
//! A subject is (issuer, subject), so that two issuers cannot speak for one another's people. Roles come from a
//! claim, by a mapping that the configuration gives; what it does not name grants nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jsonwebtoken::Algorithm;
use scopegate_policy::{Caller, CallerKind, Clusters, is_cluster_id};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Authenticated, Effort,
    issuer_keys::{IssuerKeys, KeySet},
    jwt::{Claims, Expected, Unverified, millis},
    kubernetes::{Kubernetes, KubernetesConfig},
};
use crate::{Cause, Directory, Principal, counters::redis::FilledUnder, principal::stable_id};

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

/// What is wrong with an issuer of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("issuer `{issuer}`: {what}")]
pub struct BadIssuer {
    /// Which.
    pub issuer: String,
    /// What is wrong.
    pub what: String,
}

/// Everybody else whose tokens count here: issuers of people's, and clusters, which issue those of their workloads.
#[derive(Debug, Default)]
pub struct Issuers {
    people: Vec<Issuer>,
    clusters: Vec<Kubernetes>,
}

/// Who says that they have issued a token.
pub(super) enum Source<'i> {
    /// A session of somebody's.
    People(&'i Issuer),
    /// A workload's, which is the agent of its cluster.
    Cluster(&'i Kubernetes),
}

impl Issuers {
    /// Checks the configured issuers and reads their keys; remote ones are fetched when they are first needed.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(configs: Vec<IssuerConfig>) -> Result<Self, Vec<BadIssuer>> {
        Self::with_clusters(configs, Vec::new())
    }

    /// The same, with clusters whose workloads may call.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn with_clusters(
        people: Vec<IssuerConfig>,
        clusters: Vec<KubernetesConfig>,
    ) -> Result<Self, Vec<BadIssuer>> {
        let mut issuers = Self::default();
        let mut wrong = Vec::new();
        for config in people {
            let issuer = config.issuer.clone();
            let problems = issuers.add_people(config);
            wrong.extend(BadIssuer::all(&issuer, problems));
        }
        for config in clusters {
            let issuer = config.issuer.clone();
            let problems = issuers.add_cluster(config);
            wrong.extend(BadIssuer::all(&issuer, problems));
        }
        if wrong.is_empty() {
            Ok(issuers)
        } else {
            Err(wrong)
        }
    }

    fn add_people(&mut self, config: IssuerConfig) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.has_people_of(&config.issuer) {
            wrong.push(TWICE.to_owned());
        }
        match Issuer::new(config) {
            Ok(issuer) => self.people.push(issuer),
            Err(problems) => wrong.extend(problems),
        }
        wrong
    }

    fn add_cluster(&mut self, config: KubernetesConfig) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.has_people_of(&config.issuer) {
            wrong.push(TWICE.to_owned());
        }
        let mut others = self.clusters.iter();
        if others.any(|other| other.config().is_confused_with(&config)) {
            wrong.push("two clusters with it have an audience in common".to_owned());
        }
        match Kubernetes::new(config) {
            Ok(cluster) => self.clusters.push(cluster),
            Err(problems) => wrong.extend(problems),
        }
        wrong
    }

    fn has_people_of(&self, issuer: &str) -> bool {
        self.people
            .iter()
            .any(|known| known.config.issuer == issuer)
    }

    /// Whether workloads of some cluster may call.
    pub(super) fn take_workloads(&self) -> bool {
        !self.clusters.is_empty()
    }

    /// Whose token this says it is. Nothing is believed by it: only theirs to verify can make it true.
    pub(super) fn find(&self, token: &Unverified<'_>) -> Option<Source<'_>> {
        let issuer = token.claims().iss.as_deref()?;
        if let Some(people) = self.people.iter().find(|one| one.config.issuer == issuer) {
            return Some(Source::People(people));
        }
        let of_issuer = || {
            self.clusters
                .iter()
                .filter(|one| one.config().issuer == issuer)
        };
        // Clusters that were set up alike have the same name for themselves: the audience tells them apart.
        let meant = of_issuer().find(|one| token.claims().are_for(&one.config().audiences));
        meant.or_else(|| of_issuer().next()).map(Source::Cluster)
    }
}

const TWICE: &str = "it is configured twice";

impl BadIssuer {
    fn all(issuer: &str, problems: Vec<String>) -> impl Iterator<Item = Self> {
        problems.into_iter().map(move |what| Self {
            issuer: issuer.to_owned(),
            what,
        })
    }
}

/// What must hold of an issuer whoever's tokens it issues; says what does not.
pub(super) fn check_terms(issuer: &str, audiences: &[String], leeway_secs: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    if issuer.is_empty() {
        wrong.push("its name is empty".to_owned());
    }
    if audiences.is_empty() || audiences.iter().any(String::is_empty) {
        wrong.push("it needs at least one audience, and no empty one".to_owned());
    }
    if leeway_secs > LEEWAY_SECS_MAX {
        wrong.push(format!("`leeway_secs` is at most {LEEWAY_SECS_MAX}"));
    }
    wrong
}

/// A token's end, as long as its issuer's clock may be behind: it is let in until then, so it lasts until then.
pub(super) fn ends_at(claims: &Claims, leeway_secs: i64) -> Option<i64> {
    let ends_at = claims.expires_at();
    ends_at.map(|at| at.saturating_add(leeway_secs))
}

#[derive(Debug)]
pub(super) struct Issuer {
    config: IssuerConfig,
    keys: KeySet,
}

impl Issuer {
    fn new(config: IssuerConfig) -> Result<Self, Vec<String>> {
        let mut wrong = check_terms(&config.issuer, &config.audiences, config.leeway_secs);
        if config.roles_claim.is_none() && !config.roles.is_empty() {
            wrong.push("`roles` needs `roles_claim`".to_owned());
        }
        match KeySet::new(&config.keys, &config.algorithms) {
            Ok(keys) if wrong.is_empty() => Ok(Self { config, keys }),
            Ok(_) => Err(wrong),
            Err(what) => {
                wrong.extend(what);
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
        let key = self.keys.key(&token, effort, now_ms).await?;
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
            expires_at: ends_at(claims, i64::from(self.config.leeway_secs)),
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

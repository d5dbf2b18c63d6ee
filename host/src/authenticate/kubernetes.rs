//! Clusters whose workloads call with the tokens of their service accounts: each such token is its cluster's agent, whatever
//! else it says, so that an agent needs no secret that somebody keeps.
//!
//! The cluster's keys verify a token here, or its API server is asked. What a token says is read before, because nothing
//! of it is believed by that: it can only be refused by it.

mod review;
mod service_account;

use jsonwebtoken::Algorithm;
use scopegate_policy::is_cluster_id;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Authenticated, Effort, Rejected,
    issuer_keys::{IssuerKeys, KeySet},
    issuers::{check_terms, ends_at},
    jwt::{Expected, Unverified},
};
use crate::{Cause, Directory, directory::Workload};
pub use review::{CACHE_SECS_MAX, TokenReview};
use review::{Reviewer, Vouched};
use service_account::ServiceAccount;
pub use service_account::ServiceAccounts;

/// A cluster whose workloads may call, as the configuration has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// The registered cluster whose agents they are.
    pub cluster: String,
    /// The organization that it is in.
    pub organization: Uuid,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Accepted values of `aud`.
    pub audiences: Vec<String>,
    /// Whose tokens count, each as [`ServiceAccounts::parse`] takes it.
    pub service_accounts: Vec<String>,
    /// How far its clock may differ, in seconds.
    #[serde(default)]
    pub leeway_secs: u32,
    /// Who says that a token is good.
    pub proof: ProofConfig,
}

/// Who says that a token of a cluster's is good.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofConfig {
    /// The cluster's keys.
    Signature {
        /// Accepted algorithms; none with shared secrets.
        algorithms: Vec<Algorithm>,
        /// Its keys.
        keys: IssuerKeys,
    },
    /// Its API server.
    TokenReview(TokenReview),
}

impl KubernetesConfig {
    /// Whether some token could be of either of the two: they have one issuer, and an audience in common.
    pub fn is_confused_with(&self, other: &Self) -> bool {
        let has = |audience| other.audiences.contains(audience);
        self.issuer == other.issuer && self.audiences.iter().any(has)
    }

    /// Whether it takes what pods have for their API server itself, which every one of them has.
    pub fn takes_api_servers_tokens(&self) -> bool {
        self.audiences.contains(&self.issuer)
    }
}

#[derive(Debug)]
pub(super) struct Kubernetes {
    config: KubernetesConfig,
    accounts: Vec<ServiceAccounts>,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    Signature(KeySet),
    Review(Box<Reviewer>),
}

impl Kubernetes {
    pub(super) fn new(config: KubernetesConfig) -> Result<Self, Vec<String>> {
        let mut wrong = check_terms(&config.issuer, &config.audiences, config.leeway_secs);
        if !is_cluster_id(&config.cluster) {
            wrong.push(format!("`{}` is not the id of a cluster", config.cluster));
        }
        if config.takes_api_servers_tokens() {
            wrong.push("its audience is the API server's own".to_owned());
        }
        if config.service_accounts.is_empty() {
            wrong.push("it needs at least one of `service_accounts`".to_owned());
        }
        let mut accounts = Vec::new();
        for text in &config.service_accounts {
            match ServiceAccounts::parse(text) {
                Ok(those) => accounts.push(those),
                Err(what) => wrong.push(what),
            }
        }
        match Proof::new(&config) {
            Ok(proof) if wrong.is_empty() => Ok(Self {
                config,
                accounts,
                proof,
            }),
            Ok(_) => Err(wrong),
            Err(what) => {
                wrong.extend(what);
                Err(wrong)
            }
        }
    }

    pub(super) fn config(&self) -> &KubernetesConfig {
        &self.config
    }

    pub(super) async fn authenticate(
        &self,
        token: Unverified<'_>,
        directory: &Directory,
        effort: Effort,
        now_ms: i64,
    ) -> Result<Authenticated, Rejected> {
        let account = ServiceAccount::read(token.claims())?;
        // As one that is forged: who may call is nothing to be found out by trying.
        if !self.accounts.iter().any(|those| those.has(&account)) {
            return Err(Cause::InvalidToken("service account").into());
        }
        let ends_at = self.prove(token, &account, effort, now_ms).await?;
        let workload = Workload {
            organization: self.config.organization,
            cluster: &self.config.cluster,
            account: &account.subject,
            pod: account.pod.as_deref(),
        };
        let found = directory.by_workload(&workload).await;
        let principal = found.map_err(Cause::from)?.accepted()?;
        Ok(Authenticated {
            counted_as: principal.credential,
            token_expires_at: Some(ends_at),
            principal,
            is_own_session: false,
        })
    }

    /// Has the token proven, and gives its end. What was read of it is believed from here on.
    async fn prove(
        &self,
        token: Unverified<'_>,
        account: &ServiceAccount,
        effort: Effort,
        now_ms: i64,
    ) -> Result<i64, Cause> {
        let leeway_secs = i64::from(self.config.leeway_secs);
        let expected = Expected {
            issuer: &self.config.issuer,
            audiences: &self.config.audiences,
            leeway_secs,
        };
        let text = token.text();
        let claims = match &self.proof {
            Proof::Signature(keys) => {
                let key = keys.key(&token, effort, now_ms).await?;
                token.verify(&key, &expected, now_ms)?
            }
            Proof::Review(_) => token.vouched_for(&expected, now_ms)?,
        };
        claims.check_not_before(leeway_secs, now_ms)?;
        let ends_at = ends_at(&claims, leeway_secs).ok_or(Cause::InvalidToken("no expiry"))?;
        if let Proof::Review(reviewer) = &self.proof {
            // Only now: what another would not be taken for is shown to nobody.
            let vouched = Vouched {
                token: text,
                account,
                ends_at,
            };
            reviewer.review(&vouched, effort, now_ms).await?;
        }
        Ok(ends_at)
    }
}

impl Proof {
    fn new(config: &KubernetesConfig) -> Result<Self, Vec<String>> {
        match &config.proof {
            ProofConfig::Signature { algorithms, keys } => {
                KeySet::new(keys, algorithms).map(Self::Signature)
            }
            ProofConfig::TokenReview(review) => {
                let reviewer = Reviewer::new(review, &config.audiences);
                reviewer
                    .map(|reviewer| Self::Review(Box::new(reviewer)))
                    .map_err(|what| vec![what])
            }
        }
    }
}

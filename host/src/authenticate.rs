//! Who is calling: three answers (not presented, authenticated, rejected), and never a fourth.
//!
//! The first presented credential settles it; several are refused before any look-up, and a rejected one is never
//! rescued by another.

#[cfg(test)]
mod credentials;
mod issuer_keys;
mod issuers;
mod jwks;
mod jwt;
mod kubernetes;

use std::sync::Arc;

use http::HeaderMap;
use scopegate_policy::CallerKind;
use uuid::Uuid;

use crate::{
    Cause, Contract, Directory, Principal,
    directory::LookUp,
    key::{self, KeyFormat, KeyHash},
    keyring::{KeyRing, Keys},
};
use issuers::Source;
use jwt::{Claims, Expected, Unverified};
pub(crate) use scopegate_policy::wire::credential::Door;
use scopegate_policy::wire::{
    credential::{self, Accepted, Presented, Secret},
    filter::Kind,
};

pub use crate::fetch::{BYTES_MAX as JWKS_BYTES_MAX, Place};
pub use issuer_keys::{IssuerKey, IssuerKeys};
pub use issuers::{BadIssuer, IssuerConfig, Issuers};
pub use jwt::TOKEN_BYTES_MAX;
pub use kubernetes::{CACHE_SECS_MAX, KubernetesConfig, ProofConfig, ServiceAccounts, TokenReview};

/// What is known of the caller after their credential was looked at.
#[derive(Debug)]
pub(crate) enum Authentication {
    /// There was no credential.
    NotPresented,
    /// The credential is good.
    Authenticated(Authenticated),
    /// There was one and it is not accepted; or it cannot be told whether it is.
    Rejected(Rejected),
}

/// Why a credential is not accepted.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) cause: Cause,
    /// Whose it was while it was good, for the record.
    pub(crate) former: Option<Arc<Principal>>,
}

impl From<Cause> for Rejected {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            former: None,
        }
    }
}

impl LookUp {
    /// The caller, if they may still call.
    fn accepted(self) -> Result<Arc<Principal>, Rejected> {
        let (cause, former) = match self {
            Self::Found(principal) => return Ok(principal),
            Self::Unknown => (Cause::UnknownCredential, None),
            Self::Revoked(former) => (Cause::Revoked, Some(former)),
            Self::Expired(former) => (Cause::Expired, Some(former)),
        };
        Err(Rejected { cause, former })
    }
}

/// A caller and what their requests are counted by.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) principal: Arc<Principal>,
    /// The credential; for external issuers, whose tokens are as many as they like, the subject.
    pub(crate) counted_as: Uuid,
    /// When this token ends, which may be before its session does. Seconds since the epoch.
    pub(crate) token_expires_at: Option<i64>,
    /// Whether it is a session of this gate, which can be refreshed and ended here.
    pub(crate) is_own_session: bool,
}

impl Authenticated {
    /// The same caller as they are now. A session's token ends by itself, as a workload's does; a key, with what the store
    /// knows of it.
    pub(crate) fn renew(&mut self, now: Arc<Principal>) {
        if now.kind != CallerKind::Session && now.version.is_some() {
            self.token_expires_at = now.expires_at;
        }
        self.principal = now;
    }
}

/// How far a credential may be looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Store and issuers are asked.
    Full,
    /// Only what is cached counts: the address has presented too many bad ones.
    CachedOnly,
}

/// Whose tokens count where one is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Those of people and of workloads.
    All,
    /// Those of workloads, which are agents: the contract has no sessions on its API.
    Workloads,
}

impl Takes {
    fn on_api(contract: &Contract) -> Self {
        match contract.sessions_on_api {
            true => Self::All,
            false => Self::Workloads,
        }
    }
}

/// Everything that credentials are checked against.
pub(crate) struct Authenticator {
    pub(crate) directory: Directory,
    pub(crate) keys: Keys,
    pub(crate) issuers: Issuers,
    /// The audience of own tokens.
    pub(crate) audience: [String; 1],
}

impl Authenticator {
    /// Looks at the credential of a request.
    pub(crate) async fn authenticate(
        &self,
        contract: &Contract,
        door: Door,
        headers: &HeaderMap,
        effort: Effort,
        now_ms: i64,
    ) -> Authentication {
        let accepted = Accepted {
            tokens: contract.sessions_on_api || self.issuers.take_workloads(),
            ..contract.accepted()
        };
        let takes = match door {
            Door::Api => Takes::on_api(contract),
            Door::Own => Takes::All,
        };
        let answer = match credential::presented(accepted, door, headers) {
            Presented::Nothing => return Authentication::NotPresented,
            Presented::Several => Err(Cause::SeveralCredentials.into()),
            Presented::Unusable => Err(Cause::UnknownCredential.into()),
            Presented::Key(secret) => self.key(contract, &secret, effort, now_ms).await,
            Presented::Token(token) => self.token(&token, takes, effort, now_ms).await,
        };
        match answer {
            Ok(authenticated) => Authentication::Authenticated(authenticated),
            Err(rejected) => Authentication::Rejected(rejected),
        }
    }

    /// Looks at a credential that somebody presents in a body rather than as their own.
    pub(crate) async fn look_at(
        &self,
        contract: &Contract,
        credential: &str,
        now_ms: i64,
    ) -> Result<Authenticated, Cause> {
        let answer = match credential::of_text(credential) {
            Presented::Key(secret) => self.key(contract, &secret, Effort::Full, now_ms).await,
            Presented::Token(token) => self.token(&token, Takes::All, Effort::Full, now_ms).await,
            _ => return Err(Cause::UnknownCredential),
        };
        answer.map_err(|rejected| rejected.cause)
    }

    /// Looks at a credential that was found in another place than here, and was taken there for what it is said to be.
    pub(crate) async fn look_at_kind(
        &self,
        contract: &Contract,
        kind: Kind,
        credential: &str,
        now_ms: i64,
    ) -> Result<Authenticated, Cause> {
        let answer = match (kind, credential::of_text(credential)) {
            (Kind::Token, Presented::Token(token)) => {
                let takes = Takes::on_api(contract);
                self.token(&token, takes, Effort::Full, now_ms).await
            }
            (Kind::Key, _) => match credential::of_key(credential) {
                Presented::Key(secret) => self.key(contract, &secret, Effort::Full, now_ms).await,
                _ => return Err(Cause::UnknownCredential),
            },
            _ => return Err(Cause::UnknownCredential),
        };
        answer.map_err(|rejected| rejected.cause)
    }

    async fn key(
        &self,
        contract: &Contract,
        secret: &Secret<'_>,
        effort: Effort,
        now_ms: i64,
    ) -> Result<Authenticated, Rejected> {
        if key::recognise(&contract.key_prefix, secret.expose()) == KeyFormat::BadChecksum {
            return Err(Cause::UnknownCredential.into());
        }
        let hash = KeyHash::of(secret.expose());
        let principal = match effort {
            Effort::CachedOnly => self
                .directory
                .cached(&hash, now_ms)
                .ok_or(Cause::TooManyFailures)?,
            Effort::Full => {
                let found = self.directory.by_key(&hash, now_ms).await;
                found.map_err(Cause::from)?.accepted()?
            }
        };
        Ok(Authenticated {
            counted_as: principal.credential,
            token_expires_at: principal.expires_at,
            principal,
            is_own_session: false,
        })
    }

    async fn token(
        &self,
        token: &Secret<'_>,
        takes: Takes,
        effort: Effort,
        now_ms: i64,
    ) -> Result<Authenticated, Rejected> {
        let token = Unverified::parse(token.expose())?;
        let ring = self.keys.current();
        let is_own = token.claims().iss.as_deref() == Some(ring.issuer());
        // The issuer that the token names chooses the keys, and only those can then make it true.
        match self.issuers.find(&token) {
            _ if is_own && takes == Takes::All => {
                self.own_token(token, &ring, effort, now_ms).await
            }
            // Boxed: others may have to be asked, and every request would carry room for that.
            Some(Source::People(issuer)) if !is_own && takes == Takes::All => {
                let known = issuer.authenticate(token, &self.directory, effort, now_ms);
                Ok(Box::pin(known).await?)
            }
            Some(Source::Cluster(cluster)) if !is_own => {
                Box::pin(cluster.authenticate(token, &self.directory, effort, now_ms)).await
            }
            _ if takes == Takes::Workloads => Err(Cause::UnknownCredential.into()),
            _ => Err(Cause::InvalidToken("issuer").into()),
        }
    }

    async fn own_token(
        &self,
        token: Unverified<'_>,
        ring: &KeyRing,
        effort: Effort,
        now_ms: i64,
    ) -> Result<Authenticated, Rejected> {
        let key = token
            .kid()
            .and_then(|kid| ring.verifying(kid, now_ms))
            .ok_or(Cause::InvalidToken("key"))?;
        let expected = Expected {
            issuer: ring.issuer(),
            audiences: &self.audience,
            leeway_secs: 0,
        };
        let claims = token.verify(key, &expected, now_ms)?;
        let organization = organization(&claims)?;
        claims.check_not_before(0, now_ms)?;
        let id =
            |claim: &Option<String>| claim.as_deref().and_then(|text| text.parse::<Uuid>().ok());
        let (Some(session), Some(user)) = (id(&claims.sid), id(&claims.sub)) else {
            return Err(Cause::UnknownCredential.into());
        };
        let principal = match effort {
            Effort::CachedOnly => self
                .directory
                .cached_session(session, user, now_ms)
                .ok_or(Cause::TooManyFailures)?,
            Effort::Full => {
                let found = self.directory.by_session(session, user, now_ms).await;
                found.map_err(Cause::from)?.accepted()?
            }
        };
        if principal.kind != CallerKind::Session
            || organization.parse() != Ok(principal.organization)
        {
            return Err(Cause::UnknownCredential.into());
        }
        Ok(Authenticated {
            counted_as: session,
            token_expires_at: claims.expires_at(),
            principal,
            is_own_session: true,
        })
    }
}

/// The `org_id` claim. One that is there but says nothing counts as missing.
fn organization(claims: &Claims) -> Result<&str, Cause> {
    match &claims.org_id {
        Some(serde_json::Value::String(id)) if !id.is_empty() => Ok(id),
        None | Some(serde_json::Value::Null | serde_json::Value::String(_)) => {
            Err(Cause::MissingOrgId)
        }
        Some(_) => Err(Cause::UnknownCredential),
    }
}

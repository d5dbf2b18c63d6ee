//! What a presented credential is (RFC 7662), and ending it (RFC 7009): for services behind the gate.
//!
//! Only of the asker's own organization: a credential of another is as unknown as one that never was. Whoever presents
//! a credential has it, so they may have it ended.

use uuid::Uuid;

use super::Gate;
use crate::{
    Cause, Principal,
    store::{Change, ChangeError, Origin, StoreError},
};
use scopegate_policy::CallerKind;

/// What an active credential says. Times are in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// The credential's id.
    pub credential: Uuid,
    /// What it is.
    pub kind: CallerKind,
    /// Who acts: the user, the key or the agent.
    pub subject: String,
    /// Whose name the audit shows.
    pub name: String,
    /// The organization.
    pub organization: Uuid,
    /// What it is narrowed to; `None`: not narrowed.
    pub scopes: Option<Vec<String>>,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
}

impl Gate {
    /// What this credential is; nothing where it is not good now, or not of the caller's organization.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn introspect(
        &self,
        credential: &str,
        caller: &Principal,
        now_ms: i64,
    ) -> Result<Option<Introspection>, StoreError> {
        let found = self
            .authenticator
            .look_at(&self.contract, credential, now_ms)
            .await;
        let found = match found {
            Ok(found) => self.confirmed(found, now_ms).await,
            Err(cause) => Err(cause),
        };
        let found = match found {
            Ok(found) => found,
            Err(Cause::Unavailable(why)) => return Err(StoreError::Unavailable(why)),
            Err(_) => return Ok(None),
        };
        let principal = &found.principal;
        if principal.organization != caller.organization || principal.caller.operator {
            return Ok(None);
        }
        let ends = found
            .token_expires_at
            .into_iter()
            .chain(principal.expires_at);
        Ok(Some(Introspection {
            credential: principal.credential,
            kind: principal.kind,
            subject: principal.caller.subject.clone(),
            name: principal.name.clone(),
            organization: principal.organization,
            scopes: principal.caller.scopes.clone(),
            expires_at: ends.min(),
        }))
    }

    /// Ends this credential, if it is good and of the caller's organization; `false` where it is not. Tokens of external
    /// issuers cannot be ended here.
    ///
    /// # Errors
    /// When it cannot be told, or not be done.
    pub async fn revoke_presented(
        &self,
        credential: &str,
        caller: &Principal,
        origin: Origin,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let Some(found) = self.introspect(credential, caller, now_ms).await? else {
            return Ok(false);
        };
        let change = match found.kind {
            CallerKind::Session => Change::EndSession(found.credential),
            CallerKind::ApiKey | CallerKind::Agent => Change::Revoke(found.credential),
            CallerKind::Anonymous => return Ok(false),
        };
        match self.directory().apply(change, origin, now_ms).await {
            Ok(changed) => Ok(changed),
            Err(ChangeError::Conflict(_)) => Ok(false),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }
}

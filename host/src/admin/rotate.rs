//! Rotation: a successor with the same rights, while the old one stays good until a chosen time.

use uuid::Uuid;

use super::{
    Admin, AdminError, Minted, Once, Reply, Whose, command::RotateRequest, credential::check_expiry,
};
use crate::store::{Change, Credential, CredentialKind};

/// How long the old one stays good where nothing else is said, in seconds: a day.
pub(super) const OVERLAP_SECS: i64 = 24 * 3600;
/// And how long at most: 90 days.
pub(super) const OVERLAP_SECS_MAX: i64 = 90 * 24 * 3600;
/// How far in the past an end may be that means now, in seconds: the request was on its way, and clocks differ.
const LATE_SECS: i64 = 60;

impl Admin<'_> {
    /// Makes a successor of a credential that the caller may know of; `retires_at` and `expires_at` in seconds since
    /// the epoch.
    pub async fn rotate_by_id(
        &self,
        id: Uuid,
        kind: CredentialKind,
        whose: Whose,
        (retires_at, expires_at): (Option<i64>, Option<i64>),
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Minted, AdminError> {
        let old = self.credential_by_id(id, kind, whose).await?;
        let is_itself = self.caller.is_some_and(|caller| caller.credential == id);
        match kind {
            CredentialKind::ApiKey if is_itself => {
                // A stolen key must not outlive the one that it was stolen as.
                let beyond = |end| old.expires_at.is_some_and(|own| end > own);
                if expires_at.is_some_and(beyond) {
                    return Err(AdminError::forbidden(
                        "a key cannot give its successor a later expiry than its own",
                    ));
                }
            }
            CredentialKind::ApiKey => self.require_key_held(&old)?,
            // What its role gives is checked when the successor is made.
            CredentialKind::Agent => {}
        }
        self.rotate(old, retires_at, expires_at, once, now_ms).await
    }

    pub(super) async fn rotate_named(
        &self,
        request: RotateRequest,
        kind: CredentialKind,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let id = self
            .credential(request.organization, &request.credential, kind)
            .await?;
        let old = self.directory.store().find_credential_row(id).await?;
        let old = old.ok_or_else(|| AdminError::no_such("credential"))?;
        let minted = self
            .rotate(old, request.retires_at, request.expires_at, None, now_ms)
            .await?;
        Ok(minted.into())
    }

    async fn rotate(
        &self,
        old: Credential,
        retires_at: Option<i64>,
        expires_at: Option<i64>,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Minted, AdminError> {
        let now = now_ms.div_euclid(1000);
        let retires_at = retires_at.unwrap_or(now + OVERLAP_SECS);
        if retires_at < now - LATE_SECS {
            return Err(AdminError::invalid("the end of the overlap is in the past")
                .help("leave it out for a day from now"));
        }
        let retires_at = retires_at.max(now);
        if retires_at - now > OVERLAP_SECS_MAX {
            return Err(AdminError::invalid(
                "the overlap is longer than 90 days, so the old one would as well stay",
            ));
        }
        if expires_at.is_some()
            && old.kind == CredentialKind::ApiKey
            && !self.contract.minting.expiry_allowed
        {
            return Err(self.not_by_contract("have no expiry; they end when they are revoked"));
        }
        check_expiry(expires_at, now_ms)?;
        if old.kind == CredentialKind::Agent {
            // As when it was minted: the role must be there, and whoever asks must hold it.
            let cluster = old.cluster.clone().unwrap_or_default();
            self.agent(old.organization, cluster, None, None, now_ms)?;
        }
        let id = old.id;
        let successor = Credential {
            id: Uuid::now_v7(),
            predecessor: Some(id),
            successor: None,
            retires_at: None,
            created_at: now,
            expires_at: expires_at.or(old.expires_at),
            ..old
        };
        let (new, secret) = self.with_secret(successor, once)?;
        let credential = new.credential.clone();
        let change = Change::Rotate {
            old: id,
            retires_at,
            new: Box::new(new),
        };
        let made = self.apply(change, now_ms).await;
        self.minted(made, credential, secret).await
    }
}

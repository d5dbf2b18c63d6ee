//! What must be so in the store before a change is made.

use scopegate_policy::Clusters;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::Tx;
use crate::{
    password::PasswordHash,
    store::{
        CallerVersion, ChangeError, Conflict, Expected, Idempotency, StoreError,
        sqlite::unavailable,
    },
};

/// How long a request may be sent again, in seconds: a day.
const IDEMPOTENCY_KEPT_SECS: i64 = 24 * 3600;

/// The first of the wanted clusters that the organization does not have. Looks up those alone: however many it has, the
/// only writer is not kept.
pub(in crate::store::sqlite) const MISSING_CLUSTER: &str = "SELECT w.value FROM json_each(?2) w \
     WHERE NOT EXISTS (SELECT 1 FROM clusters k \
         WHERE k.organization = ?1 AND k.id = w.value AND k.deleted_at IS NULL) \
     ORDER BY w.key LIMIT 1";

impl Tx<'_> {
    pub(super) async fn require_organization(&mut self, id: Uuid) -> Result<(), ChangeError> {
        let found = sqlx::query("SELECT 1 FROM organizations WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        found
            .map(drop)
            .ok_or_else(|| Conflict::UnknownOrganization.into())
    }

    /// The user's organization, and whether they are disabled.
    pub(super) async fn require_user(
        &mut self,
        id: Uuid,
    ) -> Result<(Option<Uuid>, bool), ChangeError> {
        let found =
            sqlx::query("SELECT organization, disabled_at IS NOT NULL FROM users WHERE id = ?")
                .bind(id.to_string())
                .fetch_optional(&mut *self.tx)
                .await
                .map_err(unavailable)?
                .ok_or(Conflict::UnknownUser)?;
        let organization = parse_id(found.try_get(0).map_err(unavailable)?, "users", id)?;
        Ok((organization, found.try_get(1).map_err(unavailable)?))
    }

    /// The organization of a user who is active; none for an operator.
    pub(super) async fn require_active(&mut self, id: Uuid) -> Result<Option<Uuid>, ChangeError> {
        match self.require_user(id).await? {
            (_, true) => Err(Conflict::UserDisabled.into()),
            (organization, false) => Ok(organization),
        }
    }

    /// That this is the user's password still.
    pub(super) async fn require_password(
        &mut self,
        id: Uuid,
        password: &PasswordHash,
    ) -> Result<(), ChangeError> {
        let found = sqlx::query("SELECT 1 FROM users WHERE id = ? AND password_hash = ?")
            .bind(id.to_string())
            .bind(password.phc().to_owned())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        found
            .map(drop)
            .ok_or_else(|| Conflict::PasswordChanged.into())
    }

    /// The organization of a user who is active and not an operator.
    pub(super) async fn require_member(&mut self, id: Uuid) -> Result<Uuid, ChangeError> {
        match self.require_user(id).await? {
            (None, _) => Err(Conflict::Operator.into()),
            (Some(_), true) => Err(Conflict::UserDisabled.into()),
            (Some(organization), false) => Ok(organization),
        }
    }

    /// Whether the organization's cluster was deleted; `None` where it never had one with this id.
    pub(super) async fn cluster(
        &mut self,
        organization: Uuid,
        id: &str,
    ) -> Result<Option<bool>, StoreError> {
        sqlx::query_scalar(
            "SELECT deleted_at IS NOT NULL FROM clusters WHERE organization = ? AND id = ?",
        )
        .bind(organization.to_string())
        .bind(id.to_owned())
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(unavailable)
    }

    /// What is edited is what was expected: `found` is its row, with its epoch.
    pub(super) fn require_expected(
        &self,
        expected: Expected,
        found: Option<&SqliteRow>,
        taken: impl FnOnce() -> Conflict,
    ) -> Result<(), ChangeError> {
        match (expected, found) {
            (Expected::Anything, _)
            | (Expected::Something, Some(_))
            | (Expected::Nothing, None) => Ok(()),
            (Expected::Nothing, Some(_)) => Err(taken().into()),
            (Expected::Something | Expected::Epoch(_), None) => Err(Conflict::Stale.into()),
            (Expected::Epoch(epoch), Some(row)) => {
                let now: i64 = row.try_get("epoch").map_err(unavailable)?;
                if now == epoch {
                    Ok(())
                } else {
                    Err(Conflict::Stale.into())
                }
            }
        }
    }

    /// The caller is who they were when they were let in.
    pub(super) async fn require_caller(
        &mut self,
        caller: &CallerVersion,
    ) -> Result<(), ChangeError> {
        let statement = match caller.is_session {
            true => {
                "SELECT c.epoch || ':' || ifnull(u.epoch, '') || ':' || ifnull(r.epoch, ''), \
                 c.revoked_at IS NOT NULL OR c.expires_at <= ?2 OR u.disabled_at IS NOT NULL \
                 FROM sessions c LEFT JOIN users u ON u.id = c.user \
                 LEFT JOIN roles r ON r.organization = u.organization AND r.name = u.role WHERE c.id = ?1"
            }
            // Whether a key ends with its owner is the contract's; a change of its owner shows in the version.
            false => {
                "SELECT c.epoch || ':' || ifnull(u.epoch, '') || ':' || ifnull(r.epoch, ''), \
                 c.revoked_at IS NOT NULL OR \
                 min(ifnull(c.expires_at, 1 << 62), ifnull(c.retires_at, 1 << 62)) <= ?2 \
                 FROM credentials c LEFT JOIN users u ON u.id = c.owner \
                 LEFT JOIN roles r ON r.organization = u.organization AND r.name = u.role WHERE c.id = ?1"
            }
        };
        let found = sqlx::query(statement)
            .bind(caller.credential.to_string())
            .bind(self.now)
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(unavailable)?
            .ok_or(Conflict::CallerEnded)?;
        if found.try_get(1).map_err(unavailable)? {
            return Err(Conflict::CallerEnded.into());
        }
        let version: String = found.try_get(0).map_err(unavailable)?;
        match version == caller.version {
            true => Ok(()),
            false => Err(Conflict::CallerChanged.into()),
        }
    }

    /// The request was not made before.
    pub(super) async fn require_new(
        &mut self,
        idempotency: Option<&Idempotency>,
    ) -> Result<(), ChangeError> {
        let Some(Idempotency {
            actor,
            key,
            fingerprint,
        }) = idempotency
        else {
            return Ok(());
        };
        let found = sqlx::query(
            "SELECT fingerprint, subject FROM idempotency WHERE actor = ? AND key = ? AND created_at > ?",
        )
        .bind(actor.to_string())
        .bind(key.clone())
        .bind(self.now - IDEMPOTENCY_KEPT_SECS)
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(unavailable)?;
        let Some(found) = found else { return Ok(()) };
        let known: Vec<u8> = found.try_get(0).map_err(unavailable)?;
        if known != fingerprint {
            return Err(Conflict::OtherRequest.into());
        }
        Err(Conflict::Replayed(found.try_get(1).map_err(unavailable)?).into())
    }

    /// Keeps what the request made, and forgets a few that are old.
    pub(super) async fn remember(
        &mut self,
        idempotency: Option<&Idempotency>,
        subject: &str,
    ) -> Result<(), StoreError> {
        let Some(idempotency) = idempotency else {
            return Ok(());
        };
        let forget = sqlx::query(
            "DELETE FROM idempotency WHERE (actor, key) IN \
             (SELECT actor, key FROM idempotency WHERE created_at <= ? ORDER BY created_at LIMIT 100)",
        )
        .bind(self.now - IDEMPOTENCY_KEPT_SECS);
        self.run(forget).await?;
        let keep = sqlx::query(
            "INSERT OR REPLACE INTO idempotency (actor, key, fingerprint, subject, created_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(idempotency.actor.to_string())
        .bind(idempotency.key.clone())
        .bind(idempotency.fingerprint.to_vec())
        .bind(subject.to_owned())
        .bind(self.now);
        self.run(keep).await.map(drop)
    }

    pub(super) async fn require_clusters(
        &mut self,
        organization: Uuid,
        wanted: &Clusters,
    ) -> Result<(), ChangeError> {
        let Clusters::Only(ids) = wanted else {
            return Ok(());
        };
        let missing: Option<String> = sqlx::query_scalar(MISSING_CLUSTER)
            .bind(organization.to_string())
            .bind(serde_json::json!(ids).to_string())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        match missing {
            Some(id) => Err(Conflict::UnknownCluster(id).into()),
            None => Ok(()),
        }
    }
}

pub(super) fn parse_id(
    text: Option<String>,
    table: &'static str,
    id: Uuid,
) -> Result<Option<Uuid>, StoreError> {
    let parsed = text.map(|text| Uuid::parse_str(&text)).transpose();
    parsed.map_err(|_| StoreError::Corrupt {
        table,
        id: id.to_string(),
        what: "`organization` is not a UUID".to_owned(),
    })
}

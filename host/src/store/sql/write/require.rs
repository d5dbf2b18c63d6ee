//! What must be so in the store before a change is made.

use scopegate_policy::Clusters;
use uuid::Uuid;

use super::Tx;
use crate::{
    password::PasswordHash,
    store::sql::{ended, version},
    store::{
        CallerVersion, ChangeError, Conflict, Expected, Idempotency, StoreError,
        database::{Row, either, query},
    },
};

/// How long a request may be sent again, in seconds: a day.
const IDEMPOTENCY_KEPT_SECS: i64 = 24 * 3600;

/// The first of the wanted clusters that the organization does not have. Looks up those alone: however many it has, the
/// only writer is not kept.
pub(in crate::store) const MISSING_CLUSTER: [&str; 2] = [
    "SELECT w.value FROM json_each($2) w \
     WHERE NOT EXISTS (SELECT 1 FROM clusters k \
         WHERE k.organization = $1 AND k.id = w.value AND k.deleted_at IS NULL) \
     ORDER BY w.key LIMIT 1",
    "SELECT w.value FROM json_array_elements_text($2::json) WITH ORDINALITY w (value, key) \
     WHERE NOT EXISTS (SELECT 1 FROM clusters k \
         WHERE k.organization = $1 AND k.id = w.value AND k.deleted_at IS NULL) \
     ORDER BY w.key LIMIT 1",
];

impl Tx<'_> {
    pub(super) async fn require_organization(&mut self, id: Uuid) -> Result<(), ChangeError> {
        let found = query("SELECT 1 FROM organizations WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut self.tx)
            .await?;
        found
            .map(drop)
            .ok_or_else(|| Conflict::UnknownOrganization.into())
    }

    /// The user's organization, and whether they are disabled.
    pub(super) async fn require_user(
        &mut self,
        id: Uuid,
    ) -> Result<(Option<Uuid>, bool), ChangeError> {
        let found = query("SELECT organization, disabled_at IS NOT NULL FROM users WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut self.tx)
            .await?
            .ok_or(Conflict::UnknownUser)?;
        let organization = parse_id(found.get(0)?, "users", id)?;
        Ok((organization, found.get(1)?))
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
        let found = query("SELECT 1 FROM users WHERE id = $1 AND password_hash = $2")
            .bind(id.to_string())
            .bind(password.phc().to_owned())
            .fetch_optional(&mut self.tx)
            .await?;
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
        let found = query(
            "SELECT deleted_at IS NOT NULL FROM clusters WHERE organization = $1 AND id = $2",
        )
        .bind(organization)
        .bind(id)
        .fetch_optional(&mut self.tx)
        .await?;
        found.map(|row| row.get(0)).transpose()
    }

    /// What is edited is what was expected: `found` is its row, with its epoch.
    pub(super) fn require_expected(
        &self,
        expected: Expected,
        found: Option<&Row>,
        taken: impl FnOnce() -> Conflict,
    ) -> Result<(), ChangeError> {
        match (expected, found) {
            (Expected::Anything, _)
            | (Expected::Something, Some(_))
            | (Expected::Nothing, None) => Ok(()),
            (Expected::Nothing, Some(_)) => Err(taken().into()),
            (Expected::Something | Expected::Epoch(_), None) => Err(Conflict::Stale.into()),
            (Expected::Epoch(epoch), Some(row)) => {
                let now: i64 = row.get("epoch")?;
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
            true => concat!(
                "SELECT ",
                version!(),
                ", c.revoked_at IS NOT NULL OR c.expires_at <= $2 OR u.disabled_at IS NOT NULL ",
                "FROM sessions c LEFT JOIN users u ON u.id = c.user ",
                "LEFT JOIN roles r ON r.organization = u.organization AND r.name = u.role WHERE c.id = $1"
            ),
            // Whether a key ends with its owner is the contract's; a change of its owner shows in the version.
            false => concat!(
                "SELECT ",
                version!(),
                ", c.revoked_at IS NOT NULL OR ",
                ended!("$2"),
                " FROM credentials c LEFT JOIN users u ON u.id = c.owner ",
                "LEFT JOIN roles r ON r.organization = u.organization AND r.name = u.role WHERE c.id = $1"
            ),
        };
        let found = query(statement)
            .bind(caller.credential.to_string())
            .bind(self.now)
            .fetch_optional(&mut self.tx)
            .await?
            .ok_or(Conflict::CallerEnded)?;
        if found.get(1)? {
            return Err(Conflict::CallerEnded.into());
        }
        let version: String = found.get(0)?;
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
        let found = query(
            "SELECT fingerprint, subject FROM idempotency WHERE actor = $1 AND key = $2 AND created_at > $3",
        )
        .bind(actor.to_string())
        .bind(key.clone())
        .bind(self.now - IDEMPOTENCY_KEPT_SECS)
        .fetch_optional(&mut self.tx)
            .await?;
        let Some(found) = found else { return Ok(()) };
        let known: Vec<u8> = found.get(0)?;
        if known != fingerprint {
            return Err(Conflict::OtherRequest.into());
        }
        Err(Conflict::Replayed(found.get(1)?).into())
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
        let forget = query(
            "DELETE FROM idempotency WHERE (actor, key) IN \
             (SELECT actor, key FROM idempotency WHERE created_at <= $1 ORDER BY created_at LIMIT 100)",
        )
        .bind(self.now - IDEMPOTENCY_KEPT_SECS);
        self.run(forget).await?;
        let keep = query(
            "INSERT INTO idempotency (actor, key, fingerprint, subject, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (actor, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
             subject = excluded.subject, created_at = excluded.created_at",
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
        let [sqlite, postgres] = MISSING_CLUSTER;
        let missing = query(either(sqlite, postgres))
            .bind(organization)
            .bind(serde_json::json!(ids).to_string())
            .fetch_optional(&mut self.tx)
            .await?;
        let missing: Option<String> = missing.map(|row| row.get(0)).transpose()?;
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

//! What must be so in the store before a change is made.

use std::collections::BTreeMap;

use scopegate_policy::Clusters;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::Tx;
use crate::{
    password::PasswordHash,
    store::{ChangeError, Conflict, StoreError, sqlite::unavailable},
};

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

    /// Every id that the organization ever had, and whether it was deleted.
    pub(super) async fn clusters(
        &mut self,
        organization: Uuid,
    ) -> Result<BTreeMap<String, bool>, StoreError> {
        let rows =
            sqlx::query("SELECT id, deleted_at IS NOT NULL FROM clusters WHERE organization = ?")
                .bind(organization.to_string())
                .fetch_all(&mut *self.tx)
                .await
                .map_err(unavailable)?;
        let read = |row: &SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(unavailable)
    }

    pub(super) async fn require_clusters(
        &mut self,
        organization: Uuid,
        wanted: &Clusters,
    ) -> Result<(), ChangeError> {
        let Clusters::Only(ids) = wanted else {
            return Ok(());
        };
        let known = self.clusters(organization).await?;
        match ids.iter().find(|id| known.get(*id) != Some(&false)) {
            Some(id) => Err(Conflict::UnknownCluster(id.clone()).into()),
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

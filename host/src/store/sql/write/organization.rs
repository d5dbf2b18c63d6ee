//! Organizations, their custom roles and their clusters.

use uuid::Uuid;

use super::{Done, Tx, list_text};
use crate::store::{ChangeError, Conflict, Expected, NewCredential, NewUser, database::query};

impl Tx<'_> {
    pub(super) async fn create_organization(
        &mut self,
        id: Uuid,
        name: &str,
        admin: Option<&NewUser>,
    ) -> Result<Done, ChangeError> {
        self.require_new(admin.and_then(|admin| admin.idempotency.as_ref()))
            .await?;
        let insert = query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(id.to_string())
            .bind(name.to_owned())
            .bind(self.now);
        self.insert(insert, || Conflict::OrganizationExists(name.to_owned()))
            .await?;
        if let Some(admin) = admin {
            self.add_user(admin).await?;
        }
        Ok(Done::new(Some(id)))
    }

    pub(super) async fn set_custom_role(
        &mut self,
        organization: Uuid,
        name: &str,
        permissions: &[String],
        expected: Expected,
    ) -> Result<Done, ChangeError> {
        self.require_organization(organization).await?;
        self.require_role(organization, name, expected).await?;
        // A role of a name that was there before begins with another epoch than that one had.
        let upsert = query(
            "INSERT INTO roles (organization, name, permissions, created_at, epoch) VALUES ($1, $2, $3, $4, $4) \
             ON CONFLICT (organization, name) DO UPDATE SET permissions = excluded.permissions, epoch = roles.epoch + 1",
        )
        .bind(organization.to_string())
        .bind(name.to_owned())
        .bind(list_text(permissions))
        .bind(self.now);
        self.run(upsert).await?;
        // As when a user is given another role.
        let withdraw = query(
            "DELETE FROM invitations WHERE \"user\" IN (SELECT id FROM users WHERE organization = $1 AND role = $2)",
        )
        .bind(organization.to_string())
        .bind(name.to_owned());
        self.run(withdraw).await?;
        Ok(Done::new(Some(organization)))
    }

    pub(super) async fn add_cluster(
        &mut self,
        organization: Uuid,
        id: &str,
        agent: Option<&NewCredential>,
    ) -> Result<Done, ChangeError> {
        self.require_new(agent.and_then(|agent| agent.idempotency.as_ref()))
            .await?;
        self.require_organization(organization).await?;
        match self.cluster(organization, id).await? {
            Some(true) => return Err(Conflict::ClusterDeleted(id.to_owned()).into()),
            Some(false) => return Err(Conflict::ClusterExists(id.to_owned()).into()),
            None => {}
        }
        let insert =
            query("INSERT INTO clusters (organization, id, created_at) VALUES ($1, $2, $3)")
                .bind(organization.to_string())
                .bind(id.to_owned())
                .bind(self.now);
        self.run(insert).await?;
        if let Some(agent) = agent {
            self.mint(agent).await?;
        }
        Ok(Done::new(Some(organization)))
    }

    pub(super) async fn delete_cluster(
        &mut self,
        organization: Uuid,
        id: &str,
    ) -> Result<Done, ChangeError> {
        let delete = query(
            "UPDATE clusters SET deleted_at = $1, epoch = epoch + 1 \
             WHERE organization = $2 AND id = $3 AND deleted_at IS NULL",
        )
        .bind(self.now)
        .bind(organization.to_string())
        .bind(id.to_owned());
        if self.run(delete).await? == 0 {
            return Err(Conflict::UnknownCluster(id.to_owned()).into());
        }
        let revoke = query(
            "UPDATE credentials SET revoked_at = $1, epoch = epoch + 1 \
             WHERE organization = $2 AND cluster = $3 AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(organization.to_string())
        .bind(id.to_owned());
        self.run(revoke).await?;
        Ok(Done::new(Some(organization)))
    }

    pub(super) async fn rename_organization(
        &mut self,
        id: Uuid,
        name: &str,
        expected: Expected,
    ) -> Result<Done, ChangeError> {
        let found = query("SELECT epoch, name FROM organizations WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut self.tx)
            .await?
            .ok_or(Conflict::UnknownOrganization)?;
        self.require_expected(expected, Some(&found), || {
            Conflict::OrganizationExists(name.to_owned())
        })?;
        let rename = query("UPDATE organizations SET name = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(name.to_owned())
            .bind(id.to_string());
        self.insert(rename, || Conflict::OrganizationExists(name.to_owned()))
            .await?;
        Ok(Done::new(Some(id)))
    }

    /// What there is of a custom role is what was expected.
    async fn require_role(
        &mut self,
        organization: Uuid,
        name: &str,
        expected: Expected,
    ) -> Result<bool, ChangeError> {
        let found = query("SELECT epoch FROM roles WHERE organization = $1 AND name = $2")
            .bind(organization.to_string())
            .bind(name.to_owned())
            .fetch_optional(&mut self.tx)
            .await?;
        self.require_expected(expected, found.as_ref(), || {
            Conflict::RoleExists(name.to_owned())
        })?;
        Ok(found.is_some())
    }

    pub(super) async fn delete_custom_role(
        &mut self,
        organization: Uuid,
        name: &str,
        expected: Expected,
    ) -> Result<Done, ChangeError> {
        if !self
            .require_role(organization, name, Expected::Anything)
            .await?
        {
            return Err(Conflict::UnknownRole(name.to_owned()).into());
        }
        self.require_role(organization, name, expected).await?;
        let in_use = query(
            "SELECT 1 FROM users WHERE organization = $1 AND role = $2 AND disabled_at IS NULL LIMIT 1",
        )
        .bind(organization.to_string())
        .bind(name.to_owned())
        .fetch_optional(&mut self.tx)
            .await?;
        if in_use.is_some() {
            return Err(Conflict::RoleInUse(name.to_owned()).into());
        }
        let delete = query("DELETE FROM roles WHERE organization = $1 AND name = $2")
            .bind(organization.to_string())
            .bind(name.to_owned());
        self.run(delete).await?;
        Ok(Done::new(Some(organization)))
    }
}

//! Organizations: tenants, of which no one sees another.

use uuid::Uuid;

use super::{Admin, AdminError, Invitation, Once, Reply};
use crate::{
    name,
    store::{Change, ChangeError, Conflict, Expected, Organization, Page},
};

impl Admin<'_> {
    /// A page of all organizations, by name; for operators, as the policy has it.
    pub async fn organizations(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Organization>, AdminError> {
        Ok(self.directory.store().page_organizations(page).await?)
    }

    /// An organization by its id; for operators.
    pub async fn organization_by_id(&self, id: Uuid) -> Result<Organization, AdminError> {
        let found = self.directory.store().find_organization(id).await?;
        found.ok_or_else(|| AdminError::no_such("organization"))
    }

    /// The caller's own.
    pub async fn own_organization(&self) -> Result<Organization, AdminError> {
        self.organization_by_id(self.home()?).await
    }

    /// Makes an organization together with its first administrator, whom the invitation is for: both or neither.
    pub async fn found_organization(
        &self,
        name: String,
        admin_email: String,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<(Organization, Invitation), AdminError> {
        check_name(&name)?;
        let id = Uuid::now_v7();
        let role = self.assignable_role(id, "admin".to_owned()).await?;
        let (new, secret) = self.invited((id, role), admin_email, None, once, now_ms)?;
        let organization = Organization {
            id,
            name: name.clone(),
            created_at: now_ms.div_euclid(1000),
            epoch: 0,
        };
        let change = Change::CreateOrganization {
            id,
            name,
            admin: Some(Box::new(new.0)),
        };
        match self.apply(change, now_ms).await {
            Ok(_) => Ok((organization, Invitation::new(new.1, secret, now_ms))),
            Err(ChangeError::Conflict(Conflict::Replayed(user))) => {
                let invitation = self.replayed_invitation(&user).await?;
                let id = invitation.user.organization.unwrap_or_default();
                Ok((self.organization_by_id(id).await?, invitation))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives an organization another name: the caller's own, or for operators any.
    pub async fn rename_organization(
        &self,
        id: Uuid,
        name: String,
        expected: Expected,
        now_ms: i64,
    ) -> Result<Organization, AdminError> {
        check_name(&name)?;
        let change = Change::RenameOrganization { id, name, expected };
        self.apply(change, now_ms).await?;
        self.organization_by_id(id).await
    }

    pub(super) async fn create_organization(
        &self,
        name: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        check_name(&name)?;
        let organization = Organization {
            id: Uuid::now_v7(),
            name: name.clone(),
            created_at: now_ms.div_euclid(1000),
            epoch: 0,
        };
        let change = Change::CreateOrganization {
            id: organization.id,
            name,
            admin: None,
        };
        self.apply(change, now_ms).await?;
        Ok(Reply::Organization { organization })
    }

    pub(super) async fn found(
        &self,
        name: String,
        admin: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let (organization, invitation) = self.found_organization(name, admin, None, now_ms).await?;
        Ok(Reply::Founded {
            organization,
            admin: invitation.user,
            // Commands carry no idempotency key, so what they make is new.
            invitation: invitation.secret.unwrap_or_default(),
            expires_at: invitation.expires_at.unwrap_or_default(),
        })
    }

    pub(super) async fn list_organizations(&self) -> Result<Reply, AdminError> {
        let organizations = self.directory.store().list_organizations().await?;
        Ok(Reply::Organizations { organizations })
    }
}

fn check_name(name: &str) -> Result<(), AdminError> {
    if name::is_title(name) {
        Ok(())
    } else {
        Err(AdminError::bad_title("the name of an organization"))
    }
}

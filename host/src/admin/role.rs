//! Custom roles: sets of permissions of the policy's catalogue that an organization puts together itself.

use scopegate_policy::permission;
use uuid::Uuid;

use super::{Admin, AdminError, Reply, RoleView, error::quoted};
use crate::{
    directory::AGENT_ROLE,
    store::{Change, Expected, Role},
};

impl Admin<'_> {
    /// Built-in roles and the custom ones of the caller's organization.
    pub async fn roles(&self) -> Result<Vec<RoleView>, AdminError> {
        self.roles_of(self.home()?).await
    }

    /// A role by its name.
    pub async fn role(&self, name: &str) -> Result<RoleView, AdminError> {
        let roles = self.roles().await?;
        let found = roles.into_iter().find(|view| view.role.name == name);
        found.ok_or_else(|| AdminError::no_such("role"))
    }

    /// Makes a custom role of the caller's organization or gives it other permissions: none that the caller does not
    /// hold, neither now nor before. Nothing as `expected` epoch: it must not be there yet.
    pub async fn put_role(
        &self,
        name: String,
        permissions: Vec<String>,
        expected: Expected,
        now_ms: i64,
    ) -> Result<RoleView, AdminError> {
        let home = self.home()?;
        self.require_unrestricted()?;
        let role = self.checked_role(name, permissions)?;
        self.require_held(self.expand(&role.permissions))?;
        self.require_no_more_than_held(home, &role.name).await?;
        self.set(home, role, expected, now_ms).await
    }

    /// Deletes a custom role that nobody has.
    pub async fn delete_role_of_home(
        &self,
        name: String,
        expected: Expected,
        now_ms: i64,
    ) -> Result<(), AdminError> {
        let organization = self.home()?;
        self.require_unrestricted()?;
        self.require_custom(&name)?;
        self.require_no_more_than_held(organization, &name).await?;
        let change = Change::DeleteCustomRole {
            organization,
            name,
            expected,
        };
        self.apply(change, now_ms).await?;
        Ok(())
    }

    /// The role gives nothing that the caller does not hold.
    async fn require_no_more_than_held(
        &self,
        organization: Uuid,
        role: &str,
    ) -> Result<(), AdminError> {
        let gives = self.role_gives(organization, role).await?;
        self.require_held(gives).map_err(|error| AdminError {
            message: "the role gives more than you hold".to_owned(),
            ..error
        })
    }

    pub(super) async fn set_role(
        &self,
        organization: Option<String>,
        name: String,
        permissions: Vec<String>,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let role = self.checked_role(name, permissions)?;
        let organization = self.organization(organization.as_deref()).await?;
        let role = self
            .set(organization.id, role, Expected::Anything, now_ms)
            .await?;
        Ok(Reply::Role { role })
    }

    pub(super) async fn delete_role(
        &self,
        organization: Option<String>,
        name: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        self.require_custom(&name)?;
        let organization = self.organization(organization.as_deref()).await?.id;
        let change = Change::DeleteCustomRole {
            organization,
            name,
            expected: Expected::Anything,
        };
        self.done(change, now_ms).await
    }

    pub(super) async fn list_roles(
        &self,
        organization: Option<String>,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?;
        Ok(Reply::Roles {
            roles: self.roles_of(organization.id).await?,
        })
    }

    async fn roles_of(&self, organization: Uuid) -> Result<Vec<RoleView>, AdminError> {
        let custom = self.directory.store().list_roles(organization).await?;
        let built_in = self.description.roles.iter().map(|role| RoleView {
            role: Role {
                name: role.name.clone(),
                permissions: role.permissions.clone(),
                epoch: 0,
            },
            custom: false,
        });
        let custom = custom
            .into_iter()
            .map(|role| RoleView { role, custom: true });
        Ok(built_in.chain(custom).collect())
    }

    async fn set(
        &self,
        organization: Uuid,
        role: Role,
        expected: Expected,
        now_ms: i64,
    ) -> Result<RoleView, AdminError> {
        let change = Change::SetCustomRole {
            organization,
            name: role.name.clone(),
            permissions: role.permissions.clone(),
            expected,
        };
        self.apply(change, now_ms).await?;
        let found = self.directory.store().find_role(organization, &role.name);
        Ok(RoleView {
            role: found.await?.unwrap_or(role),
            custom: true,
        })
    }

    fn checked_role(&self, name: String, permissions: Vec<String>) -> Result<Role, AdminError> {
        if !permission::is_word(&name) {
            return Err(AdminError::invalid(format!(
                "{} cannot be the name of a role",
                quoted(&name)
            ))
            .help("it is 1 to 128 lower-case letters, digits, `_` and `-`"));
        }
        self.require_custom(&name)?;
        Ok(Role {
            permissions: self.known_patterns(permissions)?,
            name,
            epoch: 0,
        })
    }

    /// A custom role must not change what a built-in one means, nor what an agent may do.
    fn require_custom(&self, name: &str) -> Result<(), AdminError> {
        if name == AGENT_ROLE || self.description.roles.iter().any(|role| role.name == name) {
            return Err(
                AdminError::conflict(format!("the role `{name}` is built in"))
                    .help("choose another name for the custom role"),
            );
        }
        Ok(())
    }
}

//! Organizations, and what each has of its own: custom roles and clusters.

use scopegate_policy::{is_cluster_id, permission};
use uuid::Uuid;

use super::{Admin, AdminError, Reply, RoleView};
use crate::{
    directory::AGENT_ROLE,
    name,
    store::{Change, Organization, Role},
};

impl Admin<'_> {
    pub(super) async fn create_organization(
        &self,
        name: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        if !name::is_title(&name) {
            return Err(AdminError::bad_title("the name of an organization"));
        }
        let id = Uuid::now_v7();
        self.apply(
            Change::CreateOrganization {
                id,
                name: name.clone(),
            },
            now_ms,
        )
        .await?;
        let organization = Organization {
            id,
            name,
            created_at: now_ms.div_euclid(1000),
        };
        Ok(Reply::Organization { organization })
    }

    pub(super) async fn list_organizations(&self) -> Result<Reply, AdminError> {
        let organizations = self.directory.store().list_organizations().await?;
        Ok(Reply::Organizations { organizations })
    }

    pub(super) async fn set_role(
        &self,
        organization: Option<String>,
        name: String,
        permissions: Vec<String>,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        if !permission::is_word(&name) {
            return Err(
                AdminError::invalid(format!("`{name}` cannot be the name of a role"))
                    .help("it is 1 to 128 lower-case letters, digits, `_` and `-`"),
            );
        }
        // A custom role must not change what a built-in one means, nor what an agent may do.
        if name == AGENT_ROLE || self.description.roles.iter().any(|role| role.name == name) {
            return Err(
                AdminError::conflict(format!("the role `{name}` is built in"))
                    .help("choose another name for the custom role"),
            );
        }
        let permissions = self.known_patterns(permissions)?;
        let role = Role {
            name: name.clone(),
            permissions: permissions.clone(),
        };
        let organization = self.organization(organization.as_deref()).await?;
        let change = Change::SetCustomRole {
            organization: organization.id,
            name,
            permissions,
        };
        self.apply(change, now_ms).await?;
        Ok(Reply::Role {
            role: RoleView { role, custom: true },
        })
    }

    pub(super) async fn list_roles(
        &self,
        organization: Option<String>,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?;
        let custom = self.directory.store().list_roles(organization.id).await?;
        let built_in = self.description.roles.iter().map(|role| RoleView {
            role: Role {
                name: role.name.clone(),
                permissions: role.permissions.clone(),
            },
            custom: false,
        });
        let custom = custom
            .into_iter()
            .map(|role| RoleView { role, custom: true });
        Ok(Reply::Roles {
            roles: built_in.chain(custom).collect(),
        })
    }

    pub(super) async fn add_cluster(
        &self,
        organization: Option<String>,
        id: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        if !is_cluster_id(&id) {
            return Err(
                AdminError::invalid(format!("`{id}` cannot be the id of a cluster"))
                    .help("it is 1 to 253 letters, digits, `.`, `_`, `:` and `-`"),
            );
        }
        let organization = self.organization(organization.as_deref()).await?.id;
        self.apply(Change::AddCluster { organization, id }, now_ms)
            .await
    }

    pub(super) async fn list_clusters(
        &self,
        organization: Option<String>,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?;
        let clusters = self
            .directory
            .store()
            .list_clusters(organization.id)
            .await?;
        Ok(Reply::Clusters { clusters })
    }

    pub(super) async fn delete_cluster(
        &self,
        organization: Option<String>,
        id: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?.id;
        self.require_clusters(organization, std::slice::from_ref(&id))
            .await?;
        self.apply(Change::DeleteCluster { organization, id }, now_ms)
            .await
    }
}

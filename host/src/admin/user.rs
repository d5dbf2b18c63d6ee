//! Users and operators.

use scopegate_policy::Clusters;
use uuid::Uuid;

use super::{Admin, AdminError, Reply, command::UserRequest};
use crate::{
    name,
    password::PasswordHash,
    store::{Change, NewUser, User},
};

impl Admin<'_> {
    pub(super) async fn add_member(
        &self,
        request: UserRequest,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let UserRequest {
            organization,
            email,
            password,
            role,
            clusters,
        } = request;
        let organization = self.organization(organization.as_deref()).await?.id;
        let role = self.assignable_role(organization, role).await?;
        let clusters = self.assigned_clusters(organization, clusters).await?;
        self.add(
            Some((organization, role)),
            email,
            password,
            clusters,
            now_ms,
        )
        .await
    }

    pub(super) async fn add_operator(
        &self,
        email: String,
        password: Option<PasswordHash>,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        self.add(None, email, password, Clusters::Only(Vec::new()), now_ms)
            .await
    }

    async fn add(
        &self,
        place: Option<(Uuid, String)>,
        email: String,
        password: Option<PasswordHash>,
        clusters: Clusters,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        if !name::is_email(&email) {
            return Err(
                AdminError::invalid(format!("`{email}` is not an e-mail address"))
                    .help("it is visible ASCII characters with one `@` among them"),
            );
        }
        let user = User {
            id: Uuid::now_v7(),
            organization: place.as_ref().map(|(organization, _)| *organization),
            email: email.clone(),
            role: place.as_ref().map(|(_, role)| role.clone()),
            clusters: clusters.clone(),
            created_at: now_ms.div_euclid(1000),
            disabled_at: None,
        };
        let new = NewUser {
            id: user.id,
            place,
            email,
            password,
            clusters,
        };
        self.apply(Change::AddUser(Box::new(new)), now_ms).await?;
        Ok(Reply::User { user })
    }

    pub(super) async fn list_users(
        &self,
        organization: Option<String>,
    ) -> Result<Reply, AdminError> {
        let organization = self.organization(organization.as_deref()).await?;
        let users = self
            .directory
            .store()
            .list_users(Some(organization.id))
            .await?;
        Ok(Reply::Users { users })
    }

    pub(super) async fn list_operators(&self) -> Result<Reply, AdminError> {
        Ok(Reply::Users {
            users: self.directory.store().list_users(None).await?,
        })
    }

    pub(super) async fn disable_user(&self, email: &str, now_ms: i64) -> Result<Reply, AdminError> {
        let user = self.user(email).await?;
        self.apply(Change::DisableUser(user.id), now_ms).await
    }

    pub(super) async fn remove_factor(
        &self,
        email: &str,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let user = self.user(email).await?;
        self.apply(Change::RemoveFactor(user.id), now_ms).await
    }

    pub(super) async fn set_user_role(
        &self,
        email: &str,
        role: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let (user, organization) = self.member(email).await?;
        let role = self.assignable_role(organization, role).await?;
        self.apply(
            Change::SetRole {
                user: user.id,
                role,
            },
            now_ms,
        )
        .await
    }

    pub(super) async fn set_user_clusters(
        &self,
        email: &str,
        clusters: Option<Vec<String>>,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let (user, organization) = self.member(email).await?;
        let clusters = self.assigned_clusters(organization, clusters).await?;
        self.apply(
            Change::SetClusters {
                user: user.id,
                clusters,
            },
            now_ms,
        )
        .await
    }
}

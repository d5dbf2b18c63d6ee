//! Users: adding, inviting, editing and disabling them.

use scopegate_policy::Clusters;
use uuid::Uuid;

use super::{Done, Tx, clusters_text};
use crate::{
    key::KeyHash,
    password::PasswordHash,
    store::{ChangeError, Conflict, Expected, NewInvitation, NewUser, StoreError, database::query},
};

impl Tx<'_> {
    pub(super) async fn add_user(&mut self, user: &NewUser) -> Result<Done, ChangeError> {
        self.require_new(user.idempotency.as_ref()).await?;
        let organization = user.place.as_ref().map(|(organization, _)| *organization);
        if let Some(organization) = organization {
            self.require_organization(organization).await?;
            self.require_clusters(organization, &user.clusters).await?;
        }
        let insert = query(
            "INSERT INTO users (id, organization, email, password_hash, role, clusters, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(user.id.to_string())
        .bind(organization.map(|id| id.to_string()))
        .bind(user.email.clone())
        .bind(user.password.as_ref().map(|hash| hash.phc().to_owned()))
        .bind(user.place.as_ref().map(|(_, role)| role.clone()))
        .bind(clusters_text(&user.clusters))
        .bind(self.now);
        self.insert(insert, || Conflict::EmailTaken(user.email.clone()))
            .await?;
        if let Some(invitation) = &user.invitation {
            self.put_invitation(user.id, invitation).await?;
        }
        self.remember(user.idempotency.as_ref(), &user.id.to_string())
            .await?;
        Ok(Done::new(organization))
    }

    pub(super) async fn disable_user(&mut self, user: Uuid) -> Result<Done, ChangeError> {
        let (organization, disabled) = self.require_user(user).await?;
        if disabled {
            return Ok(Done {
                changed: false,
                organization,
            });
        }
        let disable = query("UPDATE users SET disabled_at = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(self.now)
            .bind(user.to_string());
        self.run(disable).await?;
        // Whatever becomes of the user later, nobody who was signed in stays so.
        self.end_all(user, None).await?;
        self.withdraw_invitation(user).await?;
        Ok(Done::new(organization))
    }

    pub(super) async fn set_role(&mut self, user: Uuid, role: &str) -> Result<Done, ChangeError> {
        let organization = self.require_member(user).await?;
        let update = query("UPDATE users SET role = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(role.to_owned())
            .bind(user.to_string());
        self.run(update).await?;
        self.withdraw_invitation(user).await?;
        Ok(Done::new(Some(organization)))
    }

    pub(super) async fn set_clusters(
        &mut self,
        user: Uuid,
        clusters: &Clusters,
    ) -> Result<Done, ChangeError> {
        let organization = self.require_member(user).await?;
        self.require_clusters(organization, clusters).await?;
        let update = query("UPDATE users SET clusters = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(clusters_text(clusters))
            .bind(user.to_string());
        self.run(update).await?;
        self.withdraw_invitation(user).await?;
        Ok(Done::new(Some(organization)))
    }

    pub(super) async fn edit_user(
        &mut self,
        user: Uuid,
        role: Option<&str>,
        clusters: Option<&Clusters>,
        expected: Expected,
    ) -> Result<Done, ChangeError> {
        let found = query("SELECT epoch FROM users WHERE id = $1")
            .bind(user.to_string())
            .fetch_optional(&mut self.tx)
            .await?;
        self.require_expected(expected, found.as_ref(), || {
            Conflict::EmailTaken(String::new())
        })?;
        let mut done = Done {
            changed: false,
            organization: None,
        };
        if let Some(role) = role {
            done = self.set_role(user, role).await?;
        }
        if let Some(clusters) = clusters {
            done = self.set_clusters(user, clusters).await?;
        }
        Ok(done)
    }

    pub(super) async fn invite(
        &mut self,
        user: Uuid,
        invitation: NewInvitation,
    ) -> Result<Done, ChangeError> {
        let organization = self.require_member(user).await?;
        self.put_invitation(user, &invitation).await?;
        Ok(Done::new(Some(organization)))
    }

    /// Whoever holds an open invitation could take the user over: they were to have no more than what the user could do
    /// when it was given.
    pub(super) async fn withdraw_invitation(&mut self, user: Uuid) -> Result<(), StoreError> {
        let withdraw = query("DELETE FROM invitations WHERE \"user\" = $1").bind(user.to_string());
        self.run(withdraw).await.map(drop)
    }

    async fn put_invitation(
        &mut self,
        user: Uuid,
        invitation: &NewInvitation,
    ) -> Result<(), StoreError> {
        let put = query(
            "INSERT INTO invitations (\"user\", hash, expires_at) VALUES ($1, $2, $3) \
             ON CONFLICT (\"user\") DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at",
        )
        .bind(user.to_string())
        .bind(invitation.hash.as_bytes().to_vec())
        .bind(invitation.expires_at);
        self.run(put).await.map(drop)
    }

    pub(super) async fn accept_invitation(
        &mut self,
        user: Uuid,
        hash: &KeyHash,
        password: &PasswordHash,
    ) -> Result<Done, ChangeError> {
        let organization = self.require_member(user).await?;
        let take =
            query("DELETE FROM invitations WHERE \"user\" = $1 AND hash = $2 AND expires_at > $3")
                .bind(user.to_string())
                .bind(hash.as_bytes().to_vec())
                .bind(self.now);
        if self.run(take).await? == 0 {
            return Err(Conflict::UnknownInvitation.into());
        }
        let set = query("UPDATE users SET password_hash = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(password.phc().to_owned())
            .bind(user.to_string());
        self.run(set).await?;
        self.end_all(user, None).await?;
        Ok(Done::new(Some(organization)))
    }
}

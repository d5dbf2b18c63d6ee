//! Users and operators.

use scopegate_policy::Clusters;
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    Admin, AdminError, Once, Reply, command::UserRequest, credential::no_randomness, error::quoted,
};
use crate::{
    key::{self, KeyHash},
    name,
    password::PasswordHash,
    store::{Change, ChangeError, Conflict, Expected, NewInvitation, NewUser, Page, User},
};

/// How long an invitation is good, in seconds: 7 days.
const INVITATION_SECS: i64 = 7 * 24 * 3600;
/// Characters of an invitation's secret, of which each is one of 62: 256 bits.
const INVITATION_CHARS: usize = 43;

/// An invitation and whom it is for.
#[derive(Debug)]
pub struct Invitation {
    /// The user.
    pub user: User,
    /// What they present with the password that they choose, shown this once. Nothing for a request that was sent
    /// again.
    pub secret: Option<SecretString>,
    /// When it ends, in seconds since the epoch.
    pub expires_at: Option<i64>,
}

impl Invitation {
    pub(super) fn new(user: User, secret: SecretString, now_ms: i64) -> Self {
        Self {
            user,
            secret: Some(secret),
            expires_at: Some(now_ms.div_euclid(1000) + INVITATION_SECS),
        }
    }
}

impl From<Invitation> for Reply {
    fn from(invitation: Invitation) -> Self {
        // Commands carry no idempotency key, so what they make is new.
        Self::Invited {
            user: invitation.user,
            invitation: invitation.secret.unwrap_or_default(),
            expires_at: invitation.expires_at.unwrap_or_default(),
        }
    }
}

/// What is changed about a user; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// A built-in or custom role.
    pub role: Option<String>,
    /// Their clusters.
    pub clusters: Option<Clusters>,
}

impl Admin<'_> {
    /// A page of the users of the caller's organization, by e-mail address.
    pub async fn users(
        &self,
        email: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<User>, AdminError> {
        let store = self.directory.store();
        Ok(store.page_users(self.home()?, email, page).await?)
    }

    /// A user of the caller's organization.
    pub async fn user_by_id(&self, id: Uuid) -> Result<User, AdminError> {
        self.user_of_home(id).await
    }

    /// Adds a user to the caller's organization, who chooses a password with the invitation. They get no more than
    /// the caller holds.
    pub async fn invite_user(
        &self,
        email: String,
        role: String,
        clusters: Option<Vec<String>>,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<Invitation, AdminError> {
        let home = self.home()?;
        let role = self.assignable_role(home, role).await?;
        self.require_held(self.role_gives(home, &role).await?)?;
        let clusters = self.assigned_clusters(home, clusters).await?;
        self.require_clusters_held(&clusters)?;
        let ((new, user), secret) =
            self.invited((home, role), email, Some(clusters), once, now_ms)?;
        match self.apply(Change::AddUser(Box::new(new)), now_ms).await {
            Ok(_) => Ok(Invitation::new(user, secret, now_ms)),
            Err(ChangeError::Conflict(Conflict::Replayed(id))) => {
                self.replayed_invitation(&id).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The user whom an earlier sending of the same request has added.
    pub(super) async fn replayed_invitation(&self, id: &str) -> Result<Invitation, AdminError> {
        let id = Uuid::parse_str(id).unwrap_or_default();
        let user = self.directory.store().find_user(id).await?;
        Ok(Invitation {
            user: user.ok_or_else(|| AdminError::no_such("user"))?,
            secret: None,
            expires_at: None,
        })
    }

    /// Gives a user of the caller's organization a new invitation in place of one that is open: also the way back in
    /// for one who has lost their password.
    pub async fn invite_user_again(&self, id: Uuid, now_ms: i64) -> Result<Invitation, AdminError> {
        let user = self.user_within_bounds(id).await?;
        self.give_invitation(user, now_ms).await
    }

    /// Gives a user another role, other clusters, or both: no more than the caller holds, and nobody who holds more.
    /// Nobody does it to themselves, so an organization never loses its last administrator by mistake.
    pub async fn edit_user(
        &self,
        id: Uuid,
        edit: UserEdit,
        expected: Expected,
        now_ms: i64,
    ) -> Result<User, AdminError> {
        let home = self.home()?;
        let user = self.user_within_bounds(id).await?;
        self.require_other(id)?;
        let role = match edit.role {
            Some(role) => Some(self.assignable_role(home, role).await?),
            None => None,
        };
        if let Some(role) = &role {
            self.require_held(self.role_gives(home, role).await?)?;
        }
        if let Some(clusters) = &edit.clusters {
            if let Clusters::Only(ids) = clusters {
                self.require_clusters(home, ids).await?;
            }
            self.require_clusters_held(clusters)?;
        }
        let change = Change::EditUser {
            user: id,
            role,
            clusters: edit.clusters,
            expected,
        };
        self.apply(change, now_ms).await?;
        let found = self.directory.store().find_user(id).await?;
        Ok(found.unwrap_or(user))
    }

    /// Disables another user who may do no more than the caller: their sessions end, and the keys that act for them.
    pub async fn disable_user_by_id(&self, id: Uuid, now_ms: i64) -> Result<bool, AdminError> {
        let user = self.user_within_bounds(id).await?;
        self.require_other(id)?;
        Ok(self.apply(Change::DisableUser(user.id), now_ms).await?)
    }

    /// Signs a user who may do no more than the caller out everywhere. `false`: they had no session.
    pub async fn end_sessions_of(&self, id: Uuid, now_ms: i64) -> Result<bool, AdminError> {
        let user = self.user_within_bounds(id).await?.id;
        let change = Change::EndSessions { user, except: None };
        Ok(self.apply(change, now_ms).await?)
    }

    /// Takes the second factor of a user who may do no more than the caller away, and ends their sessions. `false`: they
    /// had none.
    pub async fn reset_factor_of(&self, id: Uuid, now_ms: i64) -> Result<bool, AdminError> {
        let user = self.user_within_bounds(id).await?.id;
        Ok(self.apply(Change::ResetFactor(user), now_ms).await?)
    }

    pub(super) async fn invite_again(&self, email: &str, now_ms: i64) -> Result<Reply, AdminError> {
        let (user, _) = self.member(email).await?;
        Ok(self.give_invitation(user, now_ms).await?.into())
    }

    async fn give_invitation(&self, user: User, now_ms: i64) -> Result<Invitation, AdminError> {
        let (invitation, secret) = new_invitation(now_ms)?;
        let change = Change::Invite {
            user: user.id,
            invitation,
        };
        self.apply(change, now_ms).await?;
        Ok(Invitation::new(user, secret, now_ms))
    }

    /// A user who is to be invited, without clusters said with all of them, and the invitation's secret.
    pub(super) fn invited(
        &self,
        place: (Uuid, String),
        email: String,
        clusters: Option<Clusters>,
        once: Option<Once>,
        now_ms: i64,
    ) -> Result<((NewUser, User), SecretString), AdminError> {
        let (invitation, secret) = new_invitation(now_ms)?;
        let clusters = clusters.unwrap_or(Clusters::All);
        let (mut new, user) = new_user(Some(place), email, None, clusters, now_ms)?;
        new.invitation = Some(invitation);
        new.idempotency = self.idempotency(once);
        Ok(((new, user), secret))
    }

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

    pub(super) async fn add_invited(
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
        if password.is_some() {
            return Err(AdminError::invalid(
                "who is invited chooses the password, so none is given",
            ));
        }
        let organization = self.organization(organization.as_deref()).await?.id;
        let role = self.assignable_role(organization, role).await?;
        let clusters = self.assigned_clusters(organization, clusters).await?;
        let ((new, user), secret) =
            self.invited((organization, role), email, Some(clusters), None, now_ms)?;
        self.apply(Change::AddUser(Box::new(new)), now_ms).await?;
        Ok(Invitation::new(user, secret, now_ms).into())
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
        let (new, user) = new_user(place, email, password, clusters, now_ms)?;
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
        self.done(Change::DisableUser(user.id), now_ms).await
    }

    pub(super) async fn remove_factor(
        &self,
        email: &str,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let user = self.user(email).await?;
        // As [`Admin::reset_factor_of`]: who asks for this may have lost more than the device.
        self.done(Change::ResetFactor(user.id), now_ms).await
    }

    pub(super) async fn set_user_role(
        &self,
        email: &str,
        role: String,
        now_ms: i64,
    ) -> Result<Reply, AdminError> {
        let (user, organization) = self.member(email).await?;
        let role = self.assignable_role(organization, role).await?;
        self.done(
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
        self.done(
            Change::SetClusters {
                user: user.id,
                clusters,
            },
            now_ms,
        )
        .await
    }
}

fn new_user(
    place: Option<(Uuid, String)>,
    email: String,
    password: Option<PasswordHash>,
    clusters: Clusters,
    now_ms: i64,
) -> Result<(NewUser, User), AdminError> {
    if !name::is_email(&email) {
        return Err(
            AdminError::invalid(format!("{} is not an e-mail address", quoted(&email)))
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
        epoch: 0,
    };
    let new = NewUser {
        id: user.id,
        place,
        email,
        password,
        clusters,
        invitation: None,
        idempotency: None,
    };
    Ok((new, user))
}

fn new_invitation(now_ms: i64) -> Result<(NewInvitation, SecretString), AdminError> {
    let secret = key::random_base62::<INVITATION_CHARS>().map_err(no_randomness)?;
    let invitation = NewInvitation {
        hash: KeyHash::of(&secret),
        expires_at: now_ms.div_euclid(1000) + INVITATION_SECS,
    };
    Ok((invitation, SecretString::from(secret.as_str())))
}

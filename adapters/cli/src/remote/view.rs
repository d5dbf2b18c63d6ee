//! What the API shows, turned into what commands answer. Members that are not needed here are left.

use jiff::Timestamp;
use scopegate_host::{
    admin::{Reply, RoleView},
    store::{Cluster, Credential, CredentialKind, OpenSession, Organization, Role, Session, User},
};
use scopegate_policy::Clusters;
use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// Whether a request changed anything.
#[derive(Deserialize)]
pub(super) struct Changed {
    pub(super) changed: bool,
}

/// An API key or agent token.
#[derive(Deserialize)]
pub(super) struct CredentialView {
    pub(super) id: Uuid,
    pub(super) name: String,
    prefix: String,
    last_four: String,
    #[serde(default)]
    owner: Option<OwnerView>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    allowed_cluster_ids: Vec<String>,
    #[serde(default)]
    cluster: Option<String>,
    created_at: Timestamp,
    #[serde(default)]
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    retires_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
    predecessor: Option<Uuid>,
    successor: Option<Uuid>,
}

#[derive(Deserialize)]
struct OwnerView {
    id: Uuid,
    email: Option<String>,
}

impl CredentialView {
    /// As commands answer it. Its organization is the caller's, which the API does not say each time.
    pub(super) fn into_credential(self, kind: CredentialKind) -> Credential {
        let (owner, owner_email) = match self.owner {
            Some(owner) => (Some(owner.id), owner.email),
            None => (None, None),
        };
        Credential {
            id: self.id,
            organization: Uuid::nil(),
            kind,
            name: self.name,
            owner,
            owner_email,
            scopes: self.scopes,
            allowed_clusters: match self.allowed_cluster_ids.is_empty() {
                true => Clusters::All,
                false => Clusters::only(self.allowed_cluster_ids),
            },
            cluster: self.cluster,
            prefix: self.prefix,
            last_four: self.last_four,
            created_at: self.created_at.as_second(),
            expires_at: self.expires_at.map(Timestamp::as_second),
            revoked_at: self.revoked_at.map(Timestamp::as_second),
            predecessor: self.predecessor,
            successor: self.successor,
            retires_at: self.retires_at.map(Timestamp::as_second),
            last_used_at: self.last_used_at.map(Timestamp::as_second),
        }
    }
}

/// A new credential. There is no secret where the same request was sent before, and its answer was lost.
#[derive(Deserialize)]
pub(super) struct MintedView {
    #[serde(flatten)]
    pub(super) credential: CredentialView,
    pub(super) secret: Option<SecretString>,
}

/// A user.
#[derive(Deserialize)]
pub(super) struct UserView {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) role: String,
    pub(super) clusters: Option<Vec<String>>,
    created_at: Timestamp,
    pub(super) disabled_at: Option<Timestamp>,
}

impl UserView {
    /// Their clusters.
    pub(super) fn clusters(&self) -> Clusters {
        clusters(self.clusters.clone())
    }
}

/// Clusters as the API writes those of a user: every one where there is no list.
pub(super) fn clusters(ids: Option<Vec<String>>) -> Clusters {
    ids.map_or(Clusters::All, Clusters::only)
}

impl From<UserView> for User {
    fn from(view: UserView) -> Self {
        Self {
            id: view.id,
            // The caller's, which the API does not say each time.
            organization: None,
            clusters: view.clusters(),
            email: view.email,
            role: Some(view.role),
            created_at: view.created_at.as_second(),
            disabled_at: view.disabled_at.map(Timestamp::as_second),
            epoch: 0,
        }
    }
}

/// An invitation. There is none in it where the same request was sent before, and its answer was lost.
#[derive(Deserialize)]
pub(super) struct InvitationView {
    pub(super) user: UserView,
    pub(super) invitation: Option<SecretString>,
    pub(super) expires_at: Option<Timestamp>,
}

/// A session.
#[derive(Deserialize)]
pub(super) struct SessionView {
    id: Uuid,
    created_at: Timestamp,
    signed_in_at: Timestamp,
    mfa: bool,
    #[serde(default)]
    last_used_at: Option<Timestamp>,
    expires_at: Timestamp,
    pub(super) current: bool,
}

impl SessionView {
    /// As commands answer it.
    pub(super) fn of_user(self, user: Uuid) -> OpenSession {
        OpenSession {
            session: Session {
                id: self.id,
                user,
                auth_time: self.signed_in_at.as_second(),
                mfa: self.mfa,
                expires_at: self.expires_at.as_second(),
                revoked_at: None,
            },
            created_at: self.created_at.as_second(),
            last_used_at: self.last_used_at.map(Timestamp::as_second),
        }
    }
}

/// A role.
#[derive(Deserialize)]
pub(super) struct RoleBody {
    name: String,
    permissions: Vec<String>,
    custom: bool,
}

impl From<RoleBody> for RoleView {
    fn from(body: RoleBody) -> Self {
        Self {
            role: Role {
                name: body.name,
                permissions: body.permissions,
                epoch: 0,
            },
            custom: body.custom,
        }
    }
}

/// A cluster.
#[derive(Deserialize)]
pub(super) struct ClusterView {
    id: String,
    created_at: Timestamp,
}

impl From<ClusterView> for Cluster {
    fn from(view: ClusterView) -> Self {
        Self {
            id: view.id,
            created_at: view.created_at.as_second(),
            deleted_at: None,
        }
    }
}

/// An organization.
#[derive(Deserialize)]
pub(super) struct OrganizationView {
    pub(super) id: Uuid,
    pub(super) name: String,
    created_at: Timestamp,
}

impl From<OrganizationView> for Organization {
    fn from(view: OrganizationView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            created_at: view.created_at.as_second(),
            epoch: 0,
        }
    }
}

/// That a command was executed.
pub(super) fn done(Changed { changed }: Changed) -> Reply {
    Reply::Done { changed }
}

//! Every change that a store knows, what it touches, and how its record reads.

use std::net::IpAddr;

use scopegate_policy::Clusters;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Credential, CredentialKind, Session};
use crate::{key::KeyHash, password::PasswordHash};

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody on the machine itself, through the CLI.
    Machine,
    /// The gate itself, such as for a key that a secret scanner has found.
    Gate,
    /// A signed-in user.
    User(Uuid),
    /// A key, to itself.
    Credential(Uuid),
}

impl Actor {
    /// As records have it.
    pub fn text(&self) -> String {
        match self {
            Self::Machine => "machine".to_owned(),
            Self::Gate => "gate".to_owned(),
            Self::User(id) | Self::Credential(id) => id.to_string(),
        }
    }
}

/// Where a change comes from: who makes it, and in which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub actor: Actor,
    /// The id of the request that asked for it.
    pub request_id: Option<Uuid>,
    /// The address that it came from.
    pub address: Option<IpAddr>,
}

impl From<Actor> for Origin {
    fn from(actor: Actor) -> Self {
        Self {
            actor,
            request_id: None,
            address: None,
        }
    }
}

/// A user to add.
#[derive(Debug)]
pub struct NewUser {
    /// Their id.
    pub id: Uuid,
    /// Their organization and role there; `None` makes an operator.
    pub place: Option<(Uuid, String)>,
    /// Unique, whatever its case.
    pub email: String,
    /// `None`: cannot log in with a password.
    pub password: Option<PasswordHash>,
    /// Cluster assignments.
    pub clusters: Clusters,
}

/// A credential to mint.
#[derive(Debug)]
pub struct NewCredential {
    /// All that is kept of it. Its owner, where it has one, must be an active user of its organization.
    pub credential: Credential,
    /// The secret's hash.
    pub hash: KeyHash,
}

/// One change. Shapes (names, patterns, lengths) are checked by whoever makes it; what must be so in the store is
/// checked in the change's own transaction.
#[derive(Debug)]
pub enum Change {
    /// A new tenant.
    CreateOrganization {
        /// Its id.
        id: Uuid,
        /// Its name, unique.
        name: String,
    },
    /// A new user or operator.
    AddUser(Box<NewUser>),
    /// Ends a user: their sessions and what their keys derive from them.
    DisableUser(Uuid),
    /// Gives a user another role.
    SetRole {
        /// Whom.
        user: Uuid,
        /// The role's name.
        role: String,
    },
    /// Gives a user other clusters.
    SetClusters {
        /// Whom.
        user: Uuid,
        /// Their assignments.
        clusters: Clusters,
    },
    /// Makes a custom role, or gives it other permissions.
    SetCustomRole {
        /// Where.
        organization: Uuid,
        /// Its name.
        name: String,
        /// All its permissions.
        permissions: Vec<String>,
    },
    /// Registers a cluster.
    AddCluster {
        /// Where.
        organization: Uuid,
        /// An id that was never used there.
        id: String,
    },
    /// Deletes a cluster and revokes the tokens of its agents.
    DeleteCluster {
        /// Where.
        organization: Uuid,
        /// Its id.
        id: String,
    },
    /// Makes a key or agent token.
    Mint(Box<NewCredential>),
    /// Ends a key or agent token.
    Revoke(Uuid),
    /// Signs a user in.
    OpenSession(Session),
    /// Signs a session out.
    EndSession(Uuid),
}

/// What a change makes stale, among all that was looked up before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nothing: it only adds.
    Nothing,
    /// One credential.
    Credential(Uuid),
    /// One session.
    Session(Uuid),
    /// Sessions and keys of a user.
    User(Uuid),
    /// All of an organization.
    Organization(Uuid),
}

impl Change {
    /// What the change makes stale.
    pub fn touches(&self) -> Touch {
        match self {
            Self::CreateOrganization { .. }
            | Self::AddUser(_)
            | Self::Mint(_)
            | Self::OpenSession(_) => Touch::Nothing,
            Self::DisableUser(user)
            | Self::SetRole { user, .. }
            | Self::SetClusters { user, .. } => Touch::User(*user),
            // Roles and registered clusters are in the facts of every caller of the organization.
            Self::SetCustomRole { organization, .. }
            | Self::AddCluster { organization, .. }
            | Self::DeleteCluster { organization, .. } => Touch::Organization(*organization),
            Self::Revoke(credential) => Touch::Credential(*credential),
            Self::EndSession(session) => Touch::Session(*session),
        }
    }

    /// The record's word.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::CreateOrganization { .. } => "organization.create",
            Self::AddUser(user) if user.place.is_none() => "operator.add",
            Self::AddUser(_) => "user.add",
            Self::DisableUser(_) => "user.disable",
            Self::SetRole { .. } => "user.set-role",
            Self::SetClusters { .. } => "user.set-clusters",
            Self::SetCustomRole { .. } => "role.set",
            Self::AddCluster { .. } => "cluster.add",
            Self::DeleteCluster { .. } => "cluster.delete",
            Self::Mint(new) if new.credential.kind == CredentialKind::Agent => "agent.mint",
            Self::Mint(_) => "key.mint",
            Self::Revoke(_) => "credential.revoke",
            Self::OpenSession(_) => "session.open",
            Self::EndSession(_) => "session.end",
        }
    }

    /// What the record is about.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::CreateOrganization { id, .. } => id.to_string(),
            Self::AddUser(user) => user.id.to_string(),
            Self::DisableUser(user)
            | Self::SetRole { user, .. }
            | Self::SetClusters { user, .. } => user.to_string(),
            Self::SetCustomRole { name, .. } => name.clone(),
            Self::AddCluster { id, .. } | Self::DeleteCluster { id, .. } => id.clone(),
            Self::Mint(new) => new.credential.id.to_string(),
            Self::Revoke(credential) => credential.to_string(),
            Self::OpenSession(session) => session.id.to_string(),
            Self::EndSession(session) => session.to_string(),
        }
    }

    /// The record's further facts. Neither secrets nor hashes.
    pub(super) fn detail(&self) -> Value {
        match self {
            Self::CreateOrganization { name, .. } => json!({ "name": name }),
            Self::AddUser(user) => json!({
                "email": user.email,
                "role": user.place.as_ref().map(|(_, role)| role),
                "clusters": user.clusters,
            }),
            Self::SetRole { role, .. } => json!({ "role": role }),
            Self::SetClusters { clusters, .. } => json!({ "clusters": clusters }),
            Self::SetCustomRole { permissions, .. } => json!({ "permissions": permissions }),
            Self::Mint(new) => json!({
                "name": new.credential.name,
                "owner": new.credential.owner,
                "scopes": new.credential.scopes,
                "allowed_clusters": new.credential.allowed_clusters,
                "cluster": new.credential.cluster,
                "prefix": new.credential.prefix,
                "last_four": new.credential.last_four,
                "expires_at": new.credential.expires_at,
            }),
            Self::OpenSession(session) => {
                json!({ "user": session.user, "mfa": session.mfa, "expires_at": session.expires_at })
            }
            Self::DisableUser(_)
            | Self::AddCluster { .. }
            | Self::DeleteCluster { .. }
            | Self::Revoke(_)
            | Self::EndSession(_) => json!({}),
        }
    }
}

/// What stands against a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Organizations have unique names.
    #[error("an organization `{0}` exists already")]
    OrganizationExists(String),
    /// There is none with this id.
    #[error("there is no such organization")]
    UnknownOrganization,
    /// E-mail addresses are unique in the whole store.
    #[error("a user with the e-mail address `{0}` exists already")]
    EmailTaken(String),
    /// There is none with this id, or not in this organization.
    #[error("there is no such user")]
    UnknownUser,
    /// Operators have neither role nor clusters.
    #[error("an operator has neither role nor clusters")]
    Operator,
    /// A disabled user can be given nothing.
    #[error("the user is disabled")]
    UserDisabled,
    /// Not registered, or deleted.
    #[error("there is no cluster `{0}`")]
    UnknownCluster(String),
    /// Registered already.
    #[error("a cluster `{0}` exists already")]
    ClusterExists(String),
    /// Ids of deleted clusters stay in lists, so they are never used again.
    #[error("the id `{0}` belonged to a deleted cluster and is never used again")]
    ClusterDeleted(String),
    /// There is none with this id.
    #[error("there is no such credential")]
    UnknownCredential,
    /// There is none with this id.
    #[error("there is no such session")]
    UnknownSession,
}

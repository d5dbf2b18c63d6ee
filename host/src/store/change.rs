//! Every change that a store knows, what it touches, and how its record reads.

mod policy;
mod touch;

use scopegate_policy::Clusters;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Credential, CredentialKind, Expected, Idempotency, Session};
use crate::{factor::Sealed, key::KeyHash, password::PasswordHash};
pub use policy::{PolicyActivation, PolicyChange, PolicyRefusal, PolicyShadow};
pub use touch::Touch;

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
    /// With which they may choose a password.
    pub invitation: Option<NewInvitation>,
    /// Of the request that adds them.
    pub idempotency: Option<Idempotency>,
}

/// An invitation: whoever presents its secret may choose the user's password, once.
#[derive(Clone, Copy, Debug)]
pub struct NewInvitation {
    /// The secret's hash.
    pub hash: KeyHash,
    /// The first second at which it is no longer good.
    pub expires_at: i64,
}

/// A credential to mint.
#[derive(Debug)]
pub struct NewCredential {
    /// All that is kept of it. Its owner, where it has one, must be an active user of its organization.
    pub credential: Credential,
    /// The secret's hash.
    pub hash: KeyHash,
    /// Of the request that mints it.
    pub idempotency: Option<Idempotency>,
}

/// A session to open for a user who gave a password, and a code where they have a second factor.
#[derive(Debug)]
pub struct LogIn {
    /// The session; `mfa` is true exactly when there is a code.
    pub session: Session,
    /// The hash that the password fits. It must still be the user's.
    pub password: PasswordHash,
    /// What was given for the second factor. A user who has one needs it.
    pub code: Option<Code>,
}

/// What was given for a second factor, and is used up by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A code of this step of this secret. No step counts twice, nor after a later one.
    Step {
        /// The number of the step.
        step: i64,
        /// The secret, as it was when the code was compared.
        secret: Sealed,
    },
    /// A recovery code.
    Recovery(KeyHash),
}

/// An enrolment to be completed.
#[derive(Debug)]
pub struct Confirmation {
    /// Whose.
    pub user: Uuid,
    /// Their session, which has its second factor from now on.
    pub session: Uuid,
    /// The secret, as it was when the code was compared.
    pub secret: Sealed,
    /// The step of the code that was given.
    pub step: i64,
    /// The first recovery codes.
    pub recovery_codes: Vec<KeyHash>,
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
        /// Its first administrator.
        admin: Option<Box<NewUser>>,
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
    /// Gives a user another role, other clusters, or both.
    EditUser {
        /// Whom.
        user: Uuid,
        /// The role's name.
        role: Option<String>,
        /// Their assignments.
        clusters: Option<Clusters>,
        /// What is edited.
        expected: Expected,
    },
    /// Gives a user another invitation, in place of one that is open.
    Invite {
        /// Whom.
        user: Uuid,
        /// It.
        invitation: NewInvitation,
    },
    /// Takes an invitation up: its user has this password from now on, and nobody stays signed in as them.
    AcceptInvitation {
        /// Whose it is.
        user: Uuid,
        /// Of its secret.
        hash: KeyHash,
        /// The password.
        password: PasswordHash,
    },
    /// Gives an organization another name.
    RenameOrganization {
        /// Which.
        id: Uuid,
        /// Unique.
        name: String,
        /// What is edited.
        expected: Expected,
    },
    /// Makes a custom role, or gives it other permissions.
    SetCustomRole {
        /// Where.
        organization: Uuid,
        /// Its name.
        name: String,
        /// All its permissions.
        permissions: Vec<String>,
        /// What is edited.
        expected: Expected,
    },
    /// Deletes a custom role that nobody has.
    DeleteCustomRole {
        /// Where.
        organization: Uuid,
        /// Its name.
        name: String,
        /// What is deleted.
        expected: Expected,
    },
    /// Registers a cluster.
    AddCluster {
        /// Where.
        organization: Uuid,
        /// An id that was never used there.
        id: String,
        /// Its agent's first token.
        agent: Option<Box<NewCredential>>,
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
    /// Makes a key or agent token that follows another one, which has one end more from now on.
    Rotate {
        /// What is followed. It must be good still, and nothing must follow it yet.
        old: Uuid,
        /// When the old one ends, in seconds since the epoch.
        retires_at: i64,
        /// The new one; its `predecessor` is the old one.
        new: Box<NewCredential>,
    },
    /// Takes over keys that were minted elsewhere: all of them or none.
    Import {
        /// Where.
        organization: Uuid,
        /// They.
        credentials: Vec<NewCredential>,
    },
    /// Ends a key or agent token that was found in public.
    RevokeLeaked {
        /// Which.
        credential: Uuid,
        /// Where it was found.
        url: String,
        /// In what.
        source: String,
    },
    /// Ends a key or agent token.
    Revoke(Uuid),
    /// Opens a session for a user who is known by other means than a log-in.
    OpenSession(Session),
    /// Signs a user in.
    LogIn(Box<LogIn>),
    /// Signs a session out.
    EndSession(Uuid),
    /// Signs a user out everywhere.
    EndSessions {
        /// Whom.
        user: Uuid,
        /// The one session that stays.
        except: Option<Uuid>,
    },
    /// Gives a user another password and ends their sessions.
    SetPassword {
        /// Whom.
        user: Uuid,
        /// The new one.
        password: PasswordHash,
        /// The one that it must replace; `None`: whatever there is.
        replaces: Option<PasswordHash>,
        /// The one session that stays.
        except: Option<Uuid>,
    },
    /// Begins the enrolment of a second factor, in place of one that was begun before.
    BeginFactor {
        /// Whose.
        user: Uuid,
        /// Its secret.
        secret: Sealed,
    },
    /// Completes an enrolment and ends the user's other sessions.
    ConfirmFactor(Box<Confirmation>),
    /// Takes a user's second factor and recovery codes away.
    RemoveFactor(Uuid),
    /// The same, and signs the user out everywhere: for one who has lost it.
    ResetFactor(Uuid),
    /// Gives a user other recovery codes.
    SetRecoveryCodes {
        /// Whom.
        user: Uuid,
        /// All of them.
        codes: Vec<KeyHash>,
    },
    /// Counts a wrong code that was given with the right password.
    FailFactor(Uuid),
    /// Changes which policy decides.
    Policy(Box<PolicyChange>),
}

impl Change {
    /// What the change makes stale.
    pub fn touches(&self) -> Touch {
        match self {
            Self::CreateOrganization { .. }
            | Self::RenameOrganization { .. }
            | Self::AddUser(_)
            | Self::Invite { .. }
            | Self::Mint(_)
            | Self::Import { .. }
            | Self::OpenSession(_)
            | Self::LogIn(_)
            | Self::BeginFactor { .. }
            | Self::SetRecoveryCodes { .. }
            | Self::FailFactor(_)
            // What was made of callers' facts for one policy is used for no other.
            | Self::Policy(_) => Touch::Nothing,
            // Of the user's keys nothing changes; they are read again.
            Self::EndSessions { user, .. }
            | Self::SetPassword { user, .. }
            | Self::RemoveFactor(user)
            | Self::ResetFactor(user)
            | Self::DisableUser(user)
            | Self::SetRole { user, .. }
            | Self::SetClusters { user, .. }
            | Self::EditUser { user, .. }
            | Self::AcceptInvitation { user, .. } => Touch::User(*user),
            // Roles and registered clusters are in the facts of every caller of the organization.
            Self::SetCustomRole { organization, .. }
            | Self::DeleteCustomRole { organization, .. }
            | Self::AddCluster { organization, .. }
            | Self::DeleteCluster { organization, .. } => Touch::Organization(*organization),
            Self::Revoke(credential) | Self::RevokeLeaked { credential, .. } => {
                Touch::Rotations(*credential)
            }
            Self::Rotate {
                old: credential, ..
            } => Touch::Credential(*credential),
            Self::EndSession(session) => Touch::Session(*session),
            Self::ConfirmFactor(confirmation) => Touch::User(confirmation.user),
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
            Self::EditUser { .. } => "user.edit",
            Self::Invite { .. } => "user.invite",
            Self::AcceptInvitation { .. } => "user.accept-invitation",
            Self::RenameOrganization { .. } => "organization.rename",
            Self::SetCustomRole { .. } => "role.set",
            Self::DeleteCustomRole { .. } => "role.delete",
            Self::AddCluster { .. } => "cluster.add",
            Self::DeleteCluster { .. } => "cluster.delete",
            Self::Mint(new) if new.credential.kind == CredentialKind::Agent => "agent.mint",
            Self::Mint(_) => "key.mint",
            Self::Rotate { new, .. } if new.credential.kind == CredentialKind::Agent => {
                "agent.rotate"
            }
            Self::Rotate { .. } => "key.rotate",
            Self::Import { .. } => "key.import",
            Self::Revoke(_) => "credential.revoke",
            Self::RevokeLeaked { .. } => "credential.revoke-leaked",
            Self::OpenSession(_) | Self::LogIn(_) => "session.open",
            Self::EndSession(_) => "session.end",
            Self::EndSessions { .. } => "session.end-all",
            Self::SetPassword { .. } => "user.set-password",
            Self::BeginFactor { .. } => "factor.begin",
            Self::ConfirmFactor(_) => "factor.confirm",
            Self::RemoveFactor(_) => "factor.remove",
            Self::ResetFactor(_) => "factor.reset",
            Self::SetRecoveryCodes { .. } => "factor.recovery-codes",
            Self::FailFactor(_) => "factor.fail",
            Self::Policy(change) => change.action(),
        }
    }

    /// What the record is about.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::CreateOrganization { id, .. } | Self::RenameOrganization { id, .. } => {
                id.to_string()
            }
            Self::AddUser(user) => user.id.to_string(),
            Self::DisableUser(user)
            | Self::SetRole { user, .. }
            | Self::SetClusters { user, .. }
            | Self::EditUser { user, .. }
            | Self::Invite { user, .. }
            | Self::AcceptInvitation { user, .. } => user.to_string(),
            Self::SetCustomRole { name, .. } | Self::DeleteCustomRole { name, .. } => name.clone(),
            Self::Rotate { old, .. } => old.to_string(),
            Self::Import { organization, .. } => organization.to_string(),
            Self::AddCluster { id, .. } | Self::DeleteCluster { id, .. } => id.clone(),
            Self::Mint(new) => new.credential.id.to_string(),
            Self::Revoke(credential) | Self::RevokeLeaked { credential, .. } => {
                credential.to_string()
            }
            Self::OpenSession(session) => session.id.to_string(),
            Self::LogIn(log_in) => log_in.session.id.to_string(),
            Self::EndSession(session) => session.to_string(),
            Self::ConfirmFactor(confirmation) => confirmation.user.to_string(),
            Self::EndSessions { user, .. }
            | Self::SetPassword { user, .. }
            | Self::BeginFactor { user, .. }
            | Self::SetRecoveryCodes { user, .. }
            | Self::RemoveFactor(user)
            | Self::ResetFactor(user)
            | Self::FailFactor(user) => user.to_string(),
            Self::Policy(change) => change.digest().to_owned(),
        }
    }

    /// The record's further facts. Neither secrets nor hashes.
    pub(super) fn detail(&self) -> Value {
        match self {
            Self::CreateOrganization { name, admin, .. } => {
                json!({ "name": name, "admin": admin.as_ref().map(|admin| (admin.id, &admin.email)) })
            }
            Self::RenameOrganization { name, .. } => json!({ "name": name }),
            Self::AddCluster { agent, .. } => {
                json!({ "agent": agent.as_ref().map(|new| minted(&new.credential)) })
            }
            Self::AddUser(user) => json!({
                "email": user.email,
                "role": user.place.as_ref().map(|(_, role)| role),
                "clusters": user.clusters,
                "invited": user.invitation.is_some(),
            }),
            Self::EditUser { role, clusters, .. } => {
                json!({ "role": role, "clusters": clusters })
            }
            Self::Invite { invitation, .. } => json!({ "expires_at": invitation.expires_at }),
            Self::SetRole { role, .. } => json!({ "role": role }),
            Self::SetClusters { clusters, .. } => json!({ "clusters": clusters }),
            Self::SetCustomRole { permissions, .. } => json!({ "permissions": permissions }),
            Self::Mint(new) => minted(&new.credential),
            Self::Rotate {
                retires_at, new, ..
            } => json!({
                "successor": new.credential.id,
                "retires_at": retires_at,
                "prefix": new.credential.prefix,
                "last_four": new.credential.last_four,
                "expires_at": new.credential.expires_at,
            }),
            Self::RevokeLeaked { url, source, .. } => json!({ "url": url, "source": source }),
            Self::Import { credentials, .. } => {
                json!({ "keys": credentials.iter().map(|new| new.credential.id).collect::<Vec<_>>() })
            }
            Self::OpenSession(session) => {
                json!({ "user": session.user, "mfa": session.mfa, "expires_at": session.expires_at })
            }
            Self::LogIn(log_in) => json!({
                "user": log_in.session.user,
                "mfa": log_in.session.mfa,
                "recovery_code": matches!(log_in.code, Some(Code::Recovery(_))),
                "expires_at": log_in.session.expires_at,
            }),
            Self::EndSessions { except, .. } | Self::SetPassword { except, .. } => {
                json!({ "except": except })
            }
            Self::ConfirmFactor(confirmation) => json!({ "session": confirmation.session }),
            Self::Policy(change) => change.detail(),
            Self::DisableUser(_)
            | Self::AcceptInvitation { .. }
            | Self::DeleteCustomRole { .. }
            | Self::BeginFactor { .. }
            | Self::RemoveFactor(_)
            | Self::ResetFactor(_)
            | Self::SetRecoveryCodes { .. }
            | Self::FailFactor(_)
            | Self::DeleteCluster { .. }
            | Self::Revoke(_)
            | Self::EndSession(_) => json!({}),
        }
    }
}

fn minted(credential: &Credential) -> Value {
    json!({
        "name": credential.name,
        "owner": credential.owner,
        "scopes": credential.scopes,
        "allowed_clusters": credential.allowed_clusters,
        "cluster": credential.cluster,
        "prefix": credential.prefix,
        "last_four": credential.last_four,
        "expires_at": credential.expires_at,
    })
}

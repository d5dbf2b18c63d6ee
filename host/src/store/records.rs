//! What a store holds, as it is read. Times are seconds since the epoch. No secrets and no hashes.

use std::collections::BTreeSet;

use scopegate_policy::Clusters;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{factor::Sealed, key::KeyHash, password::PasswordHash};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name, unique.
    pub name: String,
    /// When it was made.
    pub created_at: i64,
    /// Counts its changes.
    #[serde(default)]
    pub epoch: i64,
}

/// A person. Operators of the gate have no organization, no role and no clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their id.
    pub id: Uuid,
    /// Their organization; `None` for an operator.
    pub organization: Option<Uuid>,
    /// Unique in the whole store, whatever its case.
    pub email: String,
    /// The name of their one role, built in or custom; `None` for an operator.
    pub role: Option<String>,
    /// Their cluster assignments.
    pub clusters: Clusters,
    /// When they were added.
    pub created_at: i64,
    /// When they were disabled.
    pub disabled_at: Option<i64>,
    /// Counts the changes of role, clusters and standing.
    #[serde(default)]
    pub epoch: i64,
}

/// A custom role of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Permissions and patterns of them.
    pub permissions: Vec<String>,
    /// Counts its changes.
    #[serde(default)]
    pub epoch: i64,
}

/// A cluster of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its id, unique within the organization for ever.
    pub id: String,
    /// When it was registered.
    pub created_at: i64,
    /// When it was deleted.
    pub deleted_at: Option<i64>,
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// An API key.
    ApiKey,
    /// The token of one cluster's agent.
    Agent,
}

/// An API key or agent token. Immutable after minting, but for its revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its id.
    pub id: Uuid,
    /// Its organization.
    pub organization: Uuid,
    /// What it is.
    pub kind: CredentialKind,
    /// What its owner calls it.
    pub name: String,
    /// The user whom it belongs to, if it belongs to one.
    pub owner: Option<Uuid>,
    /// The owner's e-mail address.
    pub owner_email: Option<String>,
    /// What it is narrowed to; `None`: not narrowed.
    pub scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to.
    pub allowed_clusters: Clusters,
    /// An agent's one cluster.
    pub cluster: Option<String>,
    /// What lists show of the secret: its beginning, such as `ka_live_`.
    pub prefix: String,
    /// And its last four characters.
    pub last_four: String,
    /// When it was minted.
    pub created_at: i64,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// The credential that it was made to follow.
    #[serde(default)]
    pub predecessor: Option<Uuid>,
    /// The credential that was made to follow it.
    #[serde(default)]
    pub successor: Option<Uuid>,
    /// When its rotation ends it.
    #[serde(default)]
    pub retires_at: Option<i64>,
    /// When a request with it was last admitted, to within seconds. Lists have it, look-ups for requests do not.
    #[serde(default)]
    pub last_used_at: Option<i64>,
}

/// How long before its end a credential counts as expiring, in seconds: 7 days.
pub const EXPIRING_SECS: i64 = 7 * 24 * 3600;

/// What a credential is good for, as lists show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It opens what it opens.
    Active,
    /// It still does, but ends by itself within [`EXPIRING_SECS`].
    Expiring,
    /// It ended by itself.
    Expired,
    /// Somebody ended it.
    Revoked,
}

impl Credential {
    /// When it ends by itself: the earlier of its expiry and the end of its rotation.
    pub fn ends_at(&self) -> Option<i64> {
        self.expires_at.into_iter().chain(self.retires_at).min()
    }

    /// Its state at `now`, in seconds since the epoch.
    pub fn state(&self, now: i64) -> State {
        match self.ends_at() {
            _ if self.revoked_at.is_some() => State::Revoked,
            Some(end) if end <= now => State::Expired,
            Some(end) if end.saturating_sub(now) <= EXPIRING_SECS => State::Expiring,
            _ => State::Active,
        }
    }
}

/// A user, and what their role grants if it is a custom one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: User,
    /// The permissions of their custom role; `None` when the role is not a custom one.
    pub custom_role: Option<Vec<String>>,
}

/// A credential and all that its meaning depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFacts {
    /// Its hash.
    pub hash: KeyHash,
    /// The credential.
    pub credential: Credential,
    /// Its owner.
    pub owner: Option<Owner>,
    /// The organization's registered clusters.
    pub registered: BTreeSet<String>,
    /// Changes with the credential, its owner and their role.
    pub version: String,
}

/// A signed-in user's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id; random, and the same through every refresh.
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// When they signed in.
    pub auth_time: i64,
    /// Whether with a second factor.
    pub mfa: bool,
    /// When it ends, whatever is refreshed.
    pub expires_at: i64,
    /// When it was ended before that.
    pub revoked_at: Option<i64>,
}

/// An open session, as its user and their administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// It.
    pub session: Session,
    /// When it was opened.
    pub created_at: i64,
    /// When a request with it was last admitted, to within seconds.
    pub last_used_at: Option<i64>,
}

/// A session and all that its meaning depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// The session.
    pub session: Session,
    /// Its user.
    pub owner: Owner,
    /// Whether the user has a confirmed second factor: then only sessions with it count.
    pub factor_confirmed: bool,
    /// The registered clusters of the user's organization; none for an operator.
    pub registered: BTreeSet<String>,
    /// Changes with the session, its user and their role.
    pub version: String,
}

/// What a log-in is checked against.
#[derive(Debug)]
pub struct LoginFacts {
    /// The user.
    pub user: User,
    /// `None` for a user who has no password.
    pub password: Option<PasswordHash>,
    /// Their second factor, confirmed or not.
    pub factor: Option<Factor>,
}

/// A user's second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Its secret, which only the gate's sealing key opens.
    pub secret: Sealed,
    /// When enrolment began.
    pub created_at: i64,
    /// When its first code was given; before that, nobody is asked for one.
    pub confirmed_at: Option<i64>,
    /// Until when codes are not looked at, after too many wrong ones.
    pub locked_until: Option<i64>,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: u32,
}

/// A policy that is kept, without its component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// `sha256:` and the hash of its component in hex.
    pub digest: String,
    /// Its name, in its own words.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// The size of its component.
    pub bytes: i64,
    /// When it was first active.
    pub added_at: i64,
    /// When it was last made the active one.
    pub activated_at: i64,
    /// By whom: `machine`, `gate`, or a user's id.
    pub activated_by: String,
    /// What for.
    pub source: PolicySource,
    /// What the configuration named then.
    pub configured: String,
}

/// The policy in the shadow of the active one, without its component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowVersion {
    /// `sha256:` and the hash of its component in hex.
    pub digest: String,
    /// Its name, in its own words.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// The size of its component.
    pub bytes: i64,
    /// When it was pushed, in seconds since the epoch.
    pub pushed_at: i64,
    /// By whom: `machine`, or a user's id.
    pub pushed_by: String,
}

/// What made a policy the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicySource {
    /// The configuration, when the server started.
    Start,
    /// The configuration's file, which has changed.
    File,
    /// Somebody pushed it.
    Push,
    /// Somebody went back to it.
    Rollback,
    /// Somebody promoted it, after it had decided in the shadow of another one.
    Promote,
    /// The gate, because the policy after it failed.
    Fault,
}

impl PolicySource {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Start,
        Self::File,
        Self::Push,
        Self::Rollback,
        Self::Promote,
        Self::Fault,
    ];

    /// As the store and records have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::File => "file",
            Self::Push => "push",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Fault => "fault",
        }
    }

    /// Whether it is only what the configuration says anyway.
    pub fn is_configuration(self) -> bool {
        matches!(self, Self::Start | Self::File)
    }
}

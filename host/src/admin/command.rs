//! What can be asked for. Organizations are named by their name or id, and need no naming where there is only one;
//! users by their e-mail address; keys and agents by their id, or by their name where it is unambiguous.

use serde::{Deserialize, Serialize};

use crate::{password::PasswordHash, policies::PolicyCommand};

/// A command. No secret is ever part of one: passwords are hashed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Makes a tenant.
    OrganizationCreate {
        /// Its name, unique.
        name: String,
    },
    /// Makes a tenant together with its first administrator, who gets an invitation: both or neither.
    OrganizationFound {
        /// Its name, unique.
        name: String,
        /// The administrator's e-mail address.
        admin: String,
    },
    /// Lists all tenants.
    OrganizationList,
    /// Adds a user.
    UserAdd(UserRequest),
    /// Adds a user who gets an invitation, and so has no password yet.
    UserAddInvited(UserRequest),
    /// Lists the users of an organization.
    UserList {
        /// Which.
        #[serde(default)]
        organization: Option<String>,
    },
    /// Gives a user a new invitation, with which they choose a password.
    UserInvite {
        /// Whom.
        email: String,
    },
    /// Ends a user or operator: their sessions, and the keys that act for them.
    UserDisable {
        /// Whom.
        email: String,
    },
    /// Takes a user's second factor and recovery codes away, for one who has lost both.
    UserRemoveFactor {
        /// Whose.
        email: String,
    },
    /// Signs a user out everywhere; their keys stay.
    UserEndSessions {
        /// Whom.
        email: String,
    },
    /// Lists a user's open sessions.
    SessionList {
        /// Whose.
        email: String,
    },
    /// Gives a user another role.
    UserSetRole {
        /// Whom.
        email: String,
        /// A built-in or custom role.
        role: String,
    },
    /// Gives a user other clusters.
    UserSetClusters {
        /// Whom.
        email: String,
        /// Every cluster when left out, none when empty.
        #[serde(default)]
        clusters: Option<Vec<String>>,
    },
    /// Makes a custom role, or gives it other permissions.
    RoleSet {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
        /// Its name.
        name: String,
        /// All its permissions; `clusters:*`, `*:read` and `*` mean several.
        permissions: Vec<String>,
    },
    /// Deletes a custom role that nobody has.
    RoleDelete {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
        /// Its name.
        name: String,
    },
    /// Lists built-in and custom roles.
    RoleList {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
    },
    /// Registers a cluster.
    ClusterAdd {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
        /// Its id.
        id: String,
    },
    /// Lists clusters, deleted ones too.
    ClusterList {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
    },
    /// Deletes a cluster and revokes the tokens of its agents. Its id is never used again.
    ClusterDelete {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
        /// Its id.
        id: String,
    },
    /// Makes an API key.
    KeyMint(KeyRequest),
    /// Makes a key that follows another one with the same rights, which ends some time later.
    KeyRotate(RotateRequest),
    /// Takes over keys that were minted elsewhere: all of them or none.
    KeyImport {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
        /// They.
        keys: Vec<ImportedKey>,
    },
    /// Lists API keys, revoked ones too.
    KeyList {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
    },
    /// Revokes an API key.
    KeyRevoke {
        /// Where, for a key that is given by its name.
        #[serde(default)]
        organization: Option<String>,
        /// Its id, or its name.
        key: String,
    },
    /// Makes an agent token.
    AgentMint(AgentRequest),
    /// Makes a token that follows another one, which ends some time later.
    AgentRotate(RotateRequest),
    /// Lists agent tokens, revoked ones too.
    AgentList {
        /// Where.
        #[serde(default)]
        organization: Option<String>,
    },
    /// Revokes an agent token.
    AgentRevoke {
        /// Where, for a token that is given by its name.
        #[serde(default)]
        organization: Option<String>,
        /// Its id, or its name.
        agent: String,
    },
    /// Adds an operator of the gate itself, who is in no organization.
    OperatorAdd {
        /// Unique in the whole store.
        email: String,
        /// Without one, the operator cannot log in with a password.
        #[serde(default)]
        password: Option<PasswordHash>,
    },
    /// Lists operators.
    OperatorList,
    /// Has a running server read its key file again.
    KeysReload,
    /// Changes or lists the policies of a running server.
    Policy(PolicyCommand),
}

/// A user to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// Where.
    #[serde(default)]
    pub organization: Option<String>,
    /// Unique in the whole store.
    pub email: String,
    /// Without one, the user cannot log in with a password.
    #[serde(default)]
    pub password: Option<PasswordHash>,
    /// A built-in or custom role.
    pub role: String,
    /// Their clusters; every cluster when left out, none when empty.
    #[serde(default)]
    pub clusters: Option<Vec<String>>,
}

/// An API key to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Where; the owner's organization when left out.
    #[serde(default)]
    pub organization: Option<String>,
    /// Its owner's e-mail address. Required where keys act for their owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it is for.
    pub name: String,
    /// What it is narrowed to; left out: not narrowed.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to. Empty: every cluster, also those added later.
    #[serde(default)]
    pub allowed_cluster_ids: Vec<String>,
    /// When it ends by itself, in seconds since the epoch.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// An agent token to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRequest {
    /// Where.
    #[serde(default)]
    pub organization: Option<String>,
    /// Its one cluster.
    pub cluster: String,
    /// What it is called; the cluster's id when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// When it ends by itself, in seconds since the epoch.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// A key or agent token to be followed by a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// Where, for one that is given by its name.
    #[serde(default)]
    pub organization: Option<String>,
    /// Its id, or its name.
    pub credential: String,
    /// When the old one ends, in seconds since the epoch; a day from now when left out.
    #[serde(default)]
    pub retires_at: Option<i64>,
    /// When the new one ends by itself; when the old one would have, when left out.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// A key that was minted elsewhere, of which only the hash is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedKey {
    /// What it is for.
    pub name: String,
    /// The SHA-256 of the whole key, in hex.
    pub sha256: String,
    /// Its owner's e-mail address. Required where keys act for their owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it is narrowed to.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to. Empty: every cluster, also those added later.
    #[serde(default)]
    pub allowed_cluster_ids: Vec<String>,
    /// When it ends by itself, in seconds since the epoch.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// What lists show of it: how it begins.
    #[serde(default)]
    pub prefix: String,
    /// And its last four characters.
    #[serde(default)]
    pub last_four: String,
}

//! What a command answers.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    policies::PolicyReply,
    store::{Cluster, Credential, OpenSession, Organization, Role, User},
};

/// A reply. The secret of a new key or agent token is in its `minted` reply and nowhere else, ever.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done {
        /// Whether that changed anything; `false` for what was so already.
        changed: bool,
    },
    /// A new organization.
    Organization {
        /// It.
        organization: Organization,
    },
    /// All of them.
    Organizations {
        /// By name.
        organizations: Vec<Organization>,
    },
    /// A new user.
    User {
        /// They.
        user: User,
    },
    /// All of an organization.
    Users {
        /// By e-mail address.
        users: Vec<User>,
    },
    /// A custom role as it is now.
    Role {
        /// It.
        role: RoleView,
    },
    /// All of an organization.
    Roles {
        /// Built-in ones first.
        roles: Vec<RoleView>,
    },
    /// All of an organization.
    Clusters {
        /// By id.
        clusters: Vec<Cluster>,
    },
    /// A user's invitation.
    Invited {
        /// Whose.
        user: User,
        /// What they present with the password that they choose: shown this once.
        #[serde(with = "shown_once")]
        invitation: SecretString,
        /// When it ends, in seconds since the epoch.
        expires_at: i64,
    },
    /// A new organization, and its first administrator's invitation.
    Founded {
        /// It.
        organization: Organization,
        /// The administrator.
        admin: User,
        /// What they present with the password that they choose: shown this once.
        #[serde(with = "shown_once")]
        invitation: SecretString,
        /// When it ends, in seconds since the epoch.
        expires_at: i64,
    },
    /// The open ones of a user.
    Sessions {
        /// Newest first.
        sessions: Vec<OpenSession>,
    },
    /// Keys that were taken over.
    Imported {
        /// Their ids, in their order.
        keys: Vec<uuid::Uuid>,
    },
    /// A new key or agent token.
    Minted {
        /// What is kept of it.
        credential: Credential,
        /// The whole key: shown this once.
        #[serde(with = "shown_once")]
        secret: SecretString,
    },
    /// Keys or agent tokens of an organization.
    Credentials {
        /// Oldest first.
        credentials: Vec<Credential>,
    },
    /// What became of policies.
    Policy(PolicyReply),
}

/// A role, built in or custom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleView {
    /// Its name and permissions; those of a built-in role are spelled out.
    #[serde(flatten)]
    pub role: Role,
    /// Whether it is the organization's own.
    pub custom: bool,
}

/// The one place where a secret is written out: on its way to whoever had it minted.
mod shown_once {
    use secrecy::{ExposeSecret, SecretString};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        secret: &SecretString,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose_secret())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretString, D::Error> {
        String::deserialize(deserializer).map(SecretString::from)
    }
}

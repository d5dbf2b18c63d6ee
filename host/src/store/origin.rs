//! Where a change comes from.

use std::net::IpAddr;

use uuid::Uuid;

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
    /// The caller whose change it is, as they were when they were let in.
    pub caller: Option<CallerVersion>,
}

/// A caller as they were when they were let in. A change is made only if they still are: what was begun before a
/// revocation, or with a role that is gone, is not ended after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerVersion {
    /// The session, key or agent token.
    pub credential: Uuid,
    /// Whether it is a session.
    pub is_session: bool,
    /// Changes with everything that it stands for.
    pub version: String,
}

impl From<Actor> for Origin {
    fn from(actor: Actor) -> Self {
        Self {
            actor,
            request_id: None,
            address: None,
            caller: None,
        }
    }
}

//! What changes make stale.

use uuid::Uuid;

/// What a change makes stale, among all that was looked up before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nothing: it only adds.
    Nothing,
    /// One credential.
    Credential(Uuid),
    /// One credential, and perhaps those that follow it.
    Rotations(Uuid),
    /// One session.
    Session(Uuid),
    /// Sessions and keys of a user.
    User(Uuid),
    /// All of an organization.
    Organization(Uuid),
}

impl Touch {
    /// In words, to be told or noted; nothing for what touches nothing.
    pub(crate) fn words(self) -> Option<(&'static str, Uuid)> {
        match self {
            Self::Nothing => None,
            Self::Credential(id) => Some(("credential", id)),
            Self::Rotations(id) => Some(("rotations", id)),
            Self::Session(id) => Some(("session", id)),
            Self::User(id) => Some(("user", id)),
            Self::Organization(id) => Some(("organization", id)),
        }
    }

    /// From such words.
    pub(crate) fn of_words(kind: &str, id: Uuid) -> Option<Self> {
        Some(match kind {
            "credential" => Self::Credential(id),
            "rotations" => Self::Rotations(id),
            "session" => Self::Session(id),
            "user" => Self::User(id),
            "organization" => Self::Organization(id),
            _ => return None,
        })
    }
}

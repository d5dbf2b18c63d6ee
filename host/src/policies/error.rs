//! Why the active policy is the one that it was before.

use super::BadCandidate;
use crate::{
    admin::{AdminError, ErrorKind},
    store::{ChangeError, Conflict, StoreError},
};

/// Why the active policy was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Something is wrong with the candidate.
    #[error("the policy is refused, and the one before goes on: {0}")]
    Refused(#[from] BadCandidate),
    /// None that is kept is called so.
    #[error("no policy `{0}` is kept")]
    Unknown(String),
    /// Too little of a digest to mean one.
    #[error("`{0}` is too little of a digest")]
    Short(String),
    /// Several that are kept begin so.
    #[error("several policies begin with `{0}`")]
    Ambiguous(String),
    /// There is none to go back to.
    #[error("no policy was active before this one")]
    NoneBefore,
    /// There is none in the shadow.
    #[error("no policy is in the shadow")]
    NoShadow,
    /// Another one is in the shadow than the one that is meant.
    #[error("the policy in the shadow is `{found}`, not `{wanted}`")]
    OtherShadow {
        /// The one that is there.
        found: String,
        /// The one that is meant, as it was said.
        wanted: String,
    },
    /// The store did not take it, or whoever asked for it may no longer.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl PolicyError {
    /// Whether another policy became the active one meanwhile.
    pub(super) fn is_other(&self) -> bool {
        matches!(
            self,
            Self::Change(ChangeError::Conflict(Conflict::OtherPolicy))
        )
    }

    /// Whether the candidate itself is the reason. Otherwise it may become the active policy when it is tried again.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::Refused(why) => why.is_for_good(),
            Self::Change(ChangeError::Store(StoreError::Unavailable(_))) => false,
            _ => true,
        }
    }
}

impl From<StoreError> for PolicyError {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

impl From<PolicyError> for AdminError {
    fn from(error: PolicyError) -> Self {
        let (kind, help) = match &error {
            PolicyError::Refused(why) => (ErrorKind::Refused, why.help()),
            PolicyError::Unknown(_) => (
                ErrorKind::Missing,
                "`scopegate policy versions` lists those that are kept",
            ),
            PolicyError::Short(_) => (
                ErrorKind::Invalid,
                "give at least 6 of its digits; `scopegate policy versions` shows them",
            ),
            PolicyError::Ambiguous(_) => (ErrorKind::Invalid, "give more of the digest"),
            PolicyError::NoneBefore => (ErrorKind::Conflict, "push the one that is wanted"),
            PolicyError::NoShadow => (
                ErrorKind::Missing,
                "`scopegate policy push FILE --shadow` puts one there",
            ),
            PolicyError::OtherShadow { .. } => (
                ErrorKind::Conflict,
                "`scopegate policy shadow status` shows what it answers; a digest is meant by 6 digits at least",
            ),
            PolicyError::Change(change) => return change.clone().into(),
        };
        Self {
            kind,
            message: error.to_string(),
            help: Some(help.to_owned()),
        }
    }
}

//! Why a command was not executed, in words for whoever gave it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::{ChangeError, Conflict, StoreError};

/// What the giver of the command can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Word it differently.
    Invalid,
    /// Correct what was sent, which is itself at fault and not the way it was asked for.
    Refused,
    /// Name something that exists.
    Unknown,
    /// Nothing: what it is about is not there, or is nothing that they may know of.
    Missing,
    /// Nothing, as things stand: it exists already, or has ended.
    Conflict,
    /// Nothing: it is more than they may give or change.
    Forbidden,
    /// Nothing: their credential has ended.
    Ended,
    /// Read again what it was about, which somebody else has changed.
    Stale,
    /// Try again later; the store does not answer, or is damaged.
    Unavailable,
    /// Ask for it again to be sure: it is done, and other gates may not know of it yet.
    Pending,
}

/// A command that was not executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminError {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// What was probably meant, or what would be right.
    pub help: Option<String>,
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AdminError {}

impl AdminError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Invalid,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Conflict,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Forbidden,
            message: message.into(),
            help: None,
        }
    }

    /// What nothing has, or nothing that the caller may know of.
    pub(super) fn no_such(what: &str) -> Self {
        Self {
            kind: ErrorKind::Missing,
            message: format!("there is no such {what}"),
            help: None,
        }
    }

    /// A name that nothing has, or nothing that the caller may know of, for whom there is nothing to offer.
    pub(super) fn nameless(what: &str, name: &str) -> Self {
        Self {
            kind: ErrorKind::Unknown,
            message: format!("there is no {what} {}", quoted(name)),
            help: None,
        }
    }

    /// A name that nothing has, with the nearest of those that there are, or else all of them if they are few.
    pub(super) fn unknown<'k>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let error = Self {
            kind: ErrorKind::Unknown,
            message: format!("there is no {what} {}", quoted(name)),
            help: None,
        };
        match suggest(what, name, known) {
            Some(help) => error.help(help),
            None => error,
        }
    }

    pub(super) fn bad_title(what: &str) -> Self {
        Self::invalid(format!("{what} must have 1 to 255 characters"))
            .help("no control characters, and no space at either end")
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// How much of a text of the caller's an error repeats, in characters.
const QUOTED_CHARS_MAX: usize = 64;
/// How long a name may be to be compared with others, in bytes: comparing takes the product of both lengths.
const COMPARED_BYTES_MAX: usize = 128;
/// With how many others at most.
const COMPARED_MAX: usize = 1000;
/// How alike two names must be, from 0 to 1, to be offered for each other.
const ALIKE: f64 = 0.7;
/// How many names are few enough to list.
const FEW: usize = 12;

/// A text of the caller's as an error repeats it.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
    }
}

/// The nearest of the names that there are, or else all of them if they are few.
pub(super) fn suggest<'k>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    if name.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let known: Vec<&str> = known.into_iter().take(COMPARED_MAX).collect();
    let name = name.to_lowercase();
    let best = known.iter().copied().map(|candidate| {
        let score = strsim::jaro_winkler(&name, &candidate.to_lowercase());
        (score, candidate)
    });
    match best.max_by(|a, b| a.0.total_cmp(&b.0)) {
        None => Some(format!("there is no {what} at all yet")),
        Some((score, candidate)) if score >= ALIKE => Some(format!("did you mean `{candidate}`?")),
        Some(_) if known.len() <= FEW => Some(format!("there are: {}", listed(&known))),
        Some(_) => None,
    }
}

/// `a`, `b`, `c`.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self {
            kind: match error {
                StoreError::Pending => ErrorKind::Pending,
                _ => ErrorKind::Unavailable,
            },
            message: error.to_string(),
            help: None,
        }
    }
}

impl From<ChangeError> for AdminError {
    fn from(error: ChangeError) -> Self {
        let conflict = match error {
            ChangeError::Store(error) => return error.into(),
            ChangeError::Conflict(conflict) => conflict,
        };
        let kind = match &conflict {
            Conflict::UnknownCluster(_) => ErrorKind::Unknown,
            Conflict::UnknownOrganization
            | Conflict::UnknownUser
            | Conflict::UnknownCredential
            | Conflict::UnknownRole(_)
            | Conflict::UnknownInvitation
            | Conflict::UnknownSession
            | Conflict::UnknownPolicy(_)
            | Conflict::NoFactor => ErrorKind::Missing,
            Conflict::Stale => ErrorKind::Stale,
            Conflict::CallerEnded => ErrorKind::Ended,
            Conflict::CallerChanged | Conflict::OtherPolicy => ErrorKind::Conflict,
            Conflict::OtherRequest => ErrorKind::Invalid,
            Conflict::OrganizationExists(_)
            | Conflict::EmailTaken(_)
            | Conflict::Operator
            | Conflict::UserDisabled
            | Conflict::ClusterExists(_)
            | Conflict::RoleExists(_)
            | Conflict::RoleInUse(_)
            | Conflict::CredentialEnded
            | Conflict::AlreadyRotated
            | Conflict::HashTaken(_)
            | Conflict::Replayed(_)
            | Conflict::ClusterDeleted(_)
            | Conflict::PasswordChanged
            | Conflict::FactorExists
            | Conflict::FactorRequired
            | Conflict::CodeUsed
            | Conflict::FactorLocked => ErrorKind::Conflict,
        };
        Self {
            kind,
            message: conflict.to_string(),
            help: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_neither_compared_nor_repeated() {
        let long = "p".repeat(200_000);
        assert_eq!(suggest("role", &long, ["prod"]), None);
        let error = AdminError::unknown("role", &long, ["prod"]);
        let repeated = format!("there is no role `{}…`", "p".repeat(64));
        assert_eq!((error.message, error.help), (repeated, None));
        // Characters, not bytes.
        assert_eq!(quoted(&"ä".repeat(64)), format!("`{}`", "ä".repeat(64)));
        let help = suggest("role", "prood", ["staging", "prod"]);
        assert_eq!(help.as_deref(), Some("did you mean `prod`?"));
    }
}

//! What the filter inside Envoy and the gate say to each other, in JSON.
//!
//! The filter asks whom a credential stands for ([`INTROSPECT_PATH`]) and, again and again, what has changed since it
//! last heard ([`CHANGES_PATH`]). Every answer says at which [`Position`] in the row of changes it was true: facts that
//! are older than what the filter has heard of are not kept.

use core::{fmt, str::FromStr};
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cause, limit::Window};
use crate::{Caller, CallerKind};

/// Where the gate says whom a credential stands for.
pub const INTROSPECT_PATH: &str = "/-/filter/introspect";
/// Where the gate says what has changed.
pub const CHANGES_PATH: &str = "/-/filter/changes";
/// Longest question about a credential, in bytes.
pub const ASK_BYTES_MAX: usize = 32 * 1024;
/// Shortest secret that a filter shows, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;
/// The environment variable that a filter reads its secret from.
pub const SECRET_VARIABLE: &str = "SCOPEGATE_FILTER_SECRET";

/// A moment in the row of changes. Of two of one run of the gate, the one with the higher number is later; those of
/// different runs have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The run of the gate, and which of its signing keys it had read.
    pub run: String,
    /// How many changes it has made.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.sequence)
    }
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (run, sequence) = text.rsplit_once('.').ok_or(BadPosition)?;
        Ok(Self {
            run: run.to_owned(),
            sequence: sequence.parse().map_err(|_| BadPosition)?,
        })
    }
}

/// What a presented credential was taken for: a token in the place of a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A key or an agent token.
    Key,
    /// A JWT.
    Token,
}

/// Whom does this credential stand for?
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What it was taken for.
    pub kind: Kind,
    /// As it was presented.
    pub credential: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Before which changes it was looked up.
    pub position: Position,
    /// What time it is at the gate, in milliseconds since the epoch.
    pub now_ms: i64,
    /// The answer itself.
    pub answer: Answer,
}

/// Whom a credential stands for, if for anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// For this caller.
    Known(Box<Facts>),
    /// It is not accepted: the code of a [`Cause`].
    Refused(String),
}

/// Whom a credential stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The credential's id.
    pub credential: Uuid,
    /// The organization.
    pub organization: Uuid,
    /// The user behind the credential.
    pub user: Option<Uuid>,
    /// Whether it is a key or token that follows another one.
    pub is_successor: bool,
    /// What the policy is told.
    pub caller: Caller,
    /// The organization's registered clusters: what "all" means.
    pub registered: BTreeSet<String>,
    /// The first second at which it is no longer good.
    pub ends_at: Option<i64>,
    /// What its requests are counted by.
    pub counted: Counted,
}

/// A bucket and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// A credential, an external issuer's subject, or a user.
    pub by: Uuid,
    /// Whether it is a user, whose credentials share the bucket.
    pub is_user: bool,
    /// Requests per window.
    pub limit: u32,
}

/// What has changed since the filter last heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Up to which change.
    pub position: Position,
    /// What time it is at the gate, in milliseconds since the epoch.
    pub now_ms: i64,
    /// What the changes make stale. `None`: that cannot be told any more, and everything is.
    pub stale: Option<Vec<Stale>>,
}

/// What a change makes stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// One credential or session.
    Credential(Uuid),
    /// One credential, and those that follow another one.
    Rotations(Uuid),
    /// Sessions and keys of a user.
    User(Uuid),
    /// All of an organization.
    Organization(Uuid),
}

impl Stale {
    /// Whether these facts may no longer be true.
    pub fn is(&self, facts: &Facts) -> bool {
        match *self {
            Self::Credential(id) => facts.credential == id,
            Self::Rotations(id) => facts.credential == id || facts.is_successor,
            Self::User(id) => facts.user == Some(id),
            Self::Organization(id) => facts.organization == id,
        }
    }
}

impl Facts {
    /// Whether the credential has ended by itself.
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.ends_at
            .is_some_and(|end| end.saturating_mul(1000) <= now_ms)
    }

    /// The refusal of a credential that has ended by itself.
    pub fn over(&self) -> Cause {
        match self.caller.kind {
            CallerKind::Session => Cause::TokenExpired,
            _ => Cause::Expired,
        }
    }
}

/// Why the gate did not accept a credential, by the code that it told.
pub fn rejection(code: &str) -> Cause {
    match code {
        "unknown-credential" => Cause::UnknownCredential,
        "revoked" => Cause::Revoked,
        "expired" => Cause::Expired,
        "invalid-token" => Cause::InvalidToken("the gate says so"),
        "token-expired" => Cause::TokenExpired,
        "missing-org-id" => Cause::MissingOrgId,
        other => Cause::Unavailable(format!("the gate says `{other}`")),
    }
}

/// Whether a text can be the secret of filters: it stands in a header, and cannot be guessed.
pub fn is_secret(text: &str) -> bool {
    text.len() >= SECRET_BYTES_MIN
        && text.len() <= 512
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The configuration of a filter, as Envoy hands it over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The policy document, in YAML.
    pub policy: String,
    /// What is needed of the contract.
    pub contract: Contract,
    /// How the gate is reached.
    pub gate: Gate,
    /// What is kept of what the gate said.
    #[serde(default)]
    pub cache: Cache,
    /// How often the gate is asked what has changed, in milliseconds.
    #[serde(default = "tick_ms")]
    pub tick_ms: u64,
    /// For how long a limit of requests is, in seconds.
    #[serde(default = "window_secs", skip_serializing_if = "is_a_minute")]
    pub window_secs: u64,
    /// Whether the upstream gets the caller's credential.
    #[serde(default)]
    pub forward_credentials: bool,
}

/// What is needed of a contract where a request is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The prefix of its keys, without `_`.
    pub prefix: String,
    /// Where credentials may stand.
    pub schemes: Vec<super::Scheme>,
    /// Whether tokens (JWT) are accepted: those of sessions, or of workloads.
    pub sessions: bool,
    /// Limits.
    pub limits: super::Limits,
    /// The shape of errors.
    pub errors: super::Errors,
}

/// How the gate is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The name of its cluster in Envoy's configuration.
    pub cluster: String,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// What the filter shows: without it, the environment variable [`SECRET_VARIABLE`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The bounds of what is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Most credentials that each worker thread keeps.
    pub entries: usize,
    /// How long one is kept, in seconds.
    pub seconds: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            entries: 10_000,
            seconds: 300,
        }
    }
}

fn tick_ms() -> u64 {
    1000
}

fn window_secs() -> u64 {
    Window::MINUTE.secs()
}

fn is_a_minute(secs: &u64) -> bool {
    *secs == window_secs()
}

fn timeout_ms() -> u64 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let position = Position {
            run: "0197f0c2.6c1e-3".to_owned(),
            sequence: 17,
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "7", "a.", "a.-1", "a.1x"] {
            assert_eq!(bad.parse::<Position>(), Err(BadPosition), "{bad}");
        }
    }

    #[test]
    fn a_change_finds_what_it_makes_stale() {
        let id = Uuid::from_u128;
        let facts = |is_successor| Facts {
            credential: id(1),
            organization: id(2),
            user: Some(id(3)),
            is_successor,
            caller: Caller::anonymous(),
            registered: BTreeSet::new(),
            ends_at: Some(10),
            counted: Counted {
                by: id(1),
                is_user: false,
                limit: 1,
            },
        };
        for (stale, of_first, of_successor) in [
            (Stale::Credential(id(1)), true, true),
            (Stale::Credential(id(9)), false, false),
            (Stale::Rotations(id(9)), false, true),
            (Stale::User(id(3)), true, true),
            (Stale::User(id(9)), false, false),
            (Stale::Organization(id(2)), true, true),
            (Stale::Organization(id(9)), false, false),
        ] {
            let found = (stale.is(&facts(false)), stale.is(&facts(true)));
            assert_eq!(found, (of_first, of_successor), "{stale:?}");
        }
        let facts = facts(false);
        assert!(!facts.is_over(9_999) && facts.is_over(10_000));
    }

    #[test]
    fn what_the_gate_does_not_know_how_to_say_is_no_rejection() {
        for cause in [
            Cause::UnknownCredential,
            Cause::Revoked,
            Cause::Expired,
            Cause::TokenExpired,
            Cause::MissingOrgId,
        ] {
            assert_eq!(rejection(cause.code()), cause);
        }
        assert!(matches!(rejection("other"), Cause::Unavailable(_)));
    }
}

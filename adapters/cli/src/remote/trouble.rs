//! What comes instead of what was asked for, and how a command fails with it.

use std::fmt;

use serde::Deserialize;

use super::address::{TOKEN, TOKEN_HEADER};
use crate::failure::Failure;

/// What came instead of what was asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The gate said no.
    Refused(Problem),
    /// Nothing came that can be read. Whether the request was executed is not known.
    NoAnswer(String),
}

/// What a problem document (RFC 9457) says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    /// The status of the reply that it came in.
    pub(super) status: u16,
    /// Which problem, for programs.
    pub(super) code: String,
    /// What kind of problem it is, for people.
    pub(super) title: String,
    /// What is wrong, for people.
    pub(super) detail: String,
}

impl Trouble {
    /// Whether the gate refused for this reason.
    pub(super) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(problem) if problem.code == code)
    }
}

impl From<Trouble> for anyhow::Error {
    fn from(trouble: Trouble) -> Self {
        let problem = match trouble {
            Trouble::NoAnswer(why) => return Failure::new(why).into(),
            Trouble::Refused(problem) => problem,
        };
        let text = [&problem.detail, &problem.title];
        let text = text.into_iter().find(|text| !text.is_empty());
        let text = match text {
            // It goes to a terminal.
            Some(text) => text.replace(char::is_control, " "),
            None => format!("the gate answered {}", problem.status),
        };
        let failure = match problem.status {
            400 | 422 => Failure::usage(text),
            _ => Failure::new(text),
        };
        match problem.code.as_str() {
            "sign-in-required" => failure
                .help(format!("sign in again: `export {TOKEN}=$(scopegate login --email ME)`")),
            "not-authenticated" | "unknown-credential" | "revoked" | "expired"
            | "invalid-token" | "token-expired" => failure.help(format!(
                "look at {TOKEN}; keys that do not go in `Authorization: Bearer` need {TOKEN_HEADER}"
            )),
            "no-route" => failure.help("is this the gate's management listener?"),
            _ => failure,
        }
        .into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

//! Cases: who asks for what, and what must come of it.

mod read;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use scopegate_policy::{Clusters, Outcome as Decided, Request, Vocabulary};
use serde::Serialize;

use crate::path;

pub(super) use read::{Asking, read};

/// The reasons that a case may expect of a document, and whether each is about something.
pub const REASONS: [(&str, bool); 12] = [
    ("not-authenticated", false),
    ("no-route", false),
    ("ambiguous-path", false),
    ("missing-permission", true),
    ("cluster-not-allowed", true),
    ("cluster-required", false),
    ("clusters-restricted", false),
    ("read-only-key", false),
    ("agent-outside-cluster", true),
    ("operator-required", false),
    ("sign-in-required", false),
    ("condition-not-met", false),
];

/// One question and its answer.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// The caller's name.
    pub caller: String,
    /// What is asked for.
    pub request: Asked,
    /// When, in seconds since the epoch.
    pub now: i64,
    /// What is asked for, as the file's policy is told it.
    pub question: Request,
    /// What must come of it.
    pub expected: Outcome,
}

impl Case {
    /// Such as `kubeadapt.yaml:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} \"{}\": `{}` asks for `{}`",
            self.place(),
            self.name,
            self.caller,
            self.request
        )
    }
}

/// A request as a client writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Upper-case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// Besides the credential.
    pub headers: Vec<(String, String)>,
    /// From where, if not from anywhere.
    pub address: Option<IpAddr>,
}

impl Asked {
    /// The question as the gate puts it to a policy with these names.
    ///
    /// # Errors
    /// Why the gate answers 400 before it asks any policy.
    pub fn question(&self, vocabulary: &Vocabulary, now: i64) -> Result<Request, String> {
        let path = path::normalise(&self.path).map_err(|bad| bad.to_string())?;
        let query = path::declared_parameters(&self.query, vocabulary.query_names())
            .map_err(|bad| bad.to_string())?;
        let headers = self
            .headers
            .iter()
            .filter(|(name, _)| vocabulary.header_names().contains(name));
        Ok(Request {
            method: match self.method.as_str() {
                "HEAD" => "GET".to_owned(),
                method => method.to_owned(),
            },
            path: path.into_owned(),
            query,
            headers: headers.cloned().collect(),
            now,
            address: self.address,
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        self.headers
            .iter()
            .try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))?;
        self.address
            .iter()
            .try_for_each(|address| write!(f, " from {address}"))
    }
}

/// What came of a question, or must. As JSON `{"allow": ["prod"]}` or `{"deny": {"reason": …, "about": …}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Let through, with these clusters visible.
    Allow(BTreeSet<String>),
    /// Refused.
    Deny {
        /// The machine-readable word.
        reason: String,
        /// The permission or cluster that it is about.
        about: Option<String>,
    },
}

impl Outcome {
    /// A decision's outcome as cases state it: of these registered clusters, every visible one by name.
    pub fn of(decided: Decided, registered: &BTreeSet<String>) -> Self {
        match decided {
            Decided::Allow(Clusters::All) => Self::Allow(registered.clone()),
            Decided::Allow(Clusters::Only(ids)) => Self::Allow(ids.into_iter().collect()),
            Decided::Deny(reason) => Self::Deny {
                reason: reason.code().to_owned(),
                about: reason.subject().map(str::to_owned),
            },
        }
    }
}

/// Such as `allowed (prod, dev)` and `refused (missing-permission, clusters:write)`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow(visible) if visible.is_empty() => f.write_str("allowed (none)"),
            Self::Allow(visible) => {
                let ids: Vec<&str> = visible.iter().map(String::as_str).collect();
                write!(f, "allowed ({})", ids.join(", "))
            }
            Self::Deny {
                reason,
                about: None,
            } => write!(f, "refused ({reason})"),
            Self::Deny {
                reason,
                about: Some(about),
            } => write!(f, "refused ({reason}, {about})"),
        }
    }
}

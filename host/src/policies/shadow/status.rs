//! What is told of the policy in the shadow: counts, differences, and examples without anything secret.

use jiff::Timestamp;
use scopegate_policy::{CallerKind, Clusters};
use serde::{Deserialize, Serialize};

use super::{
    asker::Asked,
    tally::{Answer, words},
};
use crate::{Cause, audit::without_secrets, refusal::cut};

/// How much of a text is shown, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// How many roles, parameters, headers or clusters are shown.
const ITEMS_MAX: usize = 10;

/// The policy in the shadow of the active one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowStatus {
    /// `sha256:` and the hash of its component in hex.
    pub digest: String,
    /// Its name, in its own words.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// The size of its component.
    pub bytes: i64,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// By whom: `machine`, or a user's id.
    pub pushed_by: String,
    /// What was counted.
    #[serde(flatten)]
    pub counted: Counted,
}

/// What came of comparing it with the active policy. Starts anew with another active policy, and with the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The digest of the active policy.
    pub beside: String,
    /// When the first question was asked, if one was.
    pub since: Option<Timestamp>,
    /// Questions that both answered.
    pub asked: u64,
    /// Those that both answered alike.
    pub same: u64,
    /// Those that they answered differently.
    pub different: u64,
    /// Those over which the one in the shadow failed.
    pub faults: u64,
    /// Questions that only the active one was asked, because the other was not fast enough.
    pub skipped: u64,
    /// What differs: what would newly be allowed first, and then the most frequent.
    pub differences: Vec<Difference>,
    /// Questions with further kinds of differences or routes than are listed.
    pub unlisted: u64,
}

/// A kind of difference, on one route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which.
    pub kind: DifferenceKind,
    /// The active policy's route, such as `GET /v1/clusters`; the other's where only that one has one.
    pub route: Option<String>,
    /// How often.
    pub count: u64,
    /// The first few that tell something new.
    pub examples: Vec<Example>,
}

/// How the answer of the policy in the shadow differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// It allows what the active one refuses.
    NewlyAllowed,
    /// It refuses what the active one allows.
    NewlyRefused,
    /// Both allow, for other clusters.
    OtherClusters,
    /// Both allow, and narrow the reply otherwise.
    OtherList,
    /// Both refuse, for another reason.
    OtherReason,
    /// It failed.
    Fault,
}

/// A request that is answered differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, normalised.
    pub path: String,
    /// The parameters that the policy in the shadow declares.
    pub query: Vec<String>,
    /// The headers that it declares.
    pub headers: Vec<String>,
    /// Who asked.
    pub caller: ExampleCaller,
    /// What the active policy answered.
    pub active: ExampleAnswer,
    /// What the one in the shadow answered.
    pub shadow: ExampleAnswer,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCaller {
    /// How they proved it.
    pub kind: CallerKind,
    /// Whose name the audit shows.
    pub name: Option<String>,
    /// Their key's name.
    pub agent: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
}

/// One of the two answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ExampleAnswer {
    /// Allowed.
    Allow {
        /// The clusters that are visible, those first that are only so by this answer; `null`: all.
        clusters: Option<Vec<String>>,
        /// How many more there are.
        more: usize,
    },
    /// Refused.
    Deny {
        /// Why, in a word.
        reason: String,
        /// The permission or cluster that it is about, or what went wrong.
        about: Option<String>,
    },
}

impl Example {
    pub(super) fn of(asked: &Asked, shadow: &Answer) -> Self {
        let (query, headers) = match &asked.told {
            Ok(told) => (pairs(&told.query, '='), pairs(&told.headers, ':')),
            Err(_) => (Vec::new(), Vec::new()),
        };
        let caller = match &asked.principal {
            Some(principal) => ExampleCaller {
                kind: principal.kind,
                name: Some(shown(&principal.name)),
                agent: principal.key_name.as_deref().map(shown),
                roles: some(principal.caller.roles.iter()),
            },
            None => ExampleCaller {
                kind: CallerKind::Anonymous,
                name: None,
                agent: None,
                roles: Vec::new(),
            },
        };
        Self {
            at: Timestamp::from_millisecond(asked.at_ms).unwrap_or_default(),
            method: asked.method.clone().into_owned(),
            path: shown(&asked.path),
            query,
            headers,
            caller,
            active: ExampleAnswer::of(&asked.active, shadow),
            shadow: ExampleAnswer::of(shadow, &asked.active),
        }
    }

    /// Whether it tells nothing that the other does not, but the time.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let is_same_caller = self.caller == other.caller;
        is_same_caller && self.method == other.method && self.path == other.path
    }
}

impl ExampleAnswer {
    fn of(answer: &Answer, other: &Answer) -> Self {
        match &answer.outcome {
            Ok(Clusters::All) => Self::Allow {
                clusters: None,
                more: 0,
            },
            Ok(Clusters::Only(ids)) => {
                let known = match &other.outcome {
                    Ok(Clusters::Only(known)) => known.as_slice(),
                    Ok(Clusters::All) | Err(_) => &[],
                };
                let (both, only): (Vec<&String>, Vec<&String>) =
                    ids.iter().partition(|id| known.contains(id));
                Self::Allow {
                    clusters: Some(some(only.into_iter().chain(both))),
                    more: ids.len().saturating_sub(ITEMS_MAX),
                }
            }
            Err(cause) => {
                let (reason, about) = words(cause);
                let about = match cause {
                    Cause::PolicyFault(text) | Cause::InvalidRequest(text) => Some(text.as_str()),
                    _ => about,
                };
                Self::Deny {
                    reason: shown(reason),
                    about: about.map(shown),
                }
            }
        }
    }
}

/// As much of a text as is shown. Cut first: what is cut off hides no secret from the search for one.
fn shown(text: &str) -> String {
    without_secrets(cut(text, TEXT_BYTES_MAX)).into_owned()
}

fn some<'t>(texts: impl Iterator<Item = &'t String>) -> Vec<String> {
    texts.take(ITEMS_MAX).map(|text| shown(text)).collect()
}

fn pairs(pairs: &[(String, String)], between: char) -> Vec<String> {
    let pairs = pairs.iter().take(ITEMS_MAX);
    pairs
        .map(|(name, value)| format!("{}{between}{}", shown(name), shown(value)))
        .collect()
}

//! Deciding recorded requests again: from a line of the audit to the question that a policy was asked and the answer that it
//! gave, and from the policy of the same digest to the answer that it gives now. A policy is a pure function, so
//! the two are the same, or the record or the gate is wrong.
//!
//! ```no_run
//! use scopegate_host::{engine::Sandbox, replay::{self, Entry, Library, Replayed, Way}};
//!
//! async fn is_identical(sandbox: Sandbox, component: Vec<u8>, line: &str) -> Option<bool> {
//!     let mut library = Library::new(sandbox);
//!     library.add("policy.wasm", component);
//!     let Ok(Entry::Decided(recorded)) = replay::read(line) else { return None };
//!     let policy = library.get(&recorded.policy)?.ok()?;
//!     let replayed = replay::decide_again(&recorded, policy, Way::Component).await;
//!     Some(matches!(replayed, Replayed::Identical))
//! }
//! ```
//!
//! What a record says is what came of a request *at the gate*: behind the policy's own answer stands what the gate made of
//! it. It never opens more than the policy did, and what it may refuse of an allow is checked as far as it can be without
//! the clusters that were registered then. docs/policy-replay.md says what is proven.

mod answer;
mod library;
mod read;

use scopegate_policy::{Caller, Decision, Request, is_management_path};
use uuid::Uuid;

pub use answer::Answer;
pub use library::{Known, Library, Way};
pub use read::{BadLine, read};

use crate::{Contract, contract, engine::DecideError, path};

/// What a line of the audit is for a replay.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A request that a policy decided.
    Decided(Box<Recorded>),
    /// One that a policy decided, and that cannot be decided again.
    Unknown {
        /// The policy's digest.
        policy: String,
        /// Why not.
        why: WhyNot,
    },
    /// A request that was refused before a policy was asked: the reason.
    Undecided(String),
    /// A request that was let in without a policy, as a log-in: its path. [`lets_in`] says whether a gate does so there.
    LetIn(String),
    /// A change of the store.
    Change,
}

/// Why a record cannot be decided again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// It is of a version that did not record the facts.
    #[error("it was recorded before the facts given to the policy were")]
    NoFacts,
    /// The facts are too long for the log, or have what looks like a secret in them.
    #[error("the facts given to the policy are not in the log, only their hash is")]
    FactsWithheld,
    /// What was asked looked like a secret. The places: `path`, `query.NAME`, `headers.NAME`.
    #[error("what looked like a secret was not recorded: {}", .0.join(", "))]
    Redacted(Vec<String>),
}

/// A recorded request: what a policy was asked, and what the record says came of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request's id.
    pub request_id: Uuid,
    /// The digest of the policy that decided.
    pub policy: String,
    /// What it was told of the caller.
    pub caller: Caller,
    /// What it was told of the request.
    pub request: Request,
    /// What the record says came of it.
    pub answer: Answer,
}

/// What came of deciding a recorded request again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The same in every field that the record has.
    Identical,
    /// Something else: what the record would have to say.
    Different(Box<Answer>),
    /// The policy failed, though once it answered. The text says how.
    Failed(String),
}

/// Whether a gate with this contract, or with one that is built in, lets requests in at this path without asking its policy.
/// Anywhere else a record without a policy's decision has lost it.
pub fn lets_in(path: &str, own: Option<&Contract>) -> bool {
    let is_page = path::is_own(path) && !is_management_path(path);
    let is_session_path = |contract: &Contract| contract.is_session_path(path);
    let mut builtin = contract::BUILTIN_NAMES.into_iter();
    is_page
        || own.is_some_and(is_session_path)
        || builtin.any(|name| Contract::builtin(name).is_some_and(|one| is_session_path(&one)))
}

/// How often a policy is asked before its failing is a result: on a machine with much else to do, a deadline may
/// pass before a good policy has had its turn.
const TRIES: usize = 3;

/// Puts a recorded request to the policy that once decided it.
pub async fn decide_again(recorded: &Recorded, policy: &Known, way: Way) -> Replayed {
    let mut failed = String::new();
    for _ in 0..TRIES {
        let decided = policy.decide(way, &recorded.caller, &recorded.request);
        match decided.await {
            Ok(own) => return compared(recorded, &own, policy),
            Err(DecideError::Fault(why)) => failed = why,
            Err(error @ DecideError::Overloaded) => failed = error.to_string(),
        }
    }
    Replayed::Failed(failed)
}

fn compared(recorded: &Recorded, own: &Decision, policy: &Known) -> Replayed {
    let answer = recorded.answer_after(own, policy.description());
    match answer == recorded.answer {
        true => Replayed::Identical,
        false => Replayed::Different(Box::new(answer)),
    }
}

#[cfg(test)]
mod tests;

//! The gates that serve from one store, and what all of them are to serve.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A gate that serves, as it last said itself. Times are by the store's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Of its process.
    pub id: Uuid,
    /// Its host's name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// When it began to serve.
    pub started_at: Timestamp,
    /// When it was heard of last.
    pub seen_at: Timestamp,
    /// Whether that was a moment ago. One that is not here has stopped without saying so, or cannot reach the store.
    pub is_here: bool,
    /// The digest of the policy that decides there.
    pub digest: String,
    /// Since when that one does.
    pub since: Timestamp,
    /// Why it is not the active one, where the gate knows.
    pub problem: Option<String>,
}

/// What all gates are to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The digest of the active policy.
    pub(crate) active: Option<String>,
    /// Whether a gate itself went back to it, because the one after it failed.
    pub(crate) is_fault: bool,
    /// The digest of the one in its shadow.
    pub(crate) shadow: Option<String>,
}

//! Lists that may be long, a page at a time.

use uuid::Uuid;

use super::{CredentialKind, records::State};

/// A part of a list: what comes after a place, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// The last item of the page before.
    pub after: Option<K>,
    /// Items at most.
    pub limit: u32,
}

/// Which credentials, all of one organization.
#[derive(Clone, Debug)]
pub struct CredentialFilter {
    /// Whose.
    pub organization: Uuid,
    /// What they are.
    pub kind: CredentialKind,
    /// Only this user's.
    pub owner: Option<Uuid>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only agents of these clusters.
    pub clusters: Option<Vec<String>>,
    /// Only those whose name has this in it, whatever its case.
    pub name: Option<String>,
    /// Seconds since the epoch, for the state.
    pub now: i64,
}

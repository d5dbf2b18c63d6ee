//! What must be so for a change besides what the change itself needs.

use uuid::Uuid;

/// What makes sending a request again harmless: within a day, the same key of the same actor makes nothing new.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// Who sends it.
    pub actor: Uuid,
    /// The key that the client chose.
    pub key: String,
    /// A hash of the request, so that another one under the same key is found out.
    pub fingerprint: [u8; 32],
}

/// What must be there for a change, where two people may edit the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there, if anything is.
    Anything,
    /// Whatever is there, and something is.
    Something,
    /// Nothing yet.
    Nothing,
    /// What has had so many changes.
    Epoch(i64),
}

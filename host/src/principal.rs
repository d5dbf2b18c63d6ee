//! Who is calling, as the store knows them: the facts behind a verified credential.

use std::{collections::BTreeSet, sync::Arc};

use scopegate_policy::{Caller, CallerKind};
use uuid::Uuid;

/// A verified caller. Immutable: a change in the store makes a new one.
#[derive(Debug)]
pub struct Principal {
    /// The API key, agent token or session. External sessions get a stable id made from issuer and token id.
    pub credential: Uuid,
    /// How they proved it.
    pub kind: CallerKind,
    /// The organization's id.
    pub organization: Uuid,
    /// The user behind the credential: the session's user, or the owner of an `owner` key.
    pub user: Option<Uuid>,
    /// Whose name the audit shows: the owner's e-mail address, the agent's cluster, the issuer's subject.
    pub name: String,
    /// The name of the key, which the audit shows as the agent.
    pub key_name: Option<String>,
    /// When the credential ends, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// What the policy is told.
    pub caller: Caller,
    /// The organization's registered clusters: what "all" means.
    pub registered: Arc<BTreeSet<String>>,
}

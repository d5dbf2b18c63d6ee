//! Who is calling, as the store knows them: the facts behind a verified credential.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use scopegate_policy::{Caller, CallerKind};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    counters::redis::FilledUnder,
    engine::{CallerRef, PackedCaller},
    gate::Identity,
    store::CallerVersion,
};

/// A verified caller. Immutable: a change in the store makes a new one.
#[derive(Debug)]
pub struct Principal {
    /// The API key, agent token or session. External sessions get a stable id made from issuer and token id, workloads one
    /// from cluster and service account.
    pub credential: Uuid,
    /// How they proved it.
    pub kind: CallerKind,
    /// The organization's id.
    pub organization: Uuid,
    /// The user behind the credential: the session's user, or the owner of an `owner` key.
    pub user: Option<Uuid>,
    /// Whose name the audit shows: the owner's e-mail address, the agent's cluster, the issuer's subject, the workload's
    /// service account.
    pub name: String,
    /// The name of the key, which the audit shows as the agent; of a workload its pod.
    pub key_name: Option<String>,
    /// When the credential ends, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// What the policy is told.
    pub caller: Caller,
    /// The same, packed for the policy that was asked last.
    pub packed: PackedCaller,
    /// The organization's registered clusters: what "all" means.
    pub registered: Arc<BTreeSet<String>>,
    /// Whether all this still stands; `Standing::default()` for callers that the store does not know.
    pub standing: Standing,
    /// Changes with everything in the store that all this comes from; nothing for callers that the store does not know.
    pub version: Option<String>,
    /// Whether it is a key or token that follows another one.
    pub is_successor: bool,
    /// What it was looked up under, where several gates share a Redis.
    pub filled: FilledUnder,
    /// The same as headers for the upstream, made when they are first needed.
    pub identity: OnceLock<Identity>,
    /// The same as the log has it, likewise.
    pub in_log: OnceLock<Box<[u8]>>,
}

/// Whether the facts of a [`Principal`] still stand. Its place in the look-up cache holds the other end: whatever
/// empties that place says so here. Facts that went stale need not be wrong; they must be read again.
#[derive(Clone, Debug, Default)]
pub struct Standing(CancellationToken);

impl Standing {
    /// Whether the facts were emptied from the cache since they were read.
    pub fn is_stale(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when they are.
    pub async fn stale(&self) {
        self.0.cancelled().await;
    }

    pub(crate) fn end(&self) {
        self.0.cancel();
    }
}

impl Principal {
    /// Somebody who holds no credential of this gate's: whom another caller asks about. Their credential's id is all zeros.
    pub(crate) fn without_credential(
        caller: Caller,
        organization: Uuid,
        registered: Arc<BTreeSet<String>>,
    ) -> Self {
        Self {
            credential: Uuid::nil(),
            kind: caller.kind,
            organization,
            user: None,
            name: caller.subject.clone(),
            key_name: None,
            expires_at: None,
            caller,
            packed: PackedCaller::default(),
            registered,
            standing: Standing::default(),
            version: None,
            is_successor: false,
            filled: FilledUnder::default(),
            identity: OnceLock::new(),
            in_log: OnceLock::new(),
        }
    }

    /// The caller as they are now, for changes that they make. Nothing for those whom the store does not know.
    pub fn as_of_now(&self) -> Option<CallerVersion> {
        Some(CallerVersion {
            credential: self.credential,
            is_session: self.kind == CallerKind::Session,
            version: self.version.clone()?,
        })
    }

    /// The caller as headers for the upstream.
    pub fn identity(&self) -> &Identity {
        self.identity
            .get_or_init(|| Identity::of(&self.caller, self.credential))
    }

    /// What a policy is asked about.
    pub fn caller_ref(&self) -> CallerRef<'_> {
        CallerRef {
            caller: &self.caller,
            packed: &self.packed,
        }
    }
}

/// An id that is the same for the same parts and for no others.
pub(crate) fn stable_id(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(digest.iter())
        .for_each(|(byte, from)| *byte = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

//! Reading callers from the store, to keep them.

use std::sync::Arc;

use scopegate_policy::CallerKind;
use uuid::Uuid;

use super::{
    Inner, Loaded, Workload,
    facts::{credential_principal, session_principal, with_registered},
};
use crate::{
    Principal,
    counters::redis::FilledUnder,
    key::KeyHash,
    store::{CredentialFacts, SessionFacts, StoreError},
};

impl Inner {
    pub(super) async fn load_key(&self, hash: &KeyHash) -> Result<Loaded, StoreError> {
        let generation = *self.generation.lock();
        let found = self.store.find_credential_by_hash(hash).await?;
        if self.shared.is_none() {
            return Ok(self.keep_credential(found, generation, FilledUnder::default()));
        }
        // Only now it is known under which epochs: it is read again under them.
        let principal =
            found.map(|facts| credential_principal(facts, &self.authority, &self.registered));
        self.load_known(principal).await
    }

    pub(super) async fn load_session(&self, id: Uuid) -> Result<Loaded, StoreError> {
        let generation = *self.generation.lock();
        let found = self.store.find_session(id).await?;
        if self.shared.is_none() {
            return Ok(self.keep_session(id, found, generation, FilledUnder::default()));
        }
        let principal = found.map(|facts| session_principal(facts, &self.registered));
        self.load_known(principal).await
    }

    async fn load_known(
        &self,
        found: Option<Result<Principal, Arc<Principal>>>,
    ) -> Result<Loaded, StoreError> {
        match found {
            None => Ok(Loaded::Nothing),
            Some(Err(former)) => Ok(Loaded::Ended(former)),
            Some(Ok(principal)) => self.reload(&principal).await,
        }
    }

    /// Reads a caller again.
    pub(super) async fn reload(&self, known: &Principal) -> Result<Loaded, StoreError> {
        if known.version.is_none() {
            return self.reload_unknown(known).await;
        }
        // Before the store is read: whatever is committed after that takes them away.
        let filled = self.fill(known).await;
        let generation = *self.generation.lock();
        let id = known.credential;
        match known.kind {
            CallerKind::Session => {
                let found = self.store.find_session(id).await?;
                Ok(self.keep_session(id, found, generation, filled))
            }
            CallerKind::ApiKey | CallerKind::Agent => {
                let found = self.store.find_credential(id).await?;
                Ok(self.keep_credential(found, generation, filled))
            }
            CallerKind::Anonymous => Ok(Loaded::Nothing),
        }
    }

    /// The same for one whom the store does not know: what stands behind them here is their organization's clusters.
    async fn reload_unknown(&self, known: &Principal) -> Result<Loaded, StoreError> {
        if let Some(workload) = Workload::of(known) {
            return self.load_workload(&workload).await;
        }
        if known.kind != CallerKind::Session {
            return Ok(Loaded::Nothing);
        }
        let (clusters, filled) = self.load_clusters(known.organization).await?;
        let principal = with_registered(known, clusters, filled);
        Ok(Loaded::Live(Arc::new(principal)))
    }

    fn keep_session(
        &self,
        id: Uuid,
        found: Option<SessionFacts>,
        generation: u64,
        filled: FilledUnder,
    ) -> Loaded {
        let Some(facts) = found else {
            return Loaded::Nothing;
        };
        match session_principal(facts, &self.registered) {
            Ok(principal) => {
                let principal = Principal {
                    filled,
                    ..principal
                };
                Loaded::Live(self.keep(&self.sessions, id, principal, generation))
            }
            Err(former) => {
                self.sessions.remove(&id);
                Loaded::Ended(former)
            }
        }
    }

    fn keep_credential(
        &self,
        found: Option<CredentialFacts>,
        generation: u64,
        filled: FilledUnder,
    ) -> Loaded {
        let Some(facts) = found else {
            return Loaded::Nothing;
        };
        let hash = facts.hash;
        match credential_principal(facts, &self.authority, &self.registered) {
            Ok(principal) => {
                let principal = Principal {
                    filled,
                    ..principal
                };
                Loaded::Live(self.keep(&self.keys, hash, principal, generation))
            }
            Err(former) => {
                self.keys.remove(&hash);
                Loaded::Ended(former)
            }
        }
    }
}

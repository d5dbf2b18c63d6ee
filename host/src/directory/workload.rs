//! Workloads of a cluster: its agents, too, without a credential of this gate's. Somebody else vouches for each of their
//! tokens; what stands behind it here is their cluster, and they end with it.

use std::{collections::BTreeSet, sync::Arc};

use scopegate_policy::{Caller, CallerKind, Clusters};
use uuid::Uuid;

use super::{AGENT_ROLE, Directory, Inner, Loaded, LookUp, former};
use crate::{Principal, principal::stable_id, store::StoreError};

/// A workload that somebody has vouched for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload<'w> {
    /// The organization of its cluster.
    pub(crate) organization: Uuid,
    /// Its cluster.
    pub(crate) cluster: &'w str,
    /// Its service account, as a subject of Kubernetes.
    pub(crate) account: &'w str,
    /// The pod that it runs in, where its token says so.
    pub(crate) pod: Option<&'w str>,
}

impl<'w> Workload<'w> {
    /// The one that such a principal stands for.
    pub(super) fn of(principal: &'w Principal) -> Option<Self> {
        // An agent that the store does not know.
        let is_workload = principal.kind == CallerKind::Agent && principal.version.is_none();
        let cluster = principal.caller.agent_cluster.as_deref()?;
        is_workload.then_some(Self {
            organization: principal.organization,
            cluster,
            account: &principal.name,
            pod: principal.key_name.as_deref(),
        })
    }

    /// The id of its service account in its cluster: the same for all its pods and tokens, whichever name the cluster goes
    /// by in them.
    pub(super) fn credential(&self) -> Uuid {
        let organization = self.organization.to_string();
        stable_id(&["workload", &organization, self.cluster, self.account])
    }

    /// Where it is kept.
    fn place(&self) -> Uuid {
        let credential = self.credential().to_string();
        stable_id(&[&credential, self.pod.unwrap_or_default()])
    }

    fn principal(&self, registered: Arc<BTreeSet<String>>) -> Principal {
        let credential = self.credential();
        let caller = Caller {
            kind: CallerKind::Agent,
            subject: credential.to_string(),
            organization: self.organization.to_string(),
            roles: vec![AGENT_ROLE.to_owned()],
            permissions: Vec::new(),
            scopes: None,
            clusters: Clusters::only([self.cluster]),
            allowed_clusters: Clusters::All,
            agent_cluster: Some(self.cluster.to_owned()),
            operator: false,
            mfa: false,
            auth_time: None,
            credential_created: None,
        };
        Principal {
            credential,
            name: self.account.to_owned(),
            key_name: self.pod.map(str::to_owned),
            ..Principal::without_credential(caller, self.organization, registered)
        }
    }
}

impl Directory {
    /// The agent that a workload is: revoked where its cluster is not registered, or not any more. When its token ends is
    /// for whoever has read it.
    pub(crate) async fn by_workload(&self, workload: &Workload<'_>) -> Result<LookUp, StoreError> {
        if let Some(kept) = self.inner.workloads.get(&workload.place()) {
            return Ok(LookUp::Found(kept));
        }
        Ok(match Box::pin(self.inner.load_workload(workload)).await? {
            Loaded::Live(principal) => LookUp::Found(principal),
            Loaded::Ended(former) => LookUp::Revoked(former),
            Loaded::Nothing => LookUp::Unknown,
        })
    }
}

impl Inner {
    /// Reads a workload's cluster, to keep the workload.
    pub(super) async fn load_workload(
        &self,
        workload: &Workload<'_>,
    ) -> Result<Loaded, StoreError> {
        // Noted before the store is read: what a change has touched since is not kept.
        let generation = *self.generation.lock();
        let (registered, filled) = self.load_clusters(workload.organization).await?;
        let place = workload.place();
        if !registered.contains(workload.cluster) {
            self.workloads.remove(&place);
            return Ok(Loaded::Ended(former::workload(workload)));
        }
        let principal = Principal {
            filled,
            ..workload.principal(registered)
        };
        let kept = self.keep(&self.workloads, place, principal, generation);
        Ok(Loaded::Live(kept))
    }
}

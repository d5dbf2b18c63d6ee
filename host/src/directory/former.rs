//! Whose a credential was that has ended: a principal for the record, who may nothing.

use std::sync::Arc;

use scopegate_policy::{Caller, CallerKind};
use uuid::Uuid;

use super::Workload;
use crate::{
    Principal,
    contract::Authority,
    store::{Credential, User},
};

/// Of a key or an agent token.
pub(super) fn holder(
    credential: Credential,
    kind: CallerKind,
    authority: &Authority,
) -> Arc<Principal> {
    let account = match kind {
        CallerKind::Agent => credential.cluster,
        _ => credential.owner_email,
    };
    // Where keys are their organization's, no request with one was ever a user's.
    let user = match authority {
        Authority::Owner => credential.owner,
        Authority::Organization(_) | Authority::Scopes => None,
    };
    Arc::new(Principal {
        user,
        name: account.unwrap_or_else(|| credential.name.clone()),
        key_name: Some(credential.name),
        ..nobody(credential.id, kind, credential.organization, user)
    })
}

/// Of a session.
pub(super) fn user(session: Uuid, user: User) -> Arc<Principal> {
    let organization = user.organization.unwrap_or_default();
    Arc::new(Principal {
        user: Some(user.id),
        name: user.email,
        ..nobody(session, CallerKind::Session, organization, Some(user.id))
    })
}

/// Of a workload.
pub(super) fn workload(workload: &Workload<'_>) -> Arc<Principal> {
    let (organization, kind) = (workload.organization, CallerKind::Agent);
    Arc::new(Principal {
        name: workload.account.to_owned(),
        key_name: workload.pod.map(str::to_owned),
        ..nobody(workload.credential(), kind, organization, None)
    })
}

/// Without any authority, so that nothing comes of it wherever it is used.
fn nobody(credential: Uuid, kind: CallerKind, organization: Uuid, user: Option<Uuid>) -> Principal {
    let caller = Caller {
        kind,
        subject: user.unwrap_or(credential).to_string(),
        organization: organization.to_string(),
        scopes: Some(Vec::new()),
        ..Caller::anonymous()
    };
    Principal {
        credential,
        ..Principal::without_credential(caller, organization, Arc::default())
    }
}

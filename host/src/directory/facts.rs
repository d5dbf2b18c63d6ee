//! From what the store holds to what the policy is told. Pure.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use dashmap::DashMap;
use scopegate_policy::{Caller, CallerKind, Clusters};
use uuid::Uuid;

use super::former;
use crate::{
    Principal,
    contract::Authority,
    counters::redis::FilledUnder,
    engine::PackedCaller,
    principal::Standing,
    store::{Credential, CredentialFacts, CredentialKind, Owner, SessionFacts},
};

/// The role that every agent token has.
pub(crate) const AGENT_ROLE: &str = "agent";

/// Sets of registered clusters, shared among the principals of an organization as long as they are equal.
#[derive(Debug, Default)]
pub(super) struct Registered(DashMap<Uuid, Arc<BTreeSet<String>>>);

impl Registered {
    fn share(&self, organization: Uuid, clusters: BTreeSet<String>) -> Arc<BTreeSet<String>> {
        let mut shared = self.0.entry(organization).or_default();
        if **shared != clusters {
            *shared = Arc::new(clusters);
        }
        Arc::clone(&shared)
    }
}

/// Expiry is left to the look-up.
///
/// # Errors
/// Whose it was, when the credential was revoked or nothing stands behind it any more.
pub(super) fn credential_principal(
    facts: CredentialFacts,
    authority: &Authority,
    registered: &Registered,
) -> Result<Principal, Arc<Principal>> {
    let CredentialFacts {
        credential,
        owner,
        registered: clusters,
        version,
        ..
    } = facts;
    let kind = match credential.kind {
        CredentialKind::ApiKey => CallerKind::ApiKey,
        CredentialKind::Agent => CallerKind::Agent,
    };
    let behind = match (credential.kind, authority) {
        _ if credential.revoked_at.is_some() => None,
        (CredentialKind::Agent, _) => agent(&credential),
        (CredentialKind::ApiKey, Authority::Owner) => {
            owner.and_then(|owner| owned(&credential, owner))
        }
        (CredentialKind::ApiKey, Authority::Organization(permissions)) => Some(detached(
            &credential,
            permissions.clone(),
            credential.scopes.clone(),
        )),
        // A key without scopes has no authority here, rather than one without bounds.
        (CredentialKind::ApiKey, Authority::Scopes) => {
            let scopes = credential.scopes.clone().unwrap_or_default();
            let permissions = vec!["*".to_owned()];
            Some(detached(&credential, permissions, Some(scopes)))
        }
    };
    let Some(behind) = behind else {
        return Err(former::holder(credential, kind, authority));
    };
    Ok(Principal {
        credential: credential.id,
        kind,
        organization: credential.organization,
        user: behind.user,
        name: behind.name,
        expires_at: credential.ends_at(),
        key_name: Some(credential.name),
        caller: Caller {
            kind,
            subject: behind.user.unwrap_or(credential.id).to_string(),
            organization: credential.organization.to_string(),
            roles: behind.roles,
            permissions: behind.permissions,
            scopes: behind.scopes,
            clusters: behind.clusters,
            allowed_clusters: credential.allowed_clusters,
            agent_cluster: credential.cluster,
            operator: false,
            mfa: false,
            auth_time: None,
            credential_created: Some(credential.created_at),
        },
        registered: registered.share(credential.organization, clusters),
        version: Some(version),
        is_successor: credential.predecessor.is_some(),
        filled: FilledUnder::default(),
        standing: Standing::default(),
        packed: PackedCaller::default(),
        identity: OnceLock::new(),
        in_log: OnceLock::new(),
    })
}

/// Expiry is left to the look-up.
///
/// # Errors
/// Whose it was, when the session was ended, its user disabled, or it lacks the second factor that its user has.
pub(super) fn session_principal(
    facts: SessionFacts,
    registered: &Registered,
) -> Result<Principal, Arc<Principal>> {
    let SessionFacts {
        session,
        owner: Owner { user, custom_role },
        factor_confirmed,
        registered: clusters,
        version,
    } = facts;
    let is_short_of_a_factor = factor_confirmed && !session.mfa;
    if session.revoked_at.is_some() || user.disabled_at.is_some() || is_short_of_a_factor {
        return Err(former::user(session.id, user));
    }
    let operator = user.organization.is_none();
    Ok(Principal {
        credential: session.id,
        kind: CallerKind::Session,
        organization: user.organization.unwrap_or_default(),
        user: Some(user.id),
        name: user.email,
        key_name: None,
        expires_at: Some(session.expires_at),
        caller: Caller {
            kind: CallerKind::Session,
            subject: user.id.to_string(),
            organization: user
                .organization
                .map(|id| id.to_string())
                .unwrap_or_default(),
            roles: user.role.into_iter().collect(),
            permissions: custom_role.unwrap_or_default(),
            scopes: None,
            clusters: user.clusters,
            allowed_clusters: Clusters::All,
            agent_cluster: None,
            operator,
            mfa: session.mfa,
            auth_time: Some(session.auth_time),
            // A session is opened by signing in, and stays the same however often it is refreshed.
            credential_created: Some(session.auth_time),
        },
        registered: match user.organization {
            Some(organization) => registered.share(organization, clusters),
            None => Arc::default(),
        },
        version: Some(version),
        is_successor: false,
        filled: FilledUnder::default(),
        standing: Standing::default(),
        packed: PackedCaller::default(),
        identity: OnceLock::new(),
        in_log: OnceLock::new(),
    })
}

/// A user with the authority of a session that nobody has opened.
pub(super) fn user_principal(
    owner: Owner,
    organization: Uuid,
    mfa: bool,
    registered: Arc<BTreeSet<String>>,
) -> Principal {
    let Owner { user, custom_role } = owner;
    let caller = Caller {
        kind: CallerKind::Session,
        subject: user.id.to_string(),
        organization: organization.to_string(),
        roles: user.role.into_iter().collect(),
        permissions: custom_role.unwrap_or_default(),
        scopes: None,
        clusters: user.clusters,
        allowed_clusters: Clusters::All,
        agent_cluster: None,
        operator: false,
        mfa,
        auth_time: None,
        credential_created: None,
    };
    Principal {
        user: Some(user.id),
        name: user.email,
        ..Principal::without_credential(caller, organization, registered)
    }
}

/// The same caller of an external issuer, where the organization's clusters may have changed.
pub(super) fn with_registered(
    known: &Principal,
    registered: Arc<BTreeSet<String>>,
    filled: FilledUnder,
) -> Principal {
    Principal {
        credential: known.credential,
        user: known.user,
        name: known.name.clone(),
        expires_at: known.expires_at,
        filled,
        ..Principal::without_credential(known.caller.clone(), known.organization, registered)
    }
}

/// The authority behind a credential.
struct Behind {
    user: Option<Uuid>,
    name: String,
    roles: Vec<String>,
    permissions: Vec<String>,
    scopes: Option<Vec<String>>,
    clusters: Clusters,
}

/// What its owner may as of now, narrowed by its scopes.
fn owned(credential: &Credential, owner: Owner) -> Option<Behind> {
    let Owner { user, custom_role } = owner;
    if user.disabled_at.is_some() {
        return None;
    }
    Some(Behind {
        user: Some(user.id),
        name: user.email,
        roles: user.role.into_iter().collect(),
        permissions: custom_role.unwrap_or_default(),
        scopes: credential.scopes.clone(),
        clusters: user.clusters,
    })
}

/// A key that is its organization's: it outlives whoever made it.
fn detached(
    credential: &Credential,
    permissions: Vec<String>,
    scopes: Option<Vec<String>>,
) -> Behind {
    Behind {
        user: None,
        name: credential
            .owner_email
            .clone()
            .unwrap_or_else(|| credential.name.clone()),
        roles: Vec::new(),
        permissions,
        scopes,
        clusters: Clusters::All,
    }
}

fn agent(credential: &Credential) -> Option<Behind> {
    let cluster = credential.cluster.as_ref()?;
    Some(Behind {
        user: None,
        name: cluster.clone(),
        roles: vec![AGENT_ROLE.to_owned()],
        permissions: Vec::new(),
        scopes: None,
        clusters: Clusters::only([cluster.as_str()]),
    })
}

//! From an allow to what an adapter does with it. This is the one place where an admission is made.

use std::{net::IpAddr, sync::Arc};

use http::HeaderName;
use scopegate_policy::{
    ClusterSource, Clusters, RouteInfo,
    wire::{
        Question,
        forward::{Admitted, onward},
    },
};
use uuid::Uuid;

use crate::{
    Admission, Principal,
    authenticate::Authenticated,
    engine::Policy,
    headers::REQUEST_ID,
    limit::Taken,
    path,
    refusal::{limit_headers, uuid_value},
    span::RequestSpan,
};

/// Everything that an allow rests on.
pub(super) struct Allowed<'a> {
    pub(super) request_id: Uuid,
    pub(super) client: IpAddr,
    pub(super) question: &'a Question<'a>,
    /// That has decided.
    pub(super) policy: &'a Arc<Policy>,
    pub(super) route: Option<&'a RouteInfo>,
    pub(super) authenticated: Option<Authenticated>,
    /// The caller's roles that are in force.
    pub(super) roles: Vec<String>,
    /// Already bounded.
    pub(super) visible: Clusters,
    pub(super) limit: Taken,
    pub(super) forward_credentials: bool,
    /// The headers that the policy reads.
    pub(super) declared: &'a [HeaderName],
}

/// Lets a request through.
pub(super) fn admit(allowed: Allowed<'_>) -> Arc<Admission> {
    let Allowed {
        request_id,
        question,
        route,
        authenticated,
        roles,
        visible,
        limit,
        ..
    } = allowed;
    let expires_at = authenticated
        .as_ref()
        .and_then(|authenticated| authenticated.token_expires_at);
    let principal = authenticated.map(|authenticated| authenticated.principal);
    let id = uuid_value(request_id);
    let cluster = route.map(|route| &route.cluster);
    let known = principal.as_deref();
    let onward = onward(&Admitted {
        question,
        declared: allowed.declared,
        cluster,
        caller: known.map(Principal::identity),
        agent_cluster: known.and_then(|known| known.caller.agent_cluster.as_deref()),
        visible: &visible,
        request_id,
        forward_credentials: allowed.forward_credentials,
    });
    let (list, list_clusters) = match (cluster, &principal) {
        (Some(ClusterSource::Lists(shape)), principal) => (
            Some(shape.clone()),
            list_clusters(&visible, principal.as_deref()),
        ),
        _ => (None, Vec::new()),
    };
    let mut response = Vec::with_capacity(4);
    response.extend(limit_headers(&limit));
    response.push((REQUEST_ID, id));
    Arc::new(Admission {
        request_id,
        principal,
        expires_at,
        path: question.path.as_ref().to_owned(),
        query: onward.query,
        roles,
        visible,
        list,
        list_clusters,
        identity: onward.set,
        remove: onward.remove,
        response,
        limit,
        client: allowed.client,
        is_own: path::is_own(&question.path),
        policy: Arc::clone(allowed.policy),
        record: None,
        span: RequestSpan::default(),
    })
}

/// The registered clusters among the visible ones.
fn list_clusters(visible: &Clusters, principal: Option<&Principal>) -> Vec<String> {
    match (visible, principal) {
        (Clusters::Only(ids), _) => ids.clone(),
        (Clusters::All, Some(principal)) => principal.registered.iter().cloned().collect(),
        (Clusters::All, None) => Vec::new(),
    }
}

impl Admission {
    /// The caller's organization, for stores that are asked on their behalf.
    pub fn organization(&self) -> Option<Uuid> {
        self.principal
            .as_ref()
            .map(|principal: &Arc<Principal>| principal.organization)
    }
}

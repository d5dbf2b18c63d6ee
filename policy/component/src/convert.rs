//! WIT types to policy types and back. Strings move; nothing is copied.

use scopegate_policy as policy;

use crate::bindings::exports::scopegate::policy::rules as wit;

/// The caller as the policy knows callers.
pub(crate) fn caller(caller: wit::Caller) -> policy::Caller {
    policy::Caller {
        kind: match caller.kind {
            wit::CallerKind::Anonymous => policy::CallerKind::Anonymous,
            wit::CallerKind::Session => policy::CallerKind::Session,
            wit::CallerKind::ApiKey => policy::CallerKind::ApiKey,
            wit::CallerKind::Agent => policy::CallerKind::Agent,
        },
        subject: caller.subject,
        organization: caller.organization,
        roles: caller.roles,
        permissions: caller.permissions,
        scopes: caller.scopes,
        clusters: clusters(caller.clusters),
        allowed_clusters: clusters(caller.allowed_clusters),
        agent_cluster: caller.agent_cluster,
        operator: caller.operator,
        mfa: caller.mfa,
        auth_time: caller.auth_time,
        credential_created: caller.credential_created,
    }
}

/// The set, sorted.
fn clusters(clusters: wit::Clusters) -> policy::Clusters {
    match clusters {
        wit::Clusters::All => policy::Clusters::All,
        wit::Clusters::Only(ids) => policy::Clusters::only(ids),
    }
}

/// The request as the policy knows requests.
pub(crate) fn request(request: wit::Request) -> policy::Request {
    let fields = |fields: Vec<wit::Field>| {
        fields
            .into_iter()
            .map(|field| (field.name, field.value))
            .collect()
    };
    policy::Request {
        method: request.method,
        path: request.path,
        query: fields(request.query),
        headers: fields(request.headers),
        now: request.now,
        address: request.address.parse().ok(),
    }
}

/// The decision in the words of the world.
pub(crate) fn decision(decision: policy::Decision) -> wit::Decision {
    wit::Decision {
        outcome: match decision.outcome {
            policy::Outcome::Allow(policy::Clusters::All) => {
                wit::Outcome::Allow(wit::Clusters::All)
            }
            policy::Outcome::Allow(policy::Clusters::Only(ids)) => {
                wit::Outcome::Allow(wit::Clusters::Only(ids))
            }
            policy::Outcome::Deny(why) => wit::Outcome::Deny(reason(why)),
        },
        rule: wit::Rule {
            route: decision.rule.route,
            grant: match decision.rule.grant {
                policy::Grant::None => wit::Grant::None,
                policy::Grant::Role(index) => wit::Grant::Role(index),
                policy::Grant::Permission => wit::Grant::Permission,
                policy::Grant::Public => wit::Grant::Public,
            },
            restriction: match decision.rule.restriction {
                policy::Restriction::None => wit::Restriction::None,
                policy::Restriction::Scopes => wit::Restriction::Scopes,
                policy::Restriction::AuthorityClusters => wit::Restriction::AuthorityClusters,
                policy::Restriction::KeyClusters => wit::Restriction::KeyClusters,
                policy::Restriction::AgentCluster => wit::Restriction::AgentCluster,
                policy::Restriction::ReadOnly => wit::Restriction::ReadOnly,
            },
        },
    }
}

fn reason(reason: policy::Reason) -> wit::Reason {
    match reason {
        policy::Reason::NotAuthenticated => wit::Reason::NotAuthenticated,
        policy::Reason::NoRoute => wit::Reason::NoRoute,
        policy::Reason::AmbiguousPath => wit::Reason::AmbiguousPath,
        policy::Reason::MissingPermission(name) => wit::Reason::MissingPermission(name),
        policy::Reason::ClusterNotAllowed(id) => wit::Reason::ClusterNotAllowed(id),
        policy::Reason::ClusterRequired => wit::Reason::ClusterRequired,
        policy::Reason::ClustersRestricted => wit::Reason::ClustersRestricted,
        policy::Reason::ReadOnlyKey => wit::Reason::ReadOnlyKey,
        policy::Reason::AgentOutsideCluster(id) => wit::Reason::AgentOutsideCluster(id),
        policy::Reason::OperatorRequired => wit::Reason::OperatorRequired,
        policy::Reason::SignInRequired => wit::Reason::SignInRequired,
        policy::Reason::ConditionNotMet => wit::Reason::ConditionNotMet,
        policy::Reason::Other(word) => wit::Reason::Other(word),
    }
}

/// The description in the words of the world.
pub(crate) fn description(description: policy::Description) -> wit::Description {
    wit::Description {
        name: description.name,
        version: description.version,
        permissions: description
            .permissions
            .into_iter()
            .map(permission)
            .collect(),
        roles: description
            .roles
            .into_iter()
            .map(|role| wit::RoleInfo {
                name: role.name,
                permissions: role.permissions,
                when: role.when,
            })
            .collect(),
        routes: description.routes.into_iter().map(route).collect(),
        headers: description.headers,
    }
}

fn permission(permission: policy::PermissionInfo) -> wit::PermissionInfo {
    wit::PermissionInfo {
        name: permission.name,
        category: permission.category,
        unlocks: permission.unlocks,
        scope: permission.scope,
    }
}

fn route(route: policy::RouteInfo) -> wit::RouteInfo {
    wit::RouteInfo {
        method: route.method,
        pattern: route.pattern,
        public: route.public,
        requires: route.requires,
        when: route.when,
        cluster: match route.cluster {
            policy::ClusterSource::Spans => wit::ClusterSource::Spans,
            policy::ClusterSource::Path(index) => wit::ClusterSource::Path(index),
            policy::ClusterSource::Query(name) => wit::ClusterSource::Query(name),
            policy::ClusterSource::Header(name) => wit::ClusterSource::Header(name),
            policy::ClusterSource::None => wit::ClusterSource::None,
            policy::ClusterSource::Upstream => wit::ClusterSource::Upstream,
            policy::ClusterSource::Lists(shape) => wit::ClusterSource::Lists(wit::ListShape {
                items: shape.items,
                cluster: shape.cluster,
                keep: shape.keep,
            }),
        },
    }
}

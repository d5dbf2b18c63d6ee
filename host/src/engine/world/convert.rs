//! What the versions of `rules` have in common, for each version's own types: a macro, because no type is shared.

/// The conversions of a version whose types are in `wit`; what differs between versions is given in braces.
macro_rules! conversions {
    (
        caller($caller:ident) { $($caller_fields:tt)* }
        request($request:ident, $address:ident = $text:expr) { $($request_fields:tt)* }
        reasons { $($reasons:tt)* }
        role($role:ident) { $($role_fields:tt)* }
        route($route:ident) { $($route_fields:tt)* }
        description($description:ident) { $($description_fields:tt)* }
    ) => {
        use scopegate_policy::{
            Caller, CallerKind, ClusterSource, Clusters, Decision, Description, Grant, ListShape,
            Outcome, PermissionInfo, Reason, Restriction, RoleInfo, RouteInfo, Rule,
            packed::RequestRef,
        };
        use smallvec::SmallVec;

        /// The functions as the component model types them.
        pub(in crate::engine) type DecideParams<'a> = (wit::Caller<'a>, wit::Request<'a>);
        pub(in crate::engine) type DecideResults = (wit::Decision,);
        pub(in crate::engine) type DescribeResults = (wit::Description,);

        /// Lends a caller and a request to `call`, in the types of the world.
        pub(in crate::engine) fn lend<T>(
            $caller: &Caller,
            $request: &RequestRef<'_>,
            call: impl FnOnce(DecideParams<'_>) -> T,
        ) -> T {
            let roles = strings(&$caller.roles);
            let permissions = strings(&$caller.permissions);
            let scopes = $caller.scopes.as_deref().map(strings);
            let authority = ids(&$caller.clusters);
            let allowed = ids(&$caller.allowed_clusters);
            let query = fields($request.query);
            let headers = fields($request.headers);
            let $address = $text;
            call((
                wit::Caller {
                    kind: match $caller.kind {
                        CallerKind::Anonymous => wit::CallerKind::Anonymous,
                        CallerKind::Session => wit::CallerKind::Session,
                        CallerKind::ApiKey => wit::CallerKind::ApiKey,
                        CallerKind::Agent => wit::CallerKind::Agent,
                    },
                    subject: &$caller.subject,
                    organization: &$caller.organization,
                    roles: &roles,
                    permissions: &permissions,
                    scopes: scopes.as_deref(),
                    clusters: clusters(&$caller.clusters, &authority),
                    allowed_clusters: clusters(&$caller.allowed_clusters, &allowed),
                    agent_cluster: $caller.agent_cluster.as_deref(),
                    operator: $caller.operator,
                    mfa: $caller.mfa,
                    auth_time: $caller.auth_time,
                    $($caller_fields)*
                },
                wit::Request {
                    method: $request.method,
                    path: $request.path,
                    query: &query,
                    headers: &headers,
                    now: $request.now,
                    $($request_fields)*
                },
            ))
        }

        fn strings(strings: &[String]) -> SmallVec<[&str; 8]> {
            strings.iter().map(String::as_str).collect()
        }

        fn ids(clusters: &Clusters) -> SmallVec<[&str; 8]> {
            match clusters {
                Clusters::All => SmallVec::new(),
                Clusters::Only(ids) => strings(ids),
            }
        }

        fn clusters<'a>(clusters: &Clusters, ids: &'a [&'a str]) -> wit::ClustersParam<'a> {
            match clusters {
                Clusters::All => wit::ClustersParam::All,
                Clusters::Only(_) => wit::ClustersParam::Only(ids),
            }
        }

        fn fields(fields: &[(String, String)]) -> SmallVec<[wit::Field<'_>; 4]> {
            fields
                .iter()
                .map(|(name, value)| wit::Field { name, value })
                .collect()
        }

        /// A decision as the policy crate knows decisions.
        pub(in crate::engine) fn decision(decision: wit::Decision) -> Decision {
            let wit::Rule {
                route,
                grant,
                restriction,
            } = decision.rule;
            Decision {
                outcome: match decision.outcome {
                    wit::Outcome::Allow(wit::ClustersResult::All) => Outcome::Allow(Clusters::All),
                    wit::Outcome::Allow(wit::ClustersResult::Only(ids)) => {
                        Outcome::Allow(Clusters::only(ids))
                    }
                    wit::Outcome::Deny(why) => Outcome::Deny(reason(why)),
                },
                rule: Rule {
                    route,
                    grant: match grant {
                        wit::Grant::None => Grant::None,
                        wit::Grant::Role(index) => Grant::Role(index),
                        wit::Grant::Permission => Grant::Permission,
                        wit::Grant::Public => Grant::Public,
                    },
                    restriction: match restriction {
                        wit::Restriction::None => Restriction::None,
                        wit::Restriction::Scopes => Restriction::Scopes,
                        wit::Restriction::AuthorityClusters => Restriction::AuthorityClusters,
                        wit::Restriction::KeyClusters => Restriction::KeyClusters,
                        wit::Restriction::AgentCluster => Restriction::AgentCluster,
                        wit::Restriction::ReadOnly => Restriction::ReadOnly,
                    },
                },
            }
        }

        fn reason(reason: wit::Reason) -> Reason {
            match reason {
                wit::Reason::NotAuthenticated => Reason::NotAuthenticated,
                wit::Reason::NoRoute => Reason::NoRoute,
                wit::Reason::AmbiguousPath => Reason::AmbiguousPath,
                wit::Reason::MissingPermission(name) => Reason::MissingPermission(name),
                wit::Reason::ClusterNotAllowed(id) => Reason::ClusterNotAllowed(id),
                wit::Reason::ClusterRequired => Reason::ClusterRequired,
                wit::Reason::ClustersRestricted => Reason::ClustersRestricted,
                wit::Reason::ReadOnlyKey => Reason::ReadOnlyKey,
                wit::Reason::AgentOutsideCluster(id) => Reason::AgentOutsideCluster(id),
                wit::Reason::OperatorRequired => Reason::OperatorRequired,
                wit::Reason::SignInRequired => Reason::SignInRequired,
                wit::Reason::Other(word) => Reason::Other(word),
                $($reasons)*
            }
        }

        /// A description as the policy crate knows descriptions.
        pub(in crate::engine) fn description($description: wit::Description) -> Description {
            Description {
                name: $description.name,
                version: $description.version,
                permissions: $description
                    .permissions
                    .into_iter()
                    .map(|permission| PermissionInfo {
                        name: permission.name,
                        category: permission.category,
                        unlocks: permission.unlocks,
                        scope: permission.scope,
                    })
                    .collect(),
                roles: $description
                    .roles
                    .into_iter()
                    .map(|$role| RoleInfo {
                        name: $role.name,
                        permissions: $role.permissions,
                        $($role_fields)*
                    })
                    .collect(),
                routes: $description.routes.into_iter().map(route).collect(),
                $($description_fields)*
            }
        }

        fn route($route: wit::RouteInfo) -> RouteInfo {
            RouteInfo {
                method: $route.method,
                pattern: $route.pattern,
                public: $route.public,
                requires: $route.requires,
                cluster: match $route.cluster {
                    wit::ClusterSource::Spans => ClusterSource::Spans,
                    wit::ClusterSource::Path(index) => ClusterSource::Path(index),
                    wit::ClusterSource::Query(name) => ClusterSource::Query(name),
                    wit::ClusterSource::Header(name) => ClusterSource::Header(name),
                    wit::ClusterSource::None => ClusterSource::None,
                    wit::ClusterSource::Upstream => ClusterSource::Upstream,
                    wit::ClusterSource::Lists(shape) => ClusterSource::Lists(ListShape {
                        items: shape.items,
                        cluster: shape.cluster,
                        keep: shape.keep,
                    }),
                },
                $($route_fields)*
            }
        }
    };
}

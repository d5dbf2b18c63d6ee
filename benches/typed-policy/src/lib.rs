//! A policy as somebody writes one in Rust for the world `policy`: typed records, and rules in code.
//!
//! It knows the routes, roles and rules of the benches' document that a viewer's key meets, and nothing of the
//! engine: this is what the typed path costs on its own.

use bindings::exports::scopegate::policy::rules::{
    Caller, CallerKind, ClusterSource, Clusters, Decision, Description, Grant, Guest, Outcome,
    PermissionInfo, Reason, Request, Restriction, RoleInfo, RouteInfo, Rule,
};

mod bindings {
    wit_bindgen::generate!({ path: "../../wit/policy.wit", world: "policy" });
}

struct Policy;

/// Method, what follows the cluster in the path, permission.
const ROUTES: [(&str, &str, &str); 4] = [
    ("GET", "", "clusters:read"),
    ("PATCH", "", "clusters:write"),
    ("GET", "/workloads", "clusters:read"),
    ("GET", "/nodes", "nodes:read"),
];
const PREFIX: &str = "/v1/clusters/";
const ROLES: [(&str, &[&str]); 2] = [
    ("editor", &["clusters:read", "clusters:write", "nodes:read"]),
    ("viewer", &["clusters:read", "nodes:read"]),
];

impl Guest for Policy {
    fn describe() -> Description {
        let permission = |name: &str| PermissionInfo {
            name: name.to_owned(),
            category: "Clusters".to_owned(),
            unlocks: String::new(),
            scope: true,
        };
        let route = |(method, tail, requires): (&str, &str, &str)| RouteInfo {
            method: method.to_owned(),
            pattern: format!("{PREFIX}{{cluster}}{tail}"),
            public: false,
            requires: Some(requires.to_owned()),
            cluster: ClusterSource::Path(2),
        };
        Description {
            name: "typed".to_owned(),
            version: "1".to_owned(),
            permissions: ["clusters:read", "clusters:write", "nodes:read"]
                .map(permission)
                .to_vec(),
            roles: ROLES
                .map(|(name, permissions)| RoleInfo {
                    name: name.to_owned(),
                    permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
                })
                .to_vec(),
            routes: ROUTES.map(route).to_vec(),
        }
    }

    fn decide(caller: Caller, request: Request) -> Decision {
        let Some((index, cluster, requires)) = find_route(&request) else {
            return deny(Reason::NoRoute, None, Grant::None, Restriction::None);
        };
        let route = Some(index);
        if matches!(caller.kind, CallerKind::Anonymous) {
            return deny(
                Reason::NotAuthenticated,
                route,
                Grant::None,
                Restriction::None,
            );
        }
        let Some(role) = role_that_grants(&caller, requires) else {
            return deny(
                Reason::MissingPermission(requires.to_owned()),
                route,
                Grant::None,
                Restriction::None,
            );
        };
        let grant = Grant::Role(role);
        if caller
            .scopes
            .as_ref()
            .is_some_and(|scopes| !scopes.iter().any(|scope| scope == requires))
        {
            return deny(
                Reason::MissingPermission(requires.to_owned()),
                route,
                grant,
                Restriction::Scopes,
            );
        }
        for (set, restriction) in [
            (&caller.clusters, Restriction::AuthorityClusters),
            (&caller.allowed_clusters, Restriction::KeyClusters),
        ] {
            if !contains(set, cluster) {
                return deny(
                    Reason::ClusterNotAllowed(cluster.to_owned()),
                    route,
                    grant,
                    restriction,
                );
            }
        }
        Decision {
            outcome: Outcome::Allow(Clusters::Only(vec![cluster.to_owned()])),
            rule: Rule {
                route,
                grant,
                restriction: Restriction::None,
            },
        }
    }
}

/// The route's index, the cluster in the path and the permission that is needed.
fn find_route(request: &Request) -> Option<(u32, &str, &'static str)> {
    let rest = request.path.strip_prefix(PREFIX)?;
    let (cluster, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (0..)
        .zip(ROUTES)
        .find(|(_, (method, after, _))| *method == request.method && *after == tail)
        .map(|(index, (.., requires))| (index, cluster, requires))
}

fn role_that_grants(caller: &Caller, permission: &str) -> Option<u32> {
    (0..)
        .zip(ROLES)
        .find(|(_, (name, permissions))| {
            caller.roles.iter().any(|role| role == name) && permissions.contains(&permission)
        })
        .map(|(index, _)| index)
}

fn contains(clusters: &Clusters, cluster: &str) -> bool {
    match clusters {
        Clusters::All => true,
        Clusters::Only(ids) => ids.iter().any(|id| id == cluster),
    }
}

fn deny(reason: Reason, route: Option<u32>, grant: Grant, restriction: Restriction) -> Decision {
    Decision {
        outcome: Outcome::Deny(reason),
        rule: Rule {
            route,
            grant,
            restriction,
        },
    }
}

#[expect(unsafe_code, reason = "generated: the component's exported functions")]
mod exported {
    crate::bindings::export!(Policy with_types_in crate::bindings);

    use super::Policy;
}

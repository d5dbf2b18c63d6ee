//! A policy written by hand: `tables.rs` says what there is, `rules.rs` decides, `routes.rs` finds the route of a request.
//! Change any of them. The gate asks `decide` for every request and imports nothing into it: no clock, no file, no network.

mod routes;
mod rules;
mod tables;

use bindings::exports::scopegate::policy::rules::{
    Caller, ClusterSource, Decision, Description, Guest, ListShape, PermissionInfo, Request,
    RoleInfo, RouteInfo,
};
use tables::{Cluster, PERMISSIONS, ROLES, ROUTES};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy" });
}

struct Policy;

impl Guest for Policy {
    fn describe() -> Description {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Description {
            name: tables::NAME.to_owned(),
            version: tables::VERSION.to_owned(),
            permissions: PERMISSIONS
                .iter()
                .map(|permission| PermissionInfo {
                    name: permission.name.to_owned(),
                    category: permission.category.to_owned(),
                    unlocks: permission.unlocks.to_owned(),
                    scope: permission.scope,
                })
                .collect(),
            roles: ROLES
                .iter()
                .map(|role| RoleInfo {
                    name: role.name.to_owned(),
                    permissions: owned(role.permissions),
                })
                .collect(),
            routes: ROUTES
                .iter()
                .map(|route| RouteInfo {
                    method: route.method.to_owned(),
                    pattern: route.pattern.to_owned(),
                    public: route.public,
                    requires: route.requires.map(str::to_owned),
                    cluster: match &route.cluster {
                        Cluster::Spans => ClusterSource::Spans,
                        Cluster::Path(segment) => ClusterSource::Path(*segment),
                        Cluster::Query(name) => ClusterSource::Query((*name).to_owned()),
                        Cluster::Header(name) => ClusterSource::Header((*name).to_owned()),
                        Cluster::None => ClusterSource::None,
                        Cluster::Upstream => ClusterSource::Upstream,
                        Cluster::Lists {
                            items,
                            cluster,
                            keep,
                        } => ClusterSource::Lists(ListShape {
                            items: (*items).to_owned(),
                            cluster: (*cluster).to_owned(),
                            keep: owned(keep),
                        }),
                    },
                })
                .collect(),
        }
    }

    fn decide(caller: Caller, request: Request) -> Decision {
        rules::decide(&caller, &request)
    }
}

// The tests run without the sandbox, where nothing has such names.
#[cfg(target_family = "wasm")]
bindings::export!(Policy with_types_in bindings);

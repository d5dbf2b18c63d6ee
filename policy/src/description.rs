//! What a policy says of itself: its catalogue, roles and routes, in the order that rule codes index.

use serde::{Deserialize, Serialize};

use crate::facts::Request;
use crate::permission;

/// The path of the gate's management API; no route of a document is there or below.
pub const MANAGEMENT_PATH: &str = "/-/api";

/// Whether a path, or a route's pattern, is of the gate's management API.
pub fn is_management_path(path: &str) -> bool {
    path.strip_prefix(MANAGEMENT_PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A permission of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionInfo {
    /// `resource:action`.
    pub name: String,
    /// The group that pickers show it under.
    pub category: String,
    /// What it unlocks, in a few words.
    pub unlocks: String,
    /// Whether a key may carry it as a scope.
    pub scope: bool,
}

impl PermissionInfo {
    /// Whether it is one of those for the management API, which every document gets.
    pub fn is_management(&self) -> bool {
        permission::is_management(&self.name)
    }
}

/// A role built into the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleInfo {
    /// Its name.
    pub name: String,
    /// Its permissions, expanded and sorted.
    pub permissions: Vec<String>,
    /// The condition without which it grants nothing, as its author wrote it.
    pub when: Option<String>,
}

/// Where a JSON reply carries clusters, as JSON Pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListShape {
    /// The array of items; empty when the reply itself is the array.
    pub items: String,
    /// The cluster id within an item.
    pub cluster: String,
    /// Names of members beside the items that pass on to the caller.
    pub keep: Vec<String>,
}

/// Which clusters a route touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterSource {
    /// The route says nothing: it spans every cluster.
    Spans,
    /// The segment of the path, counted from 0.
    Path(u32),
    /// A query parameter.
    Query(String),
    /// A header, in lower case.
    Header(String),
    /// No cluster's data.
    None,
    /// The upstream narrows by the header that it is given.
    Upstream,
    /// A reply with items, each of one cluster.
    Lists(ListShape),
}

/// A route of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteInfo {
    /// Upper-case, or `*`.
    pub method: String,
    /// Such as `/v1/clusters/{cluster}/**`.
    pub pattern: String,
    /// Whether it is open to everyone.
    pub public: bool,
    /// The permission that it needs.
    pub requires: Option<String>,
    /// The condition that it asks for besides, as its author wrote it.
    pub when: Option<String>,
    /// The clusters that it touches.
    pub cluster: ClusterSource,
}

impl RouteInfo {
    /// Whether it is a route of the management API, which every document gets.
    pub fn is_management(&self) -> bool {
        is_management_path(&self.pattern)
    }

    /// The cluster that the request names on this route, if the route takes one and the request has it.
    pub fn named_cluster<'r>(&self, request: &'r Request) -> Option<&'r str> {
        self.cluster_named_by(&request.path, &request.query, &request.headers)
    }

    /// The cluster that a request of these parts names.
    pub fn cluster_named_by<'r>(
        &self,
        path: &'r str,
        query: &'r [(String, String)],
        headers: &'r [(String, String)],
    ) -> Option<&'r str> {
        let find = |fields: &'r [(String, String)], name: &str| {
            fields
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.as_str())
        };
        match &self.cluster {
            ClusterSource::Path(index) => path.split('/').nth(*index as usize + 1),
            ClusterSource::Query(name) => find(query, name),
            ClusterSource::Header(name) => find(headers, name),
            _ => None,
        }
    }
}

/// A policy as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The policy's name.
    pub name: String,
    /// Its version, in its author's own scheme; may be empty.
    pub version: String,
    /// The catalogue: the only names that roles, scopes and routes use.
    pub permissions: Vec<PermissionInfo>,
    /// Built-in roles.
    pub roles: Vec<RoleInfo>,
    /// Routes.
    pub routes: Vec<RouteInfo>,
    /// Headers that it reads besides those which routes read clusters from, in lower case and sorted.
    pub headers: Vec<String>,
}

impl Description {
    /// The permissions that the policy itself defines: those for the management API are in every policy.
    pub fn own_permissions(&self) -> impl Iterator<Item = &PermissionInfo> {
        self.permissions
            .iter()
            .filter(|permission| !permission.is_management())
    }

    /// The routes that the policy itself defines: those of the management API are in every policy.
    pub fn own_routes(&self) -> impl Iterator<Item = &RouteInfo> {
        self.routes.iter().filter(|route| !route.is_management())
    }
}

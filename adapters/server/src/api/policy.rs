//! The active policy, to read: what it is, its catalogue, roles and routes.

use axum::Json as Reply;
use serde::Serialize;
use utoipa::ToSchema;

use super::{caller::Caller, error::Failed};

/// The active policy
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicyView {
    /// Its name
    #[schema(example = "scopegate")]
    name: String,
    /// Its version, in its author's own words
    #[schema(example = "2026-03-31")]
    version: String,
    /// `sha256:` and the hash of its component, in hex
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: String,
    /// The contract that it goes with here
    #[schema(example = "scopegate")]
    contract: String,
    /// The catalogue: the only names that roles and scopes may use
    permissions: Vec<PermissionView>,
    /// Its roles
    roles: Vec<PolicyRole>,
    /// Its routes; the most specific one wins
    routes: Vec<RouteView>,
}

/// A permission
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PermissionView {
    /// `resource:action`
    #[schema(example = "clusters:read")]
    name: String,
    /// The group that pickers show it under
    #[schema(example = "Clusters")]
    category: String,
    /// What it unlocks
    #[schema(example = "Cluster inventory")]
    unlocks: String,
    /// Whether a key may carry it as a scope
    scope: bool,
}

/// A built-in role
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicyRole {
    /// Its name
    #[schema(example = "viewer")]
    name: String,
    /// Its permissions, spelled out
    #[schema(example = json!(["clusters:read"]))]
    permissions: Vec<String>,
    /// The condition without which it grants nothing, in CEL
    #[schema(example = "caller.mfa")]
    when: Option<String>,
}

/// A route
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RouteView {
    /// Upper-case, or `*`
    #[schema(example = "GET")]
    method: String,
    /// Such as `/v1/clusters/{cluster}/**`
    #[schema(example = "/v1/clusters/{cluster}/**")]
    pattern: String,
    /// Whether it is open to everyone
    public: bool,
    /// The permission that it needs
    #[schema(example = "clusters:read")]
    requires: Option<String>,
    /// The condition that it asks for besides, in CEL
    #[schema(example = json!("caller.credential_age < duration(\"2160h\")"))]
    when: Option<String>,
}

/// Read the active policy
#[utoipa::path(get, path = "/-/api/policy", tag = "Policy", operation_id = "readPolicy",
    responses((status = 200, body = PolicyView)))]
pub(super) async fn read(caller: Caller) -> Result<Reply<PolicyView>, Failed> {
    let description = caller.policy.description();
    Ok(Reply(PolicyView {
        name: description.name.clone(),
        version: description.version.clone(),
        digest: caller.policy.digest().to_owned(),
        contract: caller.state.gate.contract().name.clone(),
        permissions: description
            .permissions
            .iter()
            .map(|known| PermissionView {
                name: known.name.clone(),
                category: known.category.clone(),
                unlocks: known.unlocks.clone(),
                scope: known.scope,
            })
            .collect(),
        roles: description
            .roles
            .iter()
            .map(|role| PolicyRole {
                name: role.name.clone(),
                permissions: role.permissions.clone(),
                when: role.when.clone(),
            })
            .collect(),
        routes: description
            .routes
            .iter()
            .map(|route| RouteView {
                method: route.method.clone(),
                pattern: route.pattern.clone(),
                public: route.public,
                requires: route.requires.clone(),
                when: route.when.clone(),
            })
            .collect(),
    }))
}

//! Pure decision logic: a policy document becomes checked tables, and a question becomes a decision.
//!
//! Nothing here does I/O, reads a clock or spawns anything. The same crate runs natively, inside the guest
//! component and inside the proxy-wasm filter.

mod condition;
mod decide;
mod description;
// These two compare policies on the outside; what runs in the guest needs neither.
#[cfg(feature = "document")]
pub mod diff;
#[cfg(feature = "document")]
pub mod document;
#[cfg(feature = "document")]
pub mod documents;
#[cfg(feature = "document")]
pub mod explain;
mod facts;
#[cfg(feature = "document")]
pub mod generate;
#[cfg(feature = "document")]
pub mod lint;
#[cfg(feature = "document")]
pub mod mutate;
pub mod packed;
pub mod permission;
pub mod routing;
mod tables;
mod vocabulary;
#[cfg(feature = "wire")]
pub mod wire;
#[cfg(feature = "document")]
pub mod yaml;

#[cfg(feature = "document")]
pub use condition::RoleConditions;
pub use condition::{
    Condition, ConditionOf, TEXT_BYTES_MAX as WHEN_BYTES_MAX, asked as asked_conditions,
};
pub use decide::{SIGN_IN_SECS_MAX, decide};
pub use description::{
    ClusterSource, Description, ListShape, MANAGEMENT_PATH, PermissionInfo, RoleInfo, RouteInfo,
    is_management_path,
};
pub use facts::{
    Caller, CallerKind, Clusters, Decision, Grant, Outcome, Reason, Request, Restriction, Rule,
    is_cluster_id,
};
pub use tables::{PERMISSIONS_MAX, ROLES_MAX, RouteOptions, Rules, Tables};
pub use vocabulary::Vocabulary;

use facts::is_cluster_id_bytes;

#[cfg(test)]
mod sample;

//! Pure decision logic: a policy document becomes checked tables, and a question becomes a decision.
//!
//! Nothing here does I/O, reads a clock or spawns anything. The same crate runs natively, inside the guest
//! component and inside the proxy-wasm filter.

mod description;
mod facts;

pub use description::{ClusterSource, Description, ListShape, PermissionInfo, RoleInfo, RouteInfo};
pub use facts::{
    Caller, CallerKind, Clusters, Decision, Grant, Outcome, Reason, Request, Restriction, Rule,
};

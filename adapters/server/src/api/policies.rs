//! The policies of this gate: which one is active, which were, and the next one. For operators.

use axum::{
    Json as Reply,
    extract::{FromRequest, Request},
    response::IntoResponse,
};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use scopegate_host::{
    admin::AdminError,
    store::{PolicySource, PolicyVersion},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    State,
    caller::{Caller, Id},
    error::Failed,
    view::moment,
};
use crate::{body, policy_file::COMPONENT_BYTES_MAX};

/// In place of a digest, which it cannot be the start of.
const PREVIOUS: &str = "previous";

/// A policy that is kept
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicyVersionView {
    /// `sha256:` and the hash of its component, in hex
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: String,
    /// Its name
    #[schema(example = "scopegate")]
    name: String,
    /// Its version, in its author's own words
    #[schema(example = "2026-03-31")]
    version: String,
    /// The size of its component
    #[schema(example = 150_000)]
    bytes: i64,
    /// Whether it decides
    active: bool,
    /// When it was first active
    added_at: Timestamp,
    /// When it was last made the active one
    activated_at: Timestamp,
    /// By whom: `machine` for the command line there, `gate` for the gate itself, or a user's id
    #[schema(example = "machine")]
    activated_by: String,
    /// What made it the active one
    source: SourceView,
}

/// What makes a policy the active one
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SourceView {
    /// The configuration, when the server started
    Start,
    /// The configuration's file, which has changed
    File,
    /// Somebody pushed it
    Push,
    /// Somebody went back to it
    Rollback,
    /// Somebody promoted it from the shadow
    Promote,
    /// The gate, because the policy after it failed
    Fault,
}

/// The policies that are kept
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicyVersions {
    /// The active one first, then by when each was last active; the last ten
    items: Vec<PolicyVersionView>,
}

/// The active policy, and whether it was another one before
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Activated {
    /// It
    #[serde(flatten)]
    policy: PolicyVersionView,
    /// Whether that changed anything
    changed: bool,
}

/// A component, as it came.
pub(super) struct Component(pub(super) Bytes);

impl FromRequest<State> for Component {
    type Rejection = Failed;

    async fn from_request(request: Request, _: &State) -> Result<Self, Failed> {
        let (parts, body) = request.into_parts();
        let bytes = body::component(&parts.headers, body, COMPONENT_BYTES_MAX).await;
        bytes.map(Self).map_err(Failed)
    }
}

/// List policies
///
/// Those that are kept, to go back to. For operators.
#[utoipa::path(get, path = "/-/api/policies", tag = "Policy", operation_id = "listPolicies",
    responses((status = 200, body = PolicyVersions)))]
pub(super) async fn list(caller: Caller) -> Result<Reply<PolicyVersions>, Failed> {
    let versions = caller.state.policies.versions().await;
    let versions = versions.map_err(AdminError::from)?;
    let items = versions.into_iter().enumerate();
    Ok(Reply(PolicyVersions {
        items: items
            .map(|(place, version)| view(version, place == 0))
            .collect(),
    }))
}

/// A gate that serves, as it last said itself
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeView {
    /// Of its process
    id: Uuid,
    /// Its host's name
    #[schema(example = "gate-1")]
    name: String,
    /// The version of its program
    #[schema(example = "0.1.0")]
    version: String,
    /// When it began to serve
    started_at: Timestamp,
    /// When it was heard of last
    seen_at: Timestamp,
    /// Whether that was a moment ago. One that is not here has stopped without saying so, or cannot reach the store
    here: bool,
    /// The digest of the policy that decides there
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    policy: String,
    /// Since when that one does
    since: Timestamp,
    /// Whether it is the active one
    follows: bool,
    /// Why not, where the gate knows
    #[schema(example = "the policy is refused, and the one before goes on: it is not signed")]
    problem: Option<String>,
}

/// The gates that serve from the same store
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nodes {
    /// The digest of the active policy
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    active: Option<String>,
    /// Whether every gate that is here decides by it
    all_follow: bool,
    /// By name
    items: Vec<NodeView>,
}

/// List gates
///
/// Those that serve from the same store, with the policy that decides at each. For operators.
#[utoipa::path(get, path = "/-/api/policies/nodes", tag = "Policy", operation_id = "listNodes",
    responses((status = 200, body = Nodes)))]
pub(super) async fn nodes(caller: Caller) -> Result<Reply<Nodes>, Failed> {
    let policies = &caller.state.policies;
    let versions = policies.versions().await.map_err(AdminError::from)?;
    let active = versions.into_iter().next().map(|active| active.digest);
    let nodes = policies.nodes().await.map_err(AdminError::from)?;
    let items = nodes.into_iter().map(|node| NodeView {
        follows: active.as_ref() == Some(&node.digest),
        id: node.id,
        name: node.name,
        version: node.version,
        started_at: node.started_at,
        seen_at: node.seen_at,
        here: node.is_here,
        policy: node.digest,
        since: node.since,
        problem: node.problem,
    });
    let items: Vec<NodeView> = items.collect();
    Ok(Reply(Nodes {
        active,
        all_follow: items.iter().all(|node| node.follows || !node.here),
        items,
    }))
}

/// Push a policy
///
/// It is checked first, and is active when this returns; every request under way ends under the policy that it began
/// with. A policy that is refused leaves the one before. For operators, with a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/policies", tag = "Policy", operation_id = "pushPolicy",
    request_body(content = Vec<u8>, content_type = "application/wasm",
        description = "The component, as `scopegate policy build` writes it"),
    responses((status = 201, body = Activated)))]
pub(super) async fn push(
    caller: Caller,
    Component(component): Component,
) -> Result<impl IntoResponse, Failed> {
    let origin = caller.admin().origin().clone();
    let policies = &caller.state.policies;
    let pushed = policies.push(component, origin, caller.now_ms).await;
    let (version, changed) = pushed.map_err(AdminError::from)?;
    Ok((StatusCode::CREATED, activated(version, changed)))
}

/// Go back to a policy
///
/// To one that is kept, by its digest, or with `previous` to the newest before that has not failed. For operators, with a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/policies/{policy}/activate", tag = "Policy", operation_id = "activatePolicy",
    params(("policy" = String, Path, description = "Its digest, or as much of it as tells it from the others, or `previous`")),
    responses((status = 200, body = Activated)))]
pub(super) async fn activate(
    caller: Caller,
    Id(policy): Id<String>,
) -> Result<Reply<Activated>, Failed> {
    let origin = caller.admin().origin().clone();
    let to = Some(policy).filter(|policy| policy != PREVIOUS);
    let policies = &caller.state.policies;
    let active = policies.roll_back(to, origin, caller.now_ms).await;
    let (version, changed) = active.map_err(AdminError::from)?;
    Ok(activated(version, changed))
}

pub(super) fn activated(version: PolicyVersion, changed: bool) -> Reply<Activated> {
    Reply(Activated {
        policy: view(version, true),
        changed,
    })
}

fn view(version: PolicyVersion, active: bool) -> PolicyVersionView {
    PolicyVersionView {
        digest: version.digest,
        name: version.name,
        version: version.version,
        bytes: version.bytes,
        active,
        added_at: moment(version.added_at),
        activated_at: moment(version.activated_at),
        activated_by: version.activated_by,
        source: match version.source {
            PolicySource::Start => SourceView::Start,
            PolicySource::File => SourceView::File,
            PolicySource::Push => SourceView::Push,
            PolicySource::Rollback => SourceView::Rollback,
            PolicySource::Promote => SourceView::Promote,
            PolicySource::Fault => SourceView::Fault,
        },
    }
}

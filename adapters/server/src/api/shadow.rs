//! The policy in the shadow of the active one: what it would answer otherwise, and whether it becomes the active one.
//! For operators.

use axum::{Json as Reply, response::IntoResponse};
use http::StatusCode;
use jiff::Timestamp;
use scopegate_host::{
    CallerKind,
    admin::AdminError,
    policies::shadow::{
        Difference, DifferenceKind, Example, ExampleAnswer, ExampleCaller, ShadowStatus,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    caller::{Caller, Parameters},
    error::Failed,
    policies::{Activated, Component, activated},
};

/// The policy in the shadow, and what it answers otherwise than the active one
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ShadowView {
    /// `sha256:` and the hash of its component, in hex
    #[schema(example = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752")]
    digest: String,
    /// Its name
    #[schema(example = "scopegate")]
    name: String,
    /// Its version, in its author's own words
    #[schema(example = "2026-04-01")]
    version: String,
    /// The size of its component
    #[schema(example = 150_000)]
    bytes: i64,
    /// When it was pushed
    pushed_at: Timestamp,
    /// By whom: `machine` for the command line there, or a user's id
    #[schema(example = "machine")]
    pushed_by: String,
    /// The digest of the active policy
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    beside: String,
    /// When the first request was compared; `null` while none was. Counts start anew with another active policy, and with
    /// the server
    since: Option<Timestamp>,
    /// Requests that both policies were asked about
    asked: u64,
    /// Those that both answered alike
    same: u64,
    /// Those that they answered differently
    different: u64,
    /// Those over which the policy in the shadow failed
    faults: u64,
    /// Requests that it was not asked about, because it was not fast enough
    skipped: u64,
    /// What differs: what would newly be allowed first, and then the most frequent
    differences: Vec<DifferenceView>,
    /// Requests with further kinds of differences or routes than are listed
    unlisted: u64,
}

/// A kind of difference, on one route
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DifferenceView {
    /// Which
    kind: DifferenceKindView,
    /// The active policy's route; the other's, where only that one has one
    #[schema(example = "GET /v1/clusters")]
    route: Option<String>,
    /// How often
    count: u64,
    /// The first few that tell something new
    examples: Vec<ExampleView>,
}

/// How the answer of the policy in the shadow differs
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DifferenceKindView {
    /// It allows what the active one refuses
    NewlyAllowed,
    /// It refuses what the active one allows
    NewlyRefused,
    /// Both allow, for other clusters
    OtherClusters,
    /// Both allow, and narrow the reply otherwise
    OtherList,
    /// Both refuse, for another reason
    OtherReason,
    /// It failed
    Fault,
}

/// A request that is answered differently
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExampleView {
    /// When it came
    at: Timestamp,
    /// Its method
    #[schema(example = "GET")]
    method: String,
    /// Its path
    #[schema(example = "/v1/clusters")]
    path: String,
    /// The parameters that the policy in the shadow declares
    #[schema(example = json!(["cluster=prod"]))]
    query: Vec<String>,
    /// The headers that it declares
    #[schema(example = json!(["x-cluster-id:prod"]))]
    headers: Vec<String>,
    /// Who asked
    caller: ExampleCallerView,
    /// What the active policy answered
    active: ExampleAnswerView,
    /// What the one in the shadow answered
    shadow: ExampleAnswerView,
}

/// Who asked
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExampleCallerView {
    /// How they proved it: `anonymous`, `session`, `api-key` or `agent`
    #[schema(example = "session")]
    kind: CallerKindView,
    /// Whose name the audit shows
    #[schema(example = "ada@example.com")]
    name: Option<String>,
    /// Their key's name
    #[schema(example = "grafana-export")]
    agent: Option<String>,
    /// Their roles
    #[schema(example = json!(["viewer"]))]
    roles: Vec<String>,
}

/// How a caller proved who they are
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CallerKindView {
    /// Not at all
    Anonymous,
    /// By a session
    Session,
    /// By an API key
    ApiKey,
    /// By an agent token
    Agent,
}

/// One of the two answers
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(super) enum ExampleAnswerView {
    /// Allowed
    Allow {
        /// The clusters that are visible, those first that are so by this answer alone; `null`: all
        clusters: Option<Vec<String>>,
        /// How many more there are
        more: usize,
    },
    /// Refused
    Deny {
        /// Why, in a word
        #[schema(example = "missing-permission")]
        reason: String,
        /// The permission or cluster that it is about, or what went wrong
        #[schema(example = "clusters:read")]
        about: Option<String>,
    },
}

/// Which policy is meant
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShadowParameters {
    /// Its digest, or the start of it: with another one in the shadow by now, nothing is done (409)
    #[param(max_length = 71, example = "sha256:9f86d081884c")]
    digest: Option<String>,
}

/// Show the shadow
///
/// The policy that decides without effect, and what it answers otherwise than the active one. For operators.
#[utoipa::path(get, path = "/-/api/policies/shadow", tag = "Policy", operation_id = "readShadow",
    responses((status = 200, body = ShadowView)))]
pub(super) async fn read(caller: Caller) -> Result<Reply<ShadowView>, Failed> {
    let shadow = caller.state.policies.shadow();
    Ok(Reply(shadow.map_err(AdminError::from)?.into()))
}

/// Push a policy into the shadow
///
/// It is checked as the one that is pushed to be active, and then decides every request beside that one, without effect:
/// what differs is counted. It takes the place of the one in the shadow before. For operators, with a sign-in at most
/// 15 minutes old.
#[utoipa::path(post, path = "/-/api/policies/shadow", tag = "Policy", operation_id = "pushShadow",
    request_body(content = Vec<u8>, content_type = "application/wasm",
        description = "The component, as `scopegate policy build` writes it"),
    responses((status = 201, body = ShadowView)))]
pub(super) async fn push(
    caller: Caller,
    Component(component): Component,
) -> Result<impl IntoResponse, Failed> {
    let origin = caller.admin().origin().clone();
    let policies = &caller.state.policies;
    let pushed = policies.push_shadow(component, origin, caller.now_ms).await;
    let shadow = ShadowView::from(pushed.map_err(AdminError::from)?);
    Ok((StatusCode::CREATED, Reply(shadow)))
}

/// Drop the shadow
///
/// The policy in it decides no longer. For operators, with a sign-in at most 15 minutes old.
#[utoipa::path(delete, path = "/-/api/policies/shadow", tag = "Policy", operation_id = "dropShadow",
    params(ShadowParameters),
    responses((status = 204, description = "There is none any more")))]
pub(super) async fn drop(
    caller: Caller,
    Parameters(meant): Parameters<ShadowParameters>,
) -> Result<StatusCode, Failed> {
    let origin = caller.admin().origin().clone();
    let policies = &caller.state.policies;
    let dropped = policies
        .drop_shadow(meant.digest, origin, caller.now_ms)
        .await;
    dropped.map_err(AdminError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Promote the shadow
///
/// The policy in it becomes the active one, and the shadow is empty. For operators, with a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/policies/shadow/promote", tag = "Policy", operation_id = "promoteShadow",
    params(ShadowParameters),
    responses((status = 200, body = Activated)))]
pub(super) async fn promote(
    caller: Caller,
    Parameters(meant): Parameters<ShadowParameters>,
) -> Result<Reply<Activated>, Failed> {
    let origin = caller.admin().origin().clone();
    let policies = &caller.state.policies;
    let active = policies.promote(meant.digest, origin, caller.now_ms).await;
    let (version, changed) = active.map_err(AdminError::from)?;
    Ok(activated(version, changed))
}

impl From<ShadowStatus> for ShadowView {
    fn from(status: ShadowStatus) -> Self {
        let counted = status.counted;
        let differences = counted.differences.into_iter();
        Self {
            digest: status.digest,
            name: status.name,
            version: status.version,
            bytes: status.bytes,
            pushed_at: status.pushed_at,
            pushed_by: status.pushed_by,
            beside: counted.beside,
            since: counted.since,
            asked: counted.asked,
            same: counted.same,
            different: counted.different,
            faults: counted.faults,
            skipped: counted.skipped,
            differences: differences.map(Into::into).collect(),
            unlisted: counted.unlisted,
        }
    }
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        use DifferenceKind as Kind;
        use DifferenceKindView as View;
        Self {
            kind: match difference.kind {
                Kind::NewlyAllowed => View::NewlyAllowed,
                Kind::NewlyRefused => View::NewlyRefused,
                Kind::OtherClusters => View::OtherClusters,
                Kind::OtherList => View::OtherList,
                Kind::OtherReason => View::OtherReason,
                Kind::Fault => View::Fault,
            },
            route: difference.route,
            count: difference.count,
            examples: difference.examples.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Example> for ExampleView {
    fn from(example: Example) -> Self {
        Self {
            at: example.at,
            method: example.method,
            path: example.path,
            query: example.query,
            headers: example.headers,
            caller: example.caller.into(),
            active: example.active.into(),
            shadow: example.shadow.into(),
        }
    }
}

impl From<ExampleCaller> for ExampleCallerView {
    fn from(caller: ExampleCaller) -> Self {
        Self {
            kind: match caller.kind {
                CallerKind::Anonymous => CallerKindView::Anonymous,
                CallerKind::Session => CallerKindView::Session,
                CallerKind::ApiKey => CallerKindView::ApiKey,
                CallerKind::Agent => CallerKindView::Agent,
            },
            name: caller.name,
            agent: caller.agent,
            roles: caller.roles,
        }
    }
}

impl From<ExampleAnswer> for ExampleAnswerView {
    fn from(answer: ExampleAnswer) -> Self {
        match answer {
            ExampleAnswer::Allow { clusters, more } => Self::Allow { clusters, more },
            ExampleAnswer::Deny { reason, about } => Self::Deny { reason, about },
        }
    }
}

//! What happened to the organization's requests over time: for a picture.

use axum::Json as Reply;
use jiff::Timestamp;
use scopegate_host::{
    Cause,
    audit::{LOOK_BACK_SECS, Summary, Window},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    caller::{Caller, Parameters},
    error::Failed,
    view::moment,
};

const DAY_SECS: i64 = 24 * 3600;

/// Of what time
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SummaryParameters {
    /// From this moment on, at most 92 days ago; a day before `until` when left out
    #[param(example = "2026-03-31T12:00:00Z")]
    since: Option<Timestamp>,
    /// Before this moment; now when left out
    #[param(example = "2026-04-01T12:00:00Z")]
    until: Option<Timestamp>,
}

/// What happened to requests over time
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SummaryView {
    /// Where the first bucket begins: at `since` or somewhat before it
    since: Timestamp,
    /// Where the last bucket ends: at `until` or somewhat after it
    until: Timestamp,
    /// How wide a bucket is, in seconds
    #[schema(example = 1800)]
    bucket_secs: i64,
    /// All buckets, oldest first, empty ones too; some 60 at most
    buckets: Vec<BucketView>,
    /// The ten most frequent reasons for refusals, those over a limit too
    reasons: Vec<ReasonCount>,
    /// The ten whose limits were hit most often
    limits: Vec<LimitCount>,
    /// How long the gate took
    latency: LatencyView,
}

/// What happened to requests in a bucket
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BucketView {
    /// Where it begins
    start: Timestamp,
    /// Requests that were let through
    #[schema(example = 4711)]
    admitted: u64,
    /// Requests that were refused, but for a limit
    #[schema(example = 12)]
    refused: u64,
    /// Requests that were over a limit
    #[schema(example = 3)]
    limited: u64,
}

/// How often requests were refused for a reason
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReasonCount {
    /// Its code
    #[schema(example = "missing-permission")]
    reason: String,
    /// How often
    #[schema(example = 12)]
    count: u64,
}

/// How often somebody's limit was hit
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LimitCount {
    /// What they called with: `session`, `api-key` or `agent`
    #[schema(example = "api-key")]
    scope: String,
    /// The key's or agent's name, or the user's e-mail address
    #[schema(example = "grafana-export")]
    name: String,
    /// How often
    #[schema(example = 3)]
    count: u64,
}

/// How long the gate took, to within an eighth
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LatencyView {
    /// Of how many records
    #[schema(example = 4726)]
    count: u64,
    /// The median, in microseconds; `null` where there was nothing
    #[schema(example = 72)]
    p50_us: Option<u64>,
    /// The 95th percentile
    #[schema(example = 208)]
    p95_us: Option<u64>,
    /// The 99th percentile
    #[schema(example = 416)]
    p99_us: Option<u64>,
}

/// Sum the audit up
///
/// What happened to your organization's requests over time: how many were let through and how many were not, why not, whose
/// limits were hit, and how long the gate took. What is counted is explained in the documentation of the audit. Needs the
/// permission `manage:audit`.
#[utoipa::path(get, path = "/-/api/audit/summary", tag = "Audit", operation_id = "summarizeAudit",
    params(SummaryParameters), responses((status = 200, body = SummaryView)))]
pub(super) async fn read(
    caller: Caller,
    Parameters(parameters): Parameters<SummaryParameters>,
) -> Result<Reply<SummaryView>, Failed> {
    // As with the records themselves: operators, who are in no organization, see none.
    let organization = caller.admin().own_organization().await?.id;
    let window = window(&parameters, caller.now())?;
    let store = caller.state.gate.directory().store();
    let summary = store
        .audit_summary(organization, window)
        .await
        .map_err(|error| Failed(Cause::Unavailable(error.to_string())))?;
    Ok(Reply(summary.into()))
}

/// The buckets of the time that is asked for, at `now`, in seconds since the epoch.
fn window(parameters: &SummaryParameters, now: i64) -> Result<Window, Failed> {
    let secs = |at: Timestamp| at.as_millisecond().div_euclid(1000);
    // The second that it is now is among what has happened.
    let until = parameters.until.map_or(now + 1, secs);
    let since = parameters
        .since
        .map_or(until.saturating_sub(DAY_SECS), secs);
    if since >= until {
        return Err(Failed::invalid("`since` is not before `until`"));
    }
    // The second in which the request came is still within it.
    if since < now - LOOK_BACK_SECS - 1 {
        return Err(Failed::invalid("`since` is at most 92 days ago"));
    }
    if until - since > LOOK_BACK_SECS + 1 {
        return Err(Failed::invalid(
            "from `since` to `until` it is at most 92 days",
        ));
    }
    Ok(Window::around(since, until))
}

impl From<Summary> for SummaryView {
    fn from(summary: Summary) -> Self {
        let Summary {
            window,
            buckets,
            reasons,
            limits,
            latency,
        } = summary;
        Self {
            since: moment(window.since),
            until: moment(window.until),
            bucket_secs: window.bucket_secs,
            buckets: buckets
                .into_iter()
                .map(|bucket| BucketView {
                    start: moment(bucket.start),
                    admitted: bucket.admitted,
                    refused: bucket.refused,
                    limited: bucket.limited,
                })
                .collect(),
            reasons: reasons
                .into_iter()
                .map(|(reason, count)| ReasonCount { reason, count })
                .collect(),
            limits: limits
                .into_iter()
                .map(|hit| LimitCount {
                    scope: hit.scope,
                    name: hit.name,
                    count: hit.count,
                })
                .collect(),
            latency: LatencyView {
                count: latency.count,
                p50_us: latency.p50_us,
                p95_us: latency.p95_us,
                p99_us: latency.p99_us,
            },
        }
    }
}

//! The audit of the organization: who asked for what and what came of it, and who changed what.

use std::collections::BTreeMap;

use axum::Json as Reply;
use jiff::Timestamp;
use scopegate_host::{
    Cause,
    audit::{Filter, Found, RecordKind},
    store::Page,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::{Caller, Parameters},
    error::Failed,
    page::{self, Listed},
};

/// Which records: those that are all of this
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParameters {
    /// Items at most
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Requests or changes
    #[param(inline, example = "change")]
    kind: Option<KindView>,
    /// Of this user
    user: Option<Uuid>,
    /// With this credential or session
    credential: Option<Uuid>,
    /// Changes of this: the id of a key, a user, a session or a cluster, or the name of a role
    #[param(max_length = 255, example = "on-call")]
    subject: Option<String>,
    /// Changes of this kind
    #[param(max_length = 64, example = "key.mint")]
    action: Option<String>,
    /// Requests with this outcome
    #[param(inline, example = "refuse")]
    outcome: Option<OutcomeView>,
    /// Requests refused for this reason
    #[param(max_length = 64, example = "missing-permission")]
    reason: Option<String>,
    /// Requests whose path begins with this
    #[param(max_length = 1024, example = "/v1/clusters")]
    path: Option<String>,
    /// From this moment on
    #[param(example = "2026-03-31T12:00:00Z")]
    since: Option<Timestamp>,
    /// Before this moment
    #[param(example = "2026-04-01T12:00:00Z")]
    until: Option<Timestamp>,
}

/// What is recorded
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KindView {
    /// A request and what came of it
    Request,
    /// A change of what is stored
    Change,
}

/// What came of a request
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OutcomeView {
    /// It was let through
    Admit,
    /// It was refused
    Refuse,
}

/// A record, as it is in the audit
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "kind": "change", "seq": 7, "time": "2026-03-31T12:00:00Z", "actor": "user:0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11",
    "action": "key.mint", "subject": "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11", "detail": { "name": "grafana-export" },
}))]
pub(super) struct AuditRecord {
    /// All its members; those of a request are others than those of a change
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

/// Search the audit
///
/// The records of your organization, newest first; their members are explained in the documentation of the audit. One
/// request looks at a bounded number of them: a page may have few items or none and still a `next_cursor`. Needs the
/// permission `manage:audit`.
#[utoipa::path(get, path = "/-/api/audit", tag = "Audit", operation_id = "searchAudit", params(AuditParameters),
    responses((status = 200, body = Listed<AuditRecord>)))]
pub(super) async fn search(
    caller: Caller,
    Parameters(parameters): Parameters<AuditParameters>,
) -> Result<Reply<Listed<AuditRecord>>, Failed> {
    let page: Page<i64> = page::page(parameters.limit, parameters.cursor.as_deref())?;
    // Whatever is asked for, it is one organization's, and its own: operators, who are in none, see the records of
    // none here.
    let organization = caller.admin().own_organization().await?.id;
    let filter = Filter {
        organization: Some(organization),
        user: parameters.user,
        credential: parameters.credential,
        subject: page::bounded("subject", parameters.subject, 255)?,
        kind: parameters.kind.map(|kind| match kind {
            KindView::Request => RecordKind::Request,
            KindView::Change => RecordKind::Change,
        }),
        action: page::bounded("action", parameters.action, 64)?,
        outcome: parameters.outcome.map(|outcome| {
            match outcome {
                OutcomeView::Admit => "admit",
                OutcomeView::Refuse => "refuse",
            }
            .to_owned()
        }),
        reason: page::bounded("reason", parameters.reason, 64)?,
        path: page::bounded("path", parameters.path, 1024)?,
        since_ms: parameters.since.map(Timestamp::as_millisecond),
        until_ms: parameters.until.map(Timestamp::as_millisecond),
    };
    let store = caller.state.gate.directory().store();
    let searched = store
        .search_audit(&filter, page.after, page.limit)
        .await
        .map_err(|error| Failed(Cause::Unavailable(error.to_string())))?;
    let key = |found: &Found| found.seq.to_string();
    // What is in the store is JSON, or the store is damaged: `scopegate audit verify` tells.
    let view = |found: Found| serde_json::from_str(&found.numbered()).unwrap_or_default();
    let listed = Listed::of(searched.records, &page, key, view);
    // What was not looked at yet is for the next page.
    Ok(Reply(listed.going_on_from(searched.older)))
}

//! May this caller do this? Asked of the active policy, and answered with why.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use axum::Json as Reply;
use http::{HeaderMap, HeaderName, HeaderValue};
use scopegate_host::{
    Cause, Principal, Reason, Request,
    admin::{Who, clusters_of},
    explain::{self, Subject},
    gate::Pondered,
};
use scopegate_policy::{Outcome, explain::Explanation, explain::Question};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::{Caller, Json},
    error::Failed,
};

/// Who might ask for what
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "caller": { "role": "viewer", "clusters": ["prod"] },
    "method": "DELETE", "path": "/v1/clusters/prod",
}))]
pub(super) struct ExplainRequest {
    /// Who: one of these
    caller: WhoView,
    /// The HTTP method
    #[schema(max_length = 32, example = "DELETE")]
    method: String,
    /// The path, as it would be sent
    #[schema(max_length = 8192, example = "/v1/clusters/prod")]
    path: String,
    /// The query, without `?`
    #[schema(max_length = 8192, example = "page=2")]
    #[serde(default)]
    query: String,
    /// Headers; only those that the policy reads mean anything
    #[schema(example = json!({ "x-cluster-id": "prod" }))]
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The client's address; a condition that reads it is not met where it is not said
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    #[serde(default)]
    address: Option<IpAddr>,
}

/// Who is asked about
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = WhoIsExplained, example = json!({ "role": "viewer", "clusters": ["prod"] }))]
pub(super) enum WhoView {
    /// Nobody who has a credential
    Word(Anonymous),
    /// Somebody
    Somebody(ExplainedCaller),
}

/// Whoever comes without a credential
#[derive(Debug, Deserialize, ToSchema)]
pub(super) enum Anonymous {
    /// They
    #[serde(rename = "anonymous")]
    Anonymous,
}

/// Somebody: one of `user`, `key`, `agent` and `role`
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "role": "viewer", "clusters": ["prod"] }))]
pub(super) struct ExplainedCaller {
    /// A user, as in a session that they open now
    #[serde(default)]
    user: Option<Uuid>,
    /// An API key
    #[serde(default)]
    key: Option<Uuid>,
    /// An agent's token
    #[serde(default)]
    agent: Option<Uuid>,
    /// Whoever has this role, built in or custom
    #[serde(default)]
    role: Option<String>,
    /// With a role: their clusters; every cluster when left out or `null`
    #[serde(default)]
    clusters: Option<Vec<String>>,
}

/// The answer, and why it is that
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplanationView {
    /// Whether the request would be let through
    outcome: ExplainedOutcome,
    /// The status that it would be refused with, or 200
    #[schema(example = 403)]
    status: u16,
    /// The code of the refusal
    #[schema(example = "missing-permission")]
    reason: Option<String>,
    /// The permission or cluster that it is about
    #[schema(example = "clusters:write")]
    about: Option<String>,
    /// The route that decided
    route: Option<ExplainedRoute>,
    /// The permission that the route needs
    #[schema(example = "clusters:write")]
    requires: Option<String>,
    /// The permissions that the caller has, by their roles and scopes
    #[schema(example = json!(["clusters:read"]))]
    permissions: Vec<String>,
    /// Their roles
    #[schema(example = json!(["viewer"]))]
    roles: Vec<String>,
    /// The clusters that they may touch; `null`: every cluster
    #[schema(example = json!(["prod"]))]
    clusters: Option<Vec<String>>,
    /// The policy that answers
    policy: ExplainedPolicy,
    /// Why, in plain words: the lines that `scopegate policy explain` prints
    #[schema(example = json!(["DELETE /v1/clusters/prod, by a session (role `viewer`)", "refused: missing-permission `clusters:write`"]))]
    explanation: Vec<String>,
}

/// Whether a request would be let through
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExplainedOutcome {
    /// It would
    Allow,
    /// It would not
    Deny,
}

/// A route that decided
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplainedRoute {
    /// Upper-case, or `*`
    #[schema(example = "DELETE")]
    method: String,
    /// Such as `/v1/clusters/{cluster}/**`
    #[schema(example = "/v1/clusters/{cluster}")]
    pattern: String,
}

/// A policy that answers
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplainedPolicy {
    /// Its name
    #[schema(example = "scopegate")]
    name: String,
    /// Its version, in its author's own words
    #[schema(example = "2026-03-31")]
    version: String,
    /// `sha256:` and the hash of its component, in hex
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: String,
}

/// Explain a decision
///
/// May somebody of your organization do something, and why is that so? The active policy answers as it would answer their
/// request, which nobody makes: nothing is recorded of it, and no limit of theirs is touched. Needs the permission
/// `manage:users` for users and roles, `manage:keys` for keys, and `manage:agents` for agents.
#[utoipa::path(post, path = "/-/api/policy/explain", tag = "Policy", operation_id = "explainDecision",
    request_body = ExplainRequest, responses((status = 200, body = ExplanationView)))]
pub(super) async fn explain(
    caller: Caller,
    Json { value, .. }: Json<ExplainRequest>,
) -> Result<Reply<ExplanationView>, Failed> {
    let who = value.caller.who()?;
    let admin = caller.admin();
    // Of no organization: nobody to ask about.
    admin.own_organization().await?;
    if let (Some(permission), Some(held)) = (who.permission(), admin.held())
        && !held.contains(permission)
    {
        let reason = Reason::MissingPermission(permission.to_owned());
        return Err(Failed(Cause::Denied(reason)));
    }
    let headers = headers(&value.headers)?;
    let (path, query) = match value.path.split_once('?') {
        Some((path, query)) if value.query.is_empty() => (path, query),
        _ => (value.path.as_str(), value.query.as_str()),
    };
    let request = Request {
        method: &value.method,
        path,
        query,
        authority: None,
        headers: &headers,
        peer: caller.admission.client,
        now_ms: caller.now_ms,
    };
    let pondered = Pondered {
        policy: &caller.policy,
        client: value.address,
        now_ms: caller.now_ms,
    };
    let request = pondered.request(&request).map_err(Failed)?;
    let bearer = match admin.bearer(who, caller.now_ms).await? {
        Ok(bearer) => bearer,
        Err(cause) => return Ok(Reply(refused(&caller, &cause))),
    };
    let question = Question {
        caller: bearer.caller.clone(),
        request,
        registered: Some(bearer.registered.as_ref().clone()),
    };
    let explained = explain::explain(Arc::clone(&caller.policy), question.clone()).await;
    let explanation = explained.map_err(Failed)?;
    Ok(Reply(shown(&caller, &bearer, &question, &explanation)))
}

fn shown(
    caller: &Caller,
    bearer: &Principal,
    question: &Question,
    explanation: &Explanation,
) -> ExplanationView {
    let description = caller.policy.description();
    let subject = Subject {
        description,
        document: None,
    };
    let text = explain::text(&subject, question, explanation);
    let lines = text.lines().filter(|line| !line.is_empty());
    let refusal = match &explanation.decision.outcome {
        Outcome::Allow(_) => None,
        Outcome::Deny(reason) => Some(reason),
    };
    let route = explanation
        .route()
        .and_then(|index| description.routes.get(index));
    ExplanationView {
        status: refusal.map_or(200, |reason| {
            Cause::Denied(reason.clone()).status().as_u16()
        }),
        reason: refusal.map(|reason| reason.code().to_owned()),
        about: refusal.and_then(Reason::subject).map(str::to_owned),
        route: route.map(|route| ExplainedRoute {
            method: route.method.clone(),
            pattern: route.pattern.clone(),
        }),
        requires: route.and_then(|route| route.requires.clone()),
        permissions: caller.admin().permissions_of(bearer),
        roles: bearer.caller.roles.clone(),
        clusters: clusters_of(bearer),
        explanation: lines.map(str::to_owned).collect(),
        ..blank(caller, refusal.is_none())
    }
}

/// Of somebody who is refused whatever they ask for: no policy is asked.
fn refused(caller: &Caller, cause: &Cause) -> ExplanationView {
    let why = match cause {
        Cause::Expired => "it has expired",
        _ => "it was ended, or nobody stands behind it any more",
    };
    ExplanationView {
        status: cause.status().as_u16(),
        reason: Some(cause.code().to_owned()),
        clusters: Some(Vec::new()),
        explanation: vec![
            format!("refused: {}", cause.code()),
            format!("note: {why}: every request is refused, and no policy is asked"),
        ],
        ..blank(caller, false)
    }
}

fn blank(caller: &Caller, is_allowed: bool) -> ExplanationView {
    let description = caller.policy.description();
    ExplanationView {
        outcome: match is_allowed {
            true => ExplainedOutcome::Allow,
            false => ExplainedOutcome::Deny,
        },
        status: 200,
        reason: None,
        about: None,
        route: None,
        requires: None,
        permissions: Vec::new(),
        roles: Vec::new(),
        clusters: None,
        policy: ExplainedPolicy {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: caller.policy.digest().to_owned(),
        },
        explanation: Vec::new(),
    }
}

impl WhoView {
    fn who(self) -> Result<Who, Failed> {
        let caller = match self {
            Self::Word(Anonymous::Anonymous) => return Ok(Who::Anonymous),
            Self::Somebody(caller) => caller,
        };
        let ExplainedCaller {
            user,
            key,
            agent,
            role,
            clusters,
        } = caller;
        let has_clusters = clusters.is_some();
        let named = [
            user.map(Who::User),
            key.map(Who::Key),
            agent.map(Who::Agent),
            role.map(|name| Who::Role { name, clusters }),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(who), None) if !has_clusters || matches!(who, Who::Role { .. }) => Ok(who),
            (Some(_), None) => Err(Failed::invalid(
                "the body: `caller.clusters` goes with `role` alone",
            )),
            _ => Err(Failed::invalid(
                "the body: `caller` is \"anonymous\", or has one of `user`, `key`, `agent` and `role`",
            )),
        }
    }
}

fn headers(named: &BTreeMap<String, String>) -> Result<HeaderMap, Failed> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let bad = |_| Failed::invalid("the body: `headers` has one that is none");
        let name: HeaderName = name.parse().map_err(|_| bad(()))?;
        let value = HeaderValue::from_str(value).map_err(|_| bad(()))?;
        headers.append(name, value);
    }
    Ok(headers)
}

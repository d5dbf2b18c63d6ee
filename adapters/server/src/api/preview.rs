//! What a key could do, before there is one.

use axum::Json as Reply;
use jiff::Timestamp;
use scopegate_host::{
    Reason,
    admin::{NewKey, Preview, clusters_of},
    gate::Pondered,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Json},
    error::{Failed, worded},
};

/// A name that every contract takes, for a key that has none yet.
const NAME: &str = "key";

/// A key that could be minted
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewKey {
    /// What it is for; nothing is said of a name that is left out, and what is wrong with one is among the problems
    #[schema(example = "grafana-export")]
    #[serde(default)]
    name: Option<String>,
    /// What it is narrowed to; where the contract wants scopes, at least one
    #[schema(example = json!(["clusters:read"]))]
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to; empty: every cluster, also those added later
    #[schema(example = json!(["prod"]))]
    #[serde(default)]
    allowed_cluster_ids: Vec<String>,
    /// When it ends by itself, where the contract has that
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// What a key could do
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewView {
    /// Whether it would be minted
    valid: bool,
    /// Why it would not be, in the words of minting; what is wrong is left out of what follows
    #[schema(example = json!([]))]
    problems: Vec<String>,
    /// The permissions that it would have, by its owner's roles and its scopes
    #[schema(example = json!(["clusters:read"]))]
    permissions: Vec<String>,
    /// The clusters that it could touch; `null`: every cluster
    #[schema(example = json!(["prod"]))]
    clusters: Option<Vec<String>>,
    /// What the policy says to it on each route of the product
    routes: Vec<RoutePreview>,
}

/// What the policy says to a key on a route
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoutePreview {
    /// Upper-case, or `*`
    #[schema(example = "DELETE")]
    method: String,
    /// Such as `/v1/clusters/{cluster}/**`
    #[schema(example = "/v1/clusters/{cluster}")]
    pattern: String,
    /// Whether a request is let through: one about a cluster that the key could touch, where the route takes one
    #[schema(example = false)]
    allowed: bool,
    /// The code of the refusal
    #[schema(example = "missing-permission")]
    reason: Option<String>,
    /// The permission or cluster that it is about
    #[schema(example = "clusters:write")]
    about: Option<String>,
}

/// Preview an API key
///
/// Says what a key would be good for, and what minting would refuse, and mints nothing. It needs no recent sign-in. The
/// policy itself is asked about each of its routes, with the facts that such a key of yours would have now.
#[utoipa::path(post, path = "/-/api/keys/preview", tag = "API keys", operation_id = "previewKey",
    request_body = PreviewKey, responses((status = 200, body = PreviewView)))]
pub(super) async fn preview(
    caller: Caller,
    Json { value, .. }: Json<PreviewKey>,
) -> Result<Reply<PreviewView>, Failed> {
    let key = NewKey {
        name: value.name.unwrap_or_else(|| NAME.to_owned()),
        scopes: value.scopes,
        allowed_cluster_ids: value.allowed_cluster_ids,
        expires_at: value.expires_at.map(Timestamp::as_second),
    };
    let previewed = caller.admin().preview_own_key(key, caller.now_ms).await?;
    let Preview {
        problems,
        principal,
        permissions,
    } = previewed;
    let mut routes = Vec::new();
    let mut clusters = Some(Vec::new());
    if let Some(bearer) = &principal {
        clusters = clusters_of(bearer);
        let pondered = Pondered {
            policy: &caller.policy,
            client: Some(caller.admission.client),
            now_ms: caller.now_ms,
        };
        let answers = pondered.routes(bearer).await.map_err(Failed)?;
        let known = &caller.policy.description().routes;
        routes = answers
            .into_iter()
            .filter_map(|(index, answer)| {
                let route = known.get(index)?;
                let refusal = answer.as_ref().err();
                Some(RoutePreview {
                    method: route.method.clone(),
                    pattern: route.pattern.clone(),
                    allowed: answer.is_ok(),
                    reason: refusal.map(|reason| reason.code().to_owned()),
                    about: refusal.and_then(Reason::subject).map(str::to_owned),
                })
            })
            .collect();
    }
    Ok(Reply(PreviewView {
        valid: problems.is_empty(),
        problems: problems.into_iter().map(worded).collect(),
        permissions,
        clusters,
        routes,
    }))
}

//! Agent tokens, each for one cluster.

use axum::{Json as Reply, response::Response};
use jiff::Timestamp;
use scopegate_host::{
    admin::{KeyFilter, Whose},
    store::{Credential, CredentialKind::Agent, CredentialOrder, CredentialPlace},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::{Caller, Id, Json, Parameters},
    error::Failed,
    keys::{Revoked, Rotate, created},
    once::OnceKey,
    page::{self, Listed},
    view::{AgentView, MintedView, StateView},
};

/// Which agents
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AgentParameters {
    /// Items at most
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Only those in this state
    state: Option<StateView>,
    /// Only those whose name has this in it, whatever its case
    #[param(max_length = 255)]
    name: Option<String>,
}

/// An agent token to be minted
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MintAgent {
    /// Its one cluster
    #[schema(example = "prod")]
    cluster: String,
    /// What it is called; the cluster's id when left out
    #[schema(min_length = 1, max_length = 255, example = "prod")]
    #[serde(default)]
    name: Option<String>,
    /// When it ends by itself
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// List agent tokens
///
/// Newest first, ended ones too, of the clusters that you see. Needs the permission `manage:agents`.
#[utoipa::path(get, path = "/-/api/agents", tag = "Agents", operation_id = "listAgents", params(AgentParameters),
    responses((status = 200, body = Listed<AgentView>)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<AgentParameters>,
) -> Result<Reply<Listed<AgentView>>, Failed> {
    let order = CredentialOrder::default();
    let page = page::of_credentials(parameters.limit, parameters.cursor.as_deref(), order)?;
    let filter = KeyFilter {
        owner: None,
        state: parameters.state.map(Into::into),
        name: page::bounded("name", parameters.name, 255)?,
        order,
    };
    let now = caller.now();
    let found = caller
        .admin()
        .credentials(Agent, Whose::Anybodys, filter, &page, caller.now_ms)
        .await?;
    let key = |agent: &Credential| CredentialPlace::of(agent, order).to_string();
    Ok(Reply(Listed::of(found, &page, key, |agent| {
        AgentView::of(agent, now)
    })))
}

/// Mint an agent token
///
/// The token is in this reply and nowhere else, ever. It may submit the metrics of its cluster and do nothing else.
/// Needs the permission `manage:agents` and a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/agents", tag = "Agents", operation_id = "mintAgent", request_body = MintAgent,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = MintedView<AgentView>)))]
pub(super) async fn mint(
    caller: Caller,
    once: OnceKey,
    Json { value, bytes }: Json<MintAgent>,
) -> Result<Response, Failed> {
    let expires_at = value.expires_at.map(Timestamp::as_second);
    let minted = caller
        .admin()
        .mint_agent_of_home(
            value.cluster,
            value.name,
            expires_at,
            once.of(&bytes),
            caller.now_ms,
        )
        .await?;
    let now = caller.now();
    Ok(created("/-/api/agents", minted, |agent| {
        AgentView::of(agent, now)
    }))
}

/// Read an agent token
///
/// Needs the permission `manage:agents`.
#[utoipa::path(get, path = "/-/api/agents/{agent}", tag = "Agents", operation_id = "readAgent",
    params(("agent" = Uuid, Path, description = "Its id")), responses((status = 200, body = AgentView)))]
pub(super) async fn read(caller: Caller, Id(agent): Id<Uuid>) -> Result<Reply<AgentView>, Failed> {
    let agent = caller
        .admin()
        .credential_by_id(agent, Agent, Whose::Anybodys)
        .await?;
    Ok(Reply(AgentView::of(agent, caller.now())))
}

/// Revoke an agent token
///
/// From the reply on, no request that starts with it is admitted, and those under way end. Needs the permission
/// `manage:agents`.
#[utoipa::path(delete, path = "/-/api/agents/{agent}", tag = "Agents", operation_id = "revokeAgent",
    params(("agent" = Uuid, Path, description = "Its id")), responses((status = 200, body = Revoked)))]
pub(super) async fn revoke(caller: Caller, Id(agent): Id<Uuid>) -> Result<Reply<Revoked>, Failed> {
    let admin = caller.admin();
    let changed = admin
        .revoke_by_id(agent, Agent, Whose::Anybodys, caller.now_ms)
        .await?;
    Ok(Reply(Revoked { changed }))
}

/// Rotate an agent token
///
/// Mints a successor for the same cluster. The old token stays good until `retires_at`, so that no metrics are lost
/// while the agent changes over. Needs the permission `manage:agents` and a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/agents/{agent}/rotate", tag = "Agents", operation_id = "rotateAgent",
    request_body = Rotate,
    params(("agent" = Uuid, Path, description = "Its id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
            min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = MintedView<AgentView>)))]
pub(super) async fn rotate(
    caller: Caller,
    Id(agent): Id<Uuid>,
    once: OnceKey,
    Json { value, bytes }: Json<Rotate>,
) -> Result<Response, Failed> {
    let ends = (
        value.retires_at.map(Timestamp::as_second),
        value.expires_at.map(Timestamp::as_second),
    );
    let rotated = caller
        .admin()
        .rotate_by_id(
            agent,
            Agent,
            Whose::Anybodys,
            ends,
            once.of(&bytes),
            caller.now_ms,
        )
        .await?;
    let now = caller.now();
    Ok(created("/-/api/agents", rotated, |agent| {
        AgentView::of(agent, now)
    }))
}

//! Clusters of the organization.

use axum::{Json as Reply, response::Response};
use http::StatusCode;
use scopegate_host::store::Cluster;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    caller::{Caller, Id, Json, Parameters},
    error::Failed,
    once::{OnceKey, shown_once},
    page::{self, Listed},
    view::{AgentView, ClusterView, MintedView},
};

/// A cluster to be registered
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectCluster {
    /// Its id, as the API behind the gate calls it
    #[schema(
        min_length = 1,
        max_length = 253,
        pattern = "^[A-Za-z0-9._:-]+$",
        example = "prod"
    )]
    id: String,
    /// Whether its agent's token is minted with it
    #[serde(default)]
    agent: bool,
}

/// A new cluster
// No `Debug`: the secret is shown to the caller alone.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectedCluster {
    /// Its id
    #[schema(example = "prod")]
    id: String,
    /// Its agent's token, where one was asked for
    agent: Option<MintedView<AgentView>>,
}

/// Which clusters
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ClusterParameters {
    /// Items at most
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Only those whose id has this in it, whatever its case
    #[param(max_length = 253, example = "prod")]
    id: Option<String>,
}

/// List clusters
///
/// Those of your organization that you see, by their ids.
#[utoipa::path(get, path = "/-/api/clusters", tag = "Clusters", operation_id = "listClusters",
    params(ClusterParameters), responses((status = 200, body = Listed<ClusterView>)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<ClusterParameters>,
) -> Result<Reply<Listed<ClusterView>>, Failed> {
    let page = page::page(parameters.limit, parameters.cursor.as_deref())?;
    let id = page::bounded("id", parameters.id, 253)?;
    let found = caller.admin().clusters(id.as_deref(), &page).await?;
    let key = |cluster: &Cluster| cluster.id.clone();
    Ok(Reply(Listed::of(found, &page, key, Into::into)))
}

/// Connect a cluster
///
/// Registers it and, if wanted, mints its agent's token: both or neither. Needs the permission `manage:clusters` and a
/// sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/clusters", tag = "Clusters", operation_id = "connectCluster",
    request_body = ConnectCluster,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = ConnectedCluster)))]
pub(super) async fn connect(
    caller: Caller,
    once: OnceKey,
    Json { value, bytes }: Json<ConnectCluster>,
) -> Result<Response, Failed> {
    let ConnectCluster { id, agent } = value;
    let minted = caller
        .admin()
        .connect_cluster(id.clone(), agent, once.of(&bytes), caller.now_ms)
        .await?;
    let now = caller.now();
    let replayed = minted
        .as_ref()
        .is_some_and(|minted| minted.secret.is_none());
    let agent = minted.map(|minted| MintedView::of(minted, |agent| AgentView::of(agent, now)));
    Ok(shown_once(ConnectedCluster { id, agent }, replayed))
}

/// Delete a cluster
///
/// Its agents' tokens are revoked with it, and its id is never used again. Needs the permission `manage:clusters`.
#[utoipa::path(delete, path = "/-/api/clusters/{cluster}", tag = "Clusters", operation_id = "deleteCluster",
    params(("cluster" = String, Path, description = "Its id")), responses((status = 204)))]
pub(super) async fn delete(caller: Caller, Id(cluster): Id<String>) -> Result<StatusCode, Failed> {
    caller
        .admin()
        .delete_cluster_of_home(&cluster, caller.now_ms)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

//! API keys: one's own, and for administrators everybody's.

use axum::{Json as Reply, response::Response};
use http::{HeaderValue, header::LOCATION};
use jiff::Timestamp;
use scopegate_host::{
    admin::{KeyFilter, Minted, NewKey, Whose},
    store::{
        Credential, CredentialColumn, CredentialKind::ApiKey, CredentialOrder, CredentialPlace,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::{Caller, Id, Json, Parameters},
    error::Failed,
    once::{OnceKey, shown_once},
    page::{self, Listed},
    view::{KeyView, MintedView, StateView},
};

/// Which key: its id, or `self` for the key that the request is made with.
const SELF: &str = "self";

/// Which keys
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyParameters {
    /// Items at most
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, which had the same order
    #[param(max_length = 2048)]
    cursor: Option<String>,
    /// By what they are ordered, `-created_at` when left out; with `-`, the highest comes first. Those without a last use or an expiry come last
    #[param(inline, example = "-last_used_at")]
    sort: Option<SortView>,
    /// Only those in this state
    state: Option<StateView>,
    /// Only those whose name has this in it, whatever its case
    #[param(max_length = 255)]
    name: Option<String>,
    /// Only this user's; for administrators
    owner: Option<Uuid>,
}

/// By what keys are ordered
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub(super) enum SortView {
    /// Oldest first
    #[serde(rename = "created_at")]
    CreatedAt,
    /// Newest first
    #[default]
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    /// By name, whatever the case
    #[serde(rename = "name")]
    Name,
    /// By name, from the end of the alphabet
    #[serde(rename = "-name")]
    NameDescending,
    /// Longest unused first
    #[serde(rename = "last_used_at")]
    LastUsedAt,
    /// Used last first
    #[serde(rename = "-last_used_at")]
    LastUsedAtDescending,
    /// Those first that end first
    #[serde(rename = "expires_at")]
    ExpiresAt,
    /// Those first that end last
    #[serde(rename = "-expires_at")]
    ExpiresAtDescending,
}

impl From<SortView> for CredentialOrder {
    fn from(sort: SortView) -> Self {
        use CredentialColumn as By;
        let (by, is_descending) = match sort {
            SortView::CreatedAt => (By::CreatedAt, false),
            SortView::CreatedAtDescending => (By::CreatedAt, true),
            SortView::Name => (By::Name, false),
            SortView::NameDescending => (By::Name, true),
            SortView::LastUsedAt => (By::LastUsedAt, false),
            SortView::LastUsedAtDescending => (By::LastUsedAt, true),
            SortView::ExpiresAt => (By::ExpiresAt, false),
            SortView::ExpiresAtDescending => (By::ExpiresAt, true),
        };
        Self { by, is_descending }
    }
}

/// A key to be minted
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MintKey {
    /// What it is for: the name of the integration rather than of a person
    #[schema(min_length = 1, max_length = 255, example = "grafana-export")]
    name: String,
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

/// How a credential is rotated
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    /// When the old one ends: now, at most 90 days from now, or a day from now when left out
    #[serde(default)]
    pub(super) retires_at: Option<Timestamp>,
    /// When the new one ends by itself; when the old one would have, when left out
    #[serde(default)]
    pub(super) expires_at: Option<Timestamp>,
}

/// Whether something was revoked by this request
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revoked {
    /// `false`: it was revoked before
    pub(super) changed: bool,
}

/// List my API keys
///
/// Newest first unless `sort` says otherwise, ended ones too. Called with a key, it shows that key alone.
#[utoipa::path(get, path = "/-/api/keys", tag = "API keys", operation_id = "listKeys", params(KeyParameters),
    responses((status = 200, body = Listed<KeyView>)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<KeyParameters>,
) -> Result<Reply<Listed<KeyView>>, Failed> {
    listed(&caller, Whose::Own, parameters).await
}

/// List everybody's API keys
///
/// Newest first unless `sort` says otherwise, ended ones too. Needs the permission `manage:keys`.
#[utoipa::path(get, path = "/-/api/organization/keys", tag = "API keys", operation_id = "listAllKeys",
    params(KeyParameters), responses((status = 200, body = Listed<KeyView>)))]
pub(super) async fn list_all(
    caller: Caller,
    Parameters(parameters): Parameters<KeyParameters>,
) -> Result<Reply<Listed<KeyView>>, Failed> {
    listed(&caller, Whose::Anybodys, parameters).await
}

async fn listed(
    caller: &Caller,
    whose: Whose,
    parameters: KeyParameters,
) -> Result<Reply<Listed<KeyView>>, Failed> {
    let order: CredentialOrder = parameters.sort.unwrap_or_default().into();
    let page = page::of_credentials(parameters.limit, parameters.cursor.as_deref(), order)?;
    let filter = KeyFilter {
        owner: parameters.owner,
        state: parameters.state.map(Into::into),
        name: page::bounded("name", parameters.name, 255)?,
        order,
    };
    let now = caller.now();
    let found = caller
        .admin()
        .credentials(ApiKey, whose, filter, &page, caller.now_ms)
        .await?;
    let key = |key: &Credential| CredentialPlace::of(key, order).to_string();
    Ok(Reply(Listed::of(found, &page, key, |key| {
        KeyView::of(key, caller.authority(), now)
    })))
}

/// Mint an API key
///
/// The key is in this reply and nowhere else, ever. It can carry no more than you hold. Needs a session whose user
/// signed in at most 15 minutes ago.
#[utoipa::path(post, path = "/-/api/keys", tag = "API keys", operation_id = "mintKey", request_body = MintKey,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = MintedView<KeyView>)))]
pub(super) async fn mint(
    caller: Caller,
    once: OnceKey,
    Json { value, bytes }: Json<MintKey>,
) -> Result<Response, Failed> {
    let key = NewKey {
        name: value.name,
        scopes: value.scopes,
        allowed_cluster_ids: value.allowed_cluster_ids,
        expires_at: value.expires_at.map(Timestamp::as_second),
    };
    let minted = caller
        .admin()
        .mint_own_key(key, once.of(&bytes), caller.now_ms)
        .await?;
    let now = caller.now();
    Ok(created("/-/api/keys", minted, |key| {
        KeyView::of(key, caller.authority(), now)
    }))
}

/// A new credential: shown once, kept by no cache.
pub(super) fn created<T: Serialize>(
    collection: &str,
    minted: Minted,
    view: impl FnOnce(Credential) -> T,
) -> Response {
    let location = format!("{collection}/{}", minted.credential.id);
    let replayed = minted.secret.is_none();
    let mut reply = shown_once(MintedView::of(minted, view), replayed);
    if let Ok(location) = HeaderValue::from_str(&location) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply
}

/// Read one of my API keys
///
/// `self` is the key that the request is made with.
#[utoipa::path(get, path = "/-/api/keys/{key}", tag = "API keys", operation_id = "readKey",
    params(("key" = String, Path, description = "Its id, or `self`")), responses((status = 200, body = KeyView)))]
pub(super) async fn read(caller: Caller, Id(key): Id<String>) -> Result<Reply<KeyView>, Failed> {
    let id = id_of(&caller, &key).await?;
    one(&caller, id, Whose::Own).await
}

/// Read anybody's API key
///
/// Needs the permission `manage:keys`.
#[utoipa::path(get, path = "/-/api/organization/keys/{key}", tag = "API keys", operation_id = "readAnyKey",
    params(("key" = Uuid, Path, description = "Its id")), responses((status = 200, body = KeyView)))]
pub(super) async fn read_any(caller: Caller, Id(key): Id<Uuid>) -> Result<Reply<KeyView>, Failed> {
    one(&caller, key, Whose::Anybodys).await
}

async fn one(caller: &Caller, id: Uuid, whose: Whose) -> Result<Reply<KeyView>, Failed> {
    let key = caller.admin().credential_by_id(id, ApiKey, whose).await?;
    Ok(Reply(KeyView::of(key, caller.authority(), caller.now())))
}

/// Revoke one of my API keys
///
/// From the reply on, no request that starts with it is admitted, and those under way end. `self` is the key that the
/// request is made with.
#[utoipa::path(delete, path = "/-/api/keys/{key}", tag = "API keys", operation_id = "revokeKey",
    params(("key" = String, Path, description = "Its id, or `self`")), responses((status = 200, body = Revoked)))]
pub(super) async fn revoke(caller: Caller, Id(key): Id<String>) -> Result<Reply<Revoked>, Failed> {
    let id = id_of(&caller, &key).await?;
    let admin = caller.admin();
    let changed = admin
        .revoke_by_id(id, ApiKey, Whose::Own, caller.now_ms)
        .await?;
    Ok(Reply(Revoked { changed }))
}

/// Revoke anybody's API key
///
/// From the reply on, no request that starts with it is admitted, and those under way end. Needs the permission
/// `manage:keys`.
#[utoipa::path(delete, path = "/-/api/organization/keys/{key}", tag = "API keys", operation_id = "revokeAnyKey",
    params(("key" = Uuid, Path, description = "Its id")), responses((status = 200, body = Revoked)))]
pub(super) async fn revoke_any(
    caller: Caller,
    Id(key): Id<Uuid>,
) -> Result<Reply<Revoked>, Failed> {
    let admin = caller.admin();
    let changed = admin
        .revoke_by_id(key, ApiKey, Whose::Anybodys, caller.now_ms)
        .await?;
    Ok(Reply(Revoked { changed }))
}

/// Rotate one of my API keys
///
/// Mints a successor with the same rights. The old key stays good until `retires_at`, so that nothing fails while
/// programs change over. `self` is the key that the request is made with; its successor ends no later than it would
/// have. For another key, a session is needed whose user signed in at most 15 minutes ago.
#[utoipa::path(post, path = "/-/api/keys/{key}/rotate", tag = "API keys", operation_id = "rotateKey",
    request_body = Rotate,
    params(("key" = String, Path, description = "Its id, or `self`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
            min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = MintedView<KeyView>)))]
pub(super) async fn rotate(
    caller: Caller,
    Id(key): Id<String>,
    once: OnceKey,
    Json { value, bytes }: Json<Rotate>,
) -> Result<Response, Failed> {
    let id = id_of(&caller, &key).await?;
    let ends = (
        value.retires_at.map(Timestamp::as_second),
        value.expires_at.map(Timestamp::as_second),
    );
    let rotated = caller
        .admin()
        .rotate_by_id(id, ApiKey, Whose::Own, ends, once.of(&bytes), caller.now_ms)
        .await?;
    let now = caller.now();
    Ok(created("/-/api/keys", rotated, |key| {
        KeyView::of(key, caller.authority(), now)
    }))
}

/// The id in a path.
async fn id_of(caller: &Caller, key: &str) -> Result<Uuid, Failed> {
    if key == SELF {
        return Ok(caller.admin().own_credential(ApiKey).await?.id);
    }
    key.parse().map_err(|_| {
        Failed(scopegate_host::Cause::NotFound(
            "there is no such key".to_owned(),
        ))
    })
}

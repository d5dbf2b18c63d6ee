//! Roles: those of the policy, and the organization's own.

use axum::{Json as Reply, response::IntoResponse};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Id, Json},
    error::Failed,
    version::{Changes, ChangesOrMakes, etag},
    view::RoleBody,
};

/// All roles
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Roles {
    /// Built-in ones first
    items: Vec<RoleBody>,
}

/// What a custom role gives
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutRole {
    /// Permissions of the policy's catalogue; `clusters:*`, `*:read` and `*` mean several
    #[schema(min_items = 1, example = json!(["clusters:read", "recommendations:write"]))]
    permissions: Vec<String>,
}

/// List roles
///
/// Built-in ones first, with their permissions spelled out.
#[utoipa::path(get, path = "/-/api/roles", tag = "Roles", operation_id = "listRoles",
    responses((status = 200, body = Roles)))]
pub(super) async fn list(caller: Caller) -> Result<Reply<Roles>, Failed> {
    let roles = caller.admin().roles().await?;
    Ok(Reply(Roles {
        items: roles.into_iter().map(Into::into).collect(),
    }))
}

/// Read a role
#[utoipa::path(get, path = "/-/api/roles/{role}", tag = "Roles", operation_id = "readRole",
    params(("role" = String, Path, description = "Its name")),
    responses((status = 200, body = RoleBody, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn read(
    caller: Caller,
    Id(role): Id<String>,
) -> Result<impl IntoResponse, Failed> {
    let view = caller.admin().role(&role).await?;
    Ok((etag(view.role.epoch), Reply(RoleBody::from(view))))
}

/// Make a custom role, or change one
///
/// A role that is changed is named by `If-Match`, a new one by `If-None-Match: *`. It can give no permission that you
/// do not hold. Needs the permission `manage:roles` and a sign-in at most 15 minutes old.
#[utoipa::path(put, path = "/-/api/roles/{role}", tag = "Roles", operation_id = "putRole", request_body = PutRole,
    params(("role" = String, Path, description = "Its name"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is changed, or `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for a new role")),
    responses((status = 200, body = RoleBody, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn put(
    caller: Caller,
    Id(role): Id<String>,
    ChangesOrMakes(expected): ChangesOrMakes,
    Json { value, .. }: Json<PutRole>,
) -> Result<impl IntoResponse, Failed> {
    let view = caller
        .admin()
        .put_role(role, value.permissions, expected, caller.now_ms)
        .await?;
    Ok((etag(view.role.epoch), Reply(RoleBody::from(view))))
}

/// Delete a custom role
///
/// One that no active user has. Needs the permission `manage:roles` and a sign-in at most 15 minutes old.
#[utoipa::path(delete, path = "/-/api/roles/{role}", tag = "Roles", operation_id = "deleteRole",
    params(("role" = String, Path, description = "Its name"),
        ("If-Match" = String, Header, description = "The `ETag` of the version that is deleted, or `*`")),
    responses((status = 204)))]
pub(super) async fn delete(
    caller: Caller,
    Id(role): Id<String>,
    Changes(expected): Changes,
) -> Result<StatusCode, Failed> {
    caller
        .admin()
        .delete_role_of_home(role, expected, caller.now_ms)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Users of the organization.

use axum::{
    Json as Reply,
    response::{IntoResponse, Response},
};
use scopegate_host::{
    Clusters,
    admin::{Invitation, UserEdit},
    store::User,
};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::{Caller, Id, Json, Parameters},
    error::Failed,
    once::{OnceKey, shown_once},
    page::{self, Listed},
    version::{Changes, etag},
    view::{InvitationView, UserView},
};

/// A user to be invited
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InviteUser {
    /// Unique in the whole gate
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// A built-in or custom role
    #[schema(example = "viewer")]
    role: String,
    /// Their clusters; every cluster when left out or `null`, none when empty
    #[schema(example = json!(["prod"]))]
    #[serde(default)]
    clusters: Option<Vec<String>>,
}

/// What is changed about a user; what is left out stays
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditUser {
    /// A built-in or custom role
    #[schema(example = "editor")]
    #[serde(default)]
    role: Option<String>,
    /// Their clusters; `null`: every cluster
    #[schema(example = json!(["prod"]), value_type = Option<Vec<String>>)]
    #[serde(default, deserialize_with = "given")]
    clusters: Option<Option<Vec<String>>>,
}

/// A member that is there, if only as `null`.
fn given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Vec<String>>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Whether a user was disabled by this request
#[derive(Debug, serde::Serialize, ToSchema)]
pub(super) struct Disabled {
    /// `false`: they were disabled before
    changed: bool,
}

/// Which users
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UserParameters {
    /// Items at most
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Only those whose e-mail address has this in it, whatever its case
    #[param(max_length = 254, example = "@example.com")]
    email: Option<String>,
}

/// List users
///
/// By e-mail address, disabled ones too. Needs the permission `manage:users`.
#[utoipa::path(get, path = "/-/api/users", tag = "Users", operation_id = "listUsers", params(UserParameters),
    responses((status = 200, body = Listed<UserView>)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<UserParameters>,
) -> Result<Reply<Listed<UserView>>, Failed> {
    let page = page::page(parameters.limit, parameters.cursor.as_deref())?;
    let email = page::bounded("email", parameters.email, 254)?;
    let found = caller.admin().users(email.as_deref(), &page).await?;
    let key = |user: &User| user.email.clone();
    Ok(Reply(Listed::of(found, &page, key, Into::into)))
}

/// Invite a user
///
/// The invitation in the reply is shown once; with it they choose a password at `POST /-/invitation`. They can be given
/// no permission and no cluster that you do not hold. Needs the permission `manage:users` and a sign-in at most 15
/// minutes old.
#[utoipa::path(post, path = "/-/api/users", tag = "Users", operation_id = "inviteUser", request_body = InviteUser,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = InvitationView)))]
pub(super) async fn invite(
    caller: Caller,
    once: OnceKey,
    Json { value, bytes }: Json<InviteUser>,
) -> Result<Response, Failed> {
    let invitation = caller
        .admin()
        .invite_user(
            value.email,
            value.role,
            value.clusters,
            once.of(&bytes),
            caller.now_ms,
        )
        .await?;
    Ok(invited(invitation))
}

fn invited(invitation: Invitation) -> Response {
    let replayed = invitation.secret.is_none();
    shown_once(InvitationView::from(invitation), replayed)
}

/// Read a user
///
/// Needs the permission `manage:users`.
#[utoipa::path(get, path = "/-/api/users/{user}", tag = "Users", operation_id = "readUser",
    params(("user" = Uuid, Path, description = "Their id")),
    responses((status = 200, body = UserView, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn read(caller: Caller, Id(user): Id<Uuid>) -> Result<impl IntoResponse, Failed> {
    let user = caller.admin().user_by_id(user).await?;
    Ok((etag(user.epoch), Reply(UserView::from(user))))
}

/// Change a user's role or clusters
///
/// It holds from the next request on, for their sessions and for the keys that act for them. You can give no more than
/// you hold, and change nobody who may do more than you. Needs the permission `manage:users` and a sign-in at most 15
/// minutes old.
#[utoipa::path(patch, path = "/-/api/users/{user}", tag = "Users", operation_id = "editUser", request_body = EditUser,
    params(("user" = Uuid, Path, description = "Their id"),
        ("If-Match" = String, Header, description = "The `ETag` of the version that is changed, or `*`")),
    responses((status = 200, body = UserView, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn edit(
    caller: Caller,
    Id(user): Id<Uuid>,
    Changes(expected): Changes,
    Json { value, .. }: Json<EditUser>,
) -> Result<impl IntoResponse, Failed> {
    let edit = UserEdit {
        role: value.role,
        clusters: value
            .clusters
            .map(|ids| ids.map_or(Clusters::All, Clusters::only)),
    };
    let user = caller
        .admin()
        .edit_user(user, edit, expected, caller.now_ms)
        .await?;
    Ok((etag(user.epoch), Reply(UserView::from(user))))
}

/// Disable a user
///
/// Their sessions end, and the keys that act for them; requests under way too. Needs the permission `manage:users` and
/// a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/users/{user}/disable", tag = "Users", operation_id = "disableUser",
    params(("user" = Uuid, Path, description = "Their id")), responses((status = 200, body = Disabled)))]
pub(super) async fn disable(caller: Caller, Id(user): Id<Uuid>) -> Result<Reply<Disabled>, Failed> {
    let disabled = caller.admin().disable_user_by_id(user, caller.now_ms).await;
    Ok(Reply(Disabled { changed: disabled? }))
}

/// Invite a user again
///
/// Gives them a new invitation in place of one that is open, also to one who has lost their password. Nobody who may do
/// more than you. Needs the permission `manage:users` and a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/users/{user}/invitation", tag = "Users", operation_id = "inviteUserAgain",
    params(("user" = Uuid, Path, description = "Their id")), responses((status = 201, body = InvitationView)))]
pub(super) async fn invite_again(caller: Caller, Id(user): Id<Uuid>) -> Result<Response, Failed> {
    let invitation = caller
        .admin()
        .invite_user_again(user, caller.now_ms)
        .await?;
    Ok(invited(invitation))
}

//! Sessions: one's own, and for administrators those of users.

use axum::Json as Reply;
use http::StatusCode;
use jiff::Timestamp;
use scopegate_host::store::{ChangeError, OpenSession};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::{Caller, Id, Parameters},
    error::Failed,
    me::session_of,
    page::{Listed, PageParameters},
    view::moment,
};

/// A session that is open
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionView {
    /// Its id
    id: Uuid,
    /// When it was opened
    created_at: Timestamp,
    /// When it was last used, to about ten seconds
    last_used_at: Option<Timestamp>,
    /// When the user signed in
    signed_in_at: Timestamp,
    /// Whether with a second factor
    mfa: bool,
    /// When it ends, whatever is refreshed
    expires_at: Timestamp,
    /// Whether the request is made with it
    current: bool,
}

/// Whether a session was ended by this request
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ended {
    /// `false`: it had ended before, or there was none
    changed: bool,
}

/// List my sessions
///
/// Newest first, only those that are open.
#[utoipa::path(get, path = "/-/api/sessions", tag = "Sessions", operation_id = "listSessions",
    params(PageParameters), responses((status = 200, body = Listed<SessionView>)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Reply<Listed<SessionView>>, Failed> {
    let (_, user, _) = session_of(&caller)?;
    of_user(&caller, user, &parameters).await
}

/// Sign out everywhere
///
/// All my sessions end, this one too; requests under way as well.
#[utoipa::path(delete, path = "/-/api/sessions", tag = "Sessions", operation_id = "endSessions",
    responses((status = 200, body = Ended)))]
pub(super) async fn end_all(caller: Caller) -> Result<Reply<Ended>, Failed> {
    let (_, user, origin) = session_of(&caller)?;
    let sessions = caller.state.gate.sessions();
    let ended = sessions.end_all(user, None, origin, caller.now_ms).await;
    ended_or(ended)
}

/// End one of my sessions
///
/// Requests under way as well.
#[utoipa::path(delete, path = "/-/api/sessions/{session}", tag = "Sessions", operation_id = "endSession",
    params(("session" = Uuid, Path, description = "Its id")), responses((status = 204)))]
pub(super) async fn end(caller: Caller, Id(session): Id<Uuid>) -> Result<StatusCode, Failed> {
    let (_, user, origin) = session_of(&caller)?;
    let gate = &caller.state.gate;
    let found = gate.directory().store().find_session(session).await;
    let is_own = match found {
        Ok(found) => found.is_some_and(|facts| facts.session.user == user),
        Err(error) => {
            return Err(Failed(scopegate_host::Cause::Unavailable(
                error.to_string(),
            )));
        }
    };
    if !is_own {
        return Err(Failed(scopegate_host::Cause::NotFound(
            "there is no such session".to_owned(),
        )));
    }
    let ended = gate.sessions().logout(session, origin, caller.now_ms).await;
    match ended {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Failed(error.into())),
    }
}

/// List a user's sessions
///
/// Newest first, only those that are open. Needs the permission `manage:users`.
#[utoipa::path(get, path = "/-/api/users/{user}/sessions", tag = "Users", operation_id = "listUserSessions",
    params(("user" = Uuid, Path, description = "Their id"), PageParameters),
    responses((status = 200, body = Listed<SessionView>)))]
pub(super) async fn list_of_user(
    caller: Caller,
    Id(user): Id<Uuid>,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Reply<Listed<SessionView>>, Failed> {
    let user = caller.admin().user_by_id(user).await?;
    of_user(&caller, user.id, &parameters).await
}

/// Sign a user out everywhere
///
/// All their sessions end; requests under way as well. Nobody who may do more than you. Needs the permission
/// `manage:users`.
#[utoipa::path(delete, path = "/-/api/users/{user}/sessions", tag = "Users", operation_id = "endUserSessions",
    params(("user" = Uuid, Path, description = "Their id")), responses((status = 200, body = Ended)))]
pub(super) async fn end_of_user(
    caller: Caller,
    Id(user): Id<Uuid>,
) -> Result<Reply<Ended>, Failed> {
    let admin = caller.admin();
    let changed = admin.end_sessions_of(user, caller.now_ms).await?;
    Ok(Reply(Ended { changed }))
}

/// Take a user's second factor away
///
/// For one who has lost it and the recovery codes; their sessions end. Nobody who may do more than you. Needs the
/// permission `manage:users` and a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/users/{user}/factor/reset", tag = "Users", operation_id = "resetUserFactor",
    params(("user" = Uuid, Path, description = "Their id")), responses((status = 200, body = Ended)))]
pub(super) async fn reset_factor_of_user(
    caller: Caller,
    Id(user): Id<Uuid>,
) -> Result<Reply<Ended>, Failed> {
    let admin = caller.admin();
    let changed = admin.reset_factor_of(user, caller.now_ms).await?;
    Ok(Reply(Ended { changed }))
}

async fn of_user(
    caller: &Caller,
    user: Uuid,
    parameters: &PageParameters,
) -> Result<Reply<Listed<SessionView>>, Failed> {
    let page = parameters.page::<i64>()?;
    let store = caller.state.gate.directory().store();
    let found = store.open_sessions(user, caller.now(), &page).await;
    let found =
        found.map_err(|error| Failed(scopegate_host::Cause::Unavailable(error.to_string())))?;
    let key = |(place, _): &(i64, OpenSession)| place.to_string();
    let current = caller.principal.credential;
    Ok(Reply(Listed::of(found, &page, key, |(_, open)| {
        SessionView {
            id: open.session.id,
            created_at: moment(open.created_at),
            last_used_at: open.last_used_at.map(moment),
            signed_in_at: moment(open.session.auth_time),
            mfa: open.session.mfa,
            expires_at: moment(open.session.expires_at),
            current: open.session.id == current,
        }
    })))
}

fn ended_or(ended: Result<bool, ChangeError>) -> Result<Reply<Ended>, Failed> {
    match ended {
        Ok(changed) => Ok(Reply(Ended { changed })),
        Err(error) => Err(scopegate_host::admin::AdminError::from(error).into()),
    }
}

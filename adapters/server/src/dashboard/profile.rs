//! What protects one's own account: password, second factor, where one is signed in.

mod factor;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    body::Body,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Site,
    calls::{Call, part},
    keys::Listed,
    moment::Moment,
    page::{Shell, html, ok, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// Where it all is.
const PAGE: &str = "/-/profile/security";

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(PAGE, get(show))
        .route(
            "/-/profile/password",
            get(ask_password).post(change_password),
        )
        .route("/-/profile/sessions/{session}/end", post(end_session))
        .route("/-/profile/factor", get(factor::ask).post(factor::begin))
        .route("/-/profile/factor/confirm", post(factor::confirm))
        .route(
            "/-/profile/factor/codes",
            get(factor::ask_codes).post(factor::make_codes),
        )
        .route(
            "/-/profile/factor/remove",
            get(factor::ask_remove).post(factor::remove),
        )
}

/// A session, as the API shows it.
#[derive(Debug, Deserialize)]
struct Session {
    id: Uuid,
    last_used_at: Option<Timestamp>,
    signed_in_at: Timestamp,
    mfa: bool,
    expires_at: Timestamp,
    current: bool,
}

/// The same for a page.
#[derive(Debug)]
struct Shown {
    id: Uuid,
    last_used: Option<Moment>,
    signed_in: Moment,
    ends: Moment,
    mfa: bool,
    current: bool,
}

#[derive(Template)]
#[template(path = "profile/security.html")]
struct Page {
    shell: Shell,
    /// Whether log-ins ask for a code.
    has_factor: bool,
    codes_left: u32,
    sessions: Vec<Shown>,
    next: Option<String>,
}

async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let cursor = visitor.query.one("cursor");
    let asked = super::calls::query([("limit", "25"), ("cursor", cursor)]);
    let found: Listed<Session> = visitor.calls.read(format!("/sessions{asked}")).await?;
    let next = found.next_cursor.as_deref();
    let next = next.map(|cursor| format!("{PAGE}{}", super::calls::query([("cursor", cursor)])));
    let sessions = found.items.into_iter().map(|session| Shown {
        id: session.id,
        last_used: visitor.moment_of(session.last_used_at),
        signed_in: visitor.moment(session.signed_in_at),
        ends: visitor.moment(session.expires_at),
        mfa: session.mfa,
        current: session.current,
    });
    let factor = visitor.me.factor.as_ref();
    Ok(ok(&Page {
        shell: visitor.shell("Security"),
        has_factor: factor.is_some_and(|factor| factor.confirmed_at.is_some()),
        codes_left: factor.map_or(0, |factor| factor.recovery_codes_left),
        sessions: sessions.collect(),
        next,
    }))
}

async fn end_session(
    Path(session): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let path = format!("/sessions/{}", part(&session));
    let end = Call::new(Method::DELETE, path);
    submitted.visitor.calls.make(end).await?;
    Ok(see_done(PAGE, "session-ended"))
}

#[derive(Template)]
#[template(path = "profile/password.html")]
struct Password {
    shell: Shell,
    problem: Option<String>,
}

async fn ask_password(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    Ok(ok(&Password {
        shell: visitor.shell("Change password"),
        problem: None,
    }))
}

async fn change_password(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (new, repeated) = (fields.whole("new"), fields.whole("repeated"));
    let changed = if new == repeated {
        let body = json!({ "current": fields.whole("current"), "new": new });
        let change = Call::new(Method::PUT, "/me/password").json(&body);
        visitor.calls.make(change).await
    } else {
        let detail = "The two new passwords are not the same.";
        Err(Problem::own(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Not the same",
            detail,
        ))
    };
    match changed {
        Ok(_) => Ok(see_done(PAGE, "password-changed")),
        Err(problem) if problem.is_of_form() => {
            let page = Password {
                shell: visitor.shell("Change password"),
                problem: Some(problem.detail),
            };
            Ok(html(problem.status, &page))
        }
        Err(problem) => Err(problem.into()),
    }
}

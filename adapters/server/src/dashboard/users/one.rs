//! One user: what they may do, where they are signed in, their keys.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::{User, bounds::Bounds, find};
use crate::dashboard::{
    audit,
    keys::{Badge, Listed, Table, of_user},
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

/// A session, as the API shows it.
#[derive(Debug, Deserialize)]
struct Session {
    signed_in_at: Timestamp,
    last_used_at: Option<Timestamp>,
    expires_at: Timestamp,
    mfa: bool,
    current: bool,
}

#[derive(Template)]
#[template(path = "users/one.html")]
struct Page {
    shell: Shell,
    user: Shown,
    sessions: Vec<Open>,
    /// Whether there are more than are shown.
    more_sessions: bool,
    /// What keys are called; where the visitor may see everybody's.
    keys: Option<String>,
    /// Where the audit of what they did is, for whoever may read it.
    audit: Option<String>,
    /// Whether they may be changed by the visitor at all.
    within: bool,
}

#[derive(Debug)]
struct Shown {
    page: String,
    email: String,
    role: String,
    /// `None`: every cluster.
    clusters: Option<Vec<String>>,
    badge: Badge,
    added: Moment,
    disabled: Option<Moment>,
    is_visitor: bool,
}

#[derive(Debug)]
struct Open {
    signed_in: Moment,
    last_used: Option<Moment>,
    ends: Moment,
    mfa: bool,
    current: bool,
}

impl Shown {
    fn of(user: User, visitor: &Visitor) -> Self {
        Self {
            page: user.page(),
            badge: user.badge(),
            added: visitor.moment(user.created_at),
            disabled: visitor.moment_of(user.disabled_at),
            is_visitor: visitor.me.user == Some(user.id),
            email: user.email,
            role: user.role,
            clusters: user.clusters,
        }
    }
}

/// What is known of them.
pub(super) async fn show(
    visitor: Visitor,
    Path(user): Path<String>,
) -> Result<Response<Body>, Stop> {
    let (user, _) = find(&visitor, &user).await?;
    let found: Listed<Session> = visitor
        .calls
        .read(format!("{}/sessions", user.path()))
        .await?;
    let sessions = found.items.into_iter().map(|session| Open {
        signed_in: visitor.moment(session.signed_in_at),
        last_used: visitor.moment_of(session.last_used_at),
        ends: visitor.moment(session.expires_at),
        mfa: session.mfa,
        current: session.current,
    });
    let words = &visitor.site.gate.contract().dashboard;
    Ok(ok(&Page {
        shell: visitor.shell(user.email.clone()),
        sessions: sessions.collect(),
        more_sessions: found.next_cursor.is_some(),
        keys: visitor.may("manage:keys").then(|| words.keys.clone()),
        audit: visitor
            .may("manage:audit")
            .then(|| audit::of("user", &user.email)),
        within: Bounds::read(&visitor).await?.reach(&visitor, &user),
        user: Shown::of(user, &visitor),
    }))
}

#[derive(Template)]
#[template(path = "users/keys.html")]
struct Keys {
    shell: Shell,
    email: String,
    back: String,
    table: Table,
}

/// Their keys.
pub(super) async fn keys(
    visitor: Visitor,
    Path(user): Path<String>,
) -> Result<Response<Body>, Stop> {
    let (user, _) = find(&visitor, &user).await?;
    let path = format!("{}/keys", user.page());
    let words = &visitor.site.gate.contract().dashboard;
    let title = format!("{} of {}", words.keys, user.email);
    Ok(ok(&Keys {
        shell: visitor.shell(title),
        table: of_user(&visitor, &user.id.to_string(), &path).await?,
        back: user.page(),
        email: user.email,
    }))
}

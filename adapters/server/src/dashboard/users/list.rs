//! The list of users, a page at a time.

use askama::Template;
use axum::{body::Body, response::Response};

use super::{PAGE, User};
use crate::dashboard::{
    calls::query,
    keys::{Badge, Listed},
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "users/list.html")]
struct Page {
    shell: Shell,
    email: String,
    users: Vec<Row>,
    /// The address of the next page.
    next: Option<String>,
    /// Whether this is not the first one.
    later: bool,
}

#[derive(Debug)]
struct Row {
    page: String,
    email: String,
    role: String,
    /// `None`: every cluster.
    clusters: Option<Vec<String>>,
    badge: Badge,
    added: Moment,
    is_visitor: bool,
}

/// The page of the list that the address asks for.
pub(super) async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let asked = &visitor.query;
    let (email, cursor) = (asked.one("email"), asked.one("cursor"));
    let filter = query([("email", email), ("cursor", cursor)]);
    let found: Listed<User> = visitor.calls.read(format!("/users{filter}")).await?;
    let next = found.next_cursor.as_deref();
    let next = next.map(|next| format!("{PAGE}{}", query([("email", email), ("cursor", next)])));
    let users = found.items.into_iter().map(|user| Row {
        page: user.page(),
        badge: user.badge(),
        added: visitor.moment(user.created_at),
        is_visitor: visitor.me.user == Some(user.id),
        email: user.email,
        role: user.role,
        clusters: user.clusters,
    });
    Ok(ok(&Page {
        shell: visitor.shell("Users"),
        email: email.to_owned(),
        users: users.collect(),
        next,
        later: !cursor.is_empty(),
    }))
}

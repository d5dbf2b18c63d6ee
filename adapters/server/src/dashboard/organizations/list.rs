//! All organizations, a page at a time, for operators.

use askama::Template;
use axum::{body::Body, response::Response};

use super::{Organization, PAGE};
use crate::dashboard::{
    calls::query,
    keys::Listed,
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "organizations/list.html")]
struct Page {
    shell: Shell,
    organizations: Vec<Row>,
    /// The address of the next page.
    next: Option<String>,
    /// Whether this is not the first one.
    later: bool,
}

#[derive(Debug)]
struct Row {
    page: String,
    name: String,
    id: String,
    created: Moment,
}

/// The page of the list that the address asks for.
pub(super) async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let cursor = visitor.query.one("cursor");
    let asked = query([("cursor", cursor)]);
    let found: Listed<Organization> = visitor.calls.read(format!("/organizations{asked}")).await?;
    let next = found.next_cursor.as_deref();
    let next = next.map(|next| format!("{PAGE}{}", query([("cursor", next)])));
    let organizations = found.items.into_iter().map(|organization| Row {
        page: format!("{PAGE}/{}", organization.id),
        id: organization.id.to_string(),
        created: visitor.moment(organization.created_at),
        name: organization.name,
    });
    Ok(ok(&Page {
        shell: visitor.shell("Organizations"),
        organizations: organizations.collect(),
        next,
        later: !cursor.is_empty(),
    }))
}

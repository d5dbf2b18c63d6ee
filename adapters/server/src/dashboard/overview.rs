//! The first page, and the two that only lead on.

use askama::Template;
use axum::{body::Body, response::Response};
use serde::Deserialize;

use super::{
    keys::Listed,
    menu::Item,
    page::{Shell, ok, see},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    shell: Shell,
    create: String,
    is_member: bool,
    /// Keys of the visitor's that end soon.
    expiring: Vec<String>,
    /// Whether they have any key.
    has_keys: bool,
    mfa: bool,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// `/-` without its slash.
pub(super) async fn home() -> Response<Body> {
    see(super::ROOT)
}

/// The first page.
pub(super) async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let words = &visitor.site.gate.contract().dashboard;
    let is_member = !visitor.me.operator;
    let (mut expiring, mut has_keys) = (Vec::new(), false);
    if is_member {
        let found: Listed<Named> = visitor.calls.read("/keys?state=expiring&limit=20").await?;
        expiring = found.items.into_iter().map(|key| key.name).collect();
        let any: Listed<Named> = visitor.calls.read("/keys?limit=1").await?;
        has_keys = !any.items.is_empty();
    }
    Ok(ok(&Page {
        shell: visitor.shell("Overview"),
        create: words.create.clone(),
        is_member,
        expiring,
        has_keys,
        mfa: visitor.me.mfa,
    }))
}

#[derive(Template)]
#[template(path = "section.html")]
struct Section {
    shell: Shell,
    items: Vec<Item>,
}

/// What a part of the menu leads to: `/-/settings` and `/-/profile`.
pub(super) async fn section(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let group = visitor.menu().into_iter().find(|group| group.here);
    let (name, items) = group.map_or(("", Vec::new()), |group| (group.name, group.items));
    Ok(ok(&Section {
        shell: visitor.shell(name),
        items,
    }))
}

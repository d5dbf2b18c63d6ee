//! One key.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};

use super::{Shown, find};
use crate::dashboard::{
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "keys/one.html")]
struct Page {
    shell: Shell,
    key: Shown,
    /// Whether it is the visitor's own, to rotate.
    own: bool,
    keys: String,
    expires: bool,
}

/// What is known of a key.
pub(super) async fn show(
    visitor: Visitor,
    Path(key): Path<String>,
) -> Result<Response<Body>, Stop> {
    let (key, path) = find(&visitor, &key).await?;
    let contract = visitor.site.gate.contract();
    Ok(ok(&Page {
        shell: visitor.shell(key.name.clone()),
        own: path.starts_with("/keys/"),
        key: Shown::of(key, &visitor),
        keys: contract.dashboard.keys.clone(),
        expires: contract.minting.expiry_allowed,
    }))
}

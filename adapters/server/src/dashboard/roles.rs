//! Roles: what each gives, and the organization's own: making, changing and deleting them.

mod change;
mod matrix;
mod one;

use std::sync::Arc;

use axum::{Router, routing::get};
use scopegate_policy::permission::Pattern;
use serde::Deserialize;

use super::{
    Site,
    calls::{self, Call},
    catalogue::Policy,
    keys::named,
    page::part,
    problem::Problem,
    visitor::Visitor,
};

/// Where the list is.
const PAGE: &str = "/-/roles";
/// The role of agents' tokens, which no user has.
const AGENT: &str = "agent";

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(PAGE, get(matrix::show))
        .route("/-/roles/new", get(change::ask_new).post(change::make))
        .route("/-/roles/{role}", get(one::show))
        .route(
            "/-/roles/{role}/edit",
            get(change::ask_edit).post(change::save),
        )
        .route(
            "/-/roles/{role}/delete",
            get(one::ask_delete).post(one::delete),
        )
}

/// A role, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    /// Names, and patterns that stand for several.
    permissions: Vec<String>,
    /// Whether it is the organization's own.
    custom: bool,
}

#[derive(Deserialize)]
struct Roles {
    items: Vec<Role>,
}

/// All of them, built-in ones first.
///
/// # Errors
/// What the API says instead.
pub(super) async fn read(visitor: &Visitor) -> Result<Vec<Role>, Problem> {
    let roles: Roles = visitor.calls.read("/roles").await?;
    Ok(roles.items)
}

/// Where the API has the role of this name.
fn path(name: &str) -> String {
    format!("/roles/{}", calls::part(name))
}

/// The role that an address names, and which version it is.
async fn find(visitor: &Visitor, name: &str) -> Result<(Role, String), Problem> {
    let answer = visitor.calls.make(Call::get(path(name))).await;
    let answer = answer.map_err(named)?;
    Ok((answer.read()?, answer.etag()))
}

/// Whether the visitor may make roles: they reach beyond the clusters of whoever is restricted to some.
fn may_make(visitor: &Visitor) -> bool {
    visitor.may("manage:roles") && visitor.me.clusters.is_none()
}

impl Role {
    /// Its page.
    fn page(&self) -> String {
        format!("{PAGE}/{}", part(&self.name, &["new"]))
    }

    /// Whether it gives a permission.
    fn gives(&self, permission: &str) -> bool {
        let texts = self.permissions.iter();
        let mut patterns = texts.filter_map(|text| Pattern::parse(text));
        patterns.any(|pattern| pattern.matches(permission))
    }

    /// Whether it gives nothing that the visitor does not hold.
    pub(super) fn is_held(&self, visitor: &Visitor, policy: &Policy) -> bool {
        let mut given = policy.names().filter(|name| self.gives(name));
        given.all(|name| visitor.may(name))
    }

    /// Whether users may have it.
    pub(super) fn is_for_users(&self) -> bool {
        self.custom || self.name != AGENT
    }

    /// Whether the visitor may change it.
    fn is_changeable(&self, visitor: &Visitor, policy: &Policy) -> bool {
        self.custom && may_make(visitor) && self.is_held(visitor, policy)
    }
}

//! Every role beside every permission.

use askama::Template;
use axum::{body::Body, response::Response};

use super::{Role, may_make, read};
use crate::dashboard::{
    catalogue::{self, Policy},
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "roles/matrix.html")]
struct Page {
    shell: Shell,
    heads: Vec<Head>,
    sections: Vec<Section>,
    may_make: bool,
    /// Whether the organization has roles of its own.
    has_own: bool,
}

/// A role, above its column.
#[derive(Debug)]
struct Head {
    page: String,
    name: String,
    custom: bool,
    /// The condition without which it gives nothing.
    when: Option<String>,
}

/// The permissions of a category.
#[derive(Debug)]
struct Section {
    name: String,
    rows: Vec<Row>,
}

/// A permission, with a cell for each role.
#[derive(Debug)]
struct Row {
    name: String,
    unlocks: String,
    cells: Vec<bool>,
}

impl Head {
    fn of(role: &Role, policy: &Policy) -> Self {
        let known = policy.roles.iter().find(|known| known.name == role.name);
        Self {
            page: role.page(),
            name: role.name.clone(),
            custom: role.custom,
            when: known
                .filter(|_| !role.custom)
                .and_then(|known| known.when.clone()),
        }
    }
}

/// The matrix.
pub(super) async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let roles = read(&visitor).await?;
    let policy = catalogue::read(&visitor).await?;
    let sections = policy.all().into_iter().map(|category| Section {
        name: category.name,
        rows: category
            .permissions
            .into_iter()
            .map(|permission| Row {
                cells: roles
                    .iter()
                    .map(|role| role.gives(&permission.name))
                    .collect(),
                name: permission.name,
                unlocks: permission.unlocks,
            })
            .collect(),
    });
    Ok(ok(&Page {
        shell: visitor.shell("Roles"),
        heads: roles.iter().map(|role| Head::of(role, &policy)).collect(),
        sections: sections.collect(),
        may_make: may_make(&visitor),
        has_own: roles.iter().any(|role| role.custom),
    }))
}

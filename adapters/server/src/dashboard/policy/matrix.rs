//! Routes and roles: who may ask for what, as the policy describes itself.

use crate::dashboard::catalogue::{Policy, Route};

/// The product's routes, each with a cell for each role.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) roles: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A route.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) method: String,
    pub(super) pattern: String,
    /// What it needs, in words.
    pub(super) needs: String,
    pub(super) cells: Vec<Cell>,
}

/// Whether a role may ask for a route.
#[derive(Debug)]
pub(super) enum Cell {
    /// It may.
    Yes,
    /// It may where this condition holds.
    If(String),
    /// It may not.
    No,
}

/// The gate's own routes are in every policy: no row tells anything of this one by them.
const OWN: &str = "/-/";

impl Matrix {
    /// Of a policy.
    pub(super) fn of(policy: &Policy) -> Self {
        let routes = policy.routes.iter();
        let routes = routes.filter(|route| !route.pattern.starts_with(OWN));
        Self {
            roles: policy.roles.iter().map(|role| role.name.clone()).collect(),
            rows: routes.map(|route| row(policy, route)).collect(),
        }
    }
}

fn row(policy: &Policy, route: &Route) -> Row {
    let cells = policy.roles.iter().map(|role| {
        let holds = match &route.requires {
            None => true,
            Some(permission) => role.permissions.contains(permission),
        };
        let conditions = [role.when.as_deref(), route.when.as_deref()];
        let conditions: Vec<&str> = match route.public {
            // Nobody's role is asked for.
            true => conditions.into_iter().skip(1).flatten().collect(),
            false => conditions.into_iter().flatten().collect(),
        };
        match (holds || route.public, conditions.is_empty()) {
            (false, _) => Cell::No,
            (true, true) => Cell::Yes,
            (true, false) => Cell::If(conditions.join(" and ")),
        }
    });
    Row {
        method: route.method.clone(),
        pattern: route.pattern.clone(),
        needs: match (&route.requires, route.public) {
            (_, true) => "nothing: open to everyone".to_owned(),
            (Some(permission), _) => permission.clone(),
            (None, _) => "any caller with a name".to_owned(),
        },
        cells: cells.collect(),
    }
}

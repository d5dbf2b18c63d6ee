//! What two policies say of themselves differently and no decision shows: what can be put on a key, and what roles
//! hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::description::{Description, RouteInfo};

/// A change of the catalogue or of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// The catalogue has a new permission.
    PermissionAdded {
        /// Its name.
        permission: String,
    },
    /// The catalogue lost a permission: keys and custom roles that carry it lose it too.
    PermissionRemoved {
        /// Its name.
        permission: String,
    },
    /// Keys may carry a permission that they could not.
    ScopeAllowed {
        /// Its name.
        permission: String,
    },
    /// Keys may no longer be minted with a permission.
    ScopeForbidden {
        /// Its name.
        permission: String,
    },
    /// There is a new role.
    RoleAdded {
        /// Its name.
        role: String,
        /// What it holds.
        permissions: Vec<String>,
    },
    /// A role is gone: who has it holds nothing by it.
    RoleRemoved {
        /// Its name.
        role: String,
    },
    /// A role holds more.
    RoleGains {
        /// Its name.
        role: String,
        /// What it did not hold.
        permissions: Vec<String>,
    },
    /// Another condition decides whether a role or route grants anything. Which requests that changes, the cases show as
    /// far as they find any.
    ConditionChanged {
        /// The role, or the route's method and pattern.
        of: String,
        /// It had none, or this one.
        before: Option<String>,
        /// It has none, or this one.
        after: Option<String>,
    },
    /// A role holds less.
    RoleLoses {
        /// Its name.
        role: String,
        /// What it held.
        permissions: Vec<String>,
    },
}

/// The changes from `old` to `new`, permissions first.
pub(super) fn between(old: &Description, new: &Description) -> Vec<Change> {
    let mut changes = permissions(old, new);
    changes.extend(roles(old, new));
    changes.extend(conditions(old, new));
    changes
}

/// Of roles and routes that both have: what else is new or gone shows elsewhere.
fn conditions(old: &Description, new: &Description) -> Vec<Change> {
    let all = |description: &Description| -> BTreeMap<String, Option<String>> {
        let roles = description.roles.iter();
        let roles = roles.map(|role| (role.name.clone(), role.when.clone()));
        let routes = description.routes.iter();
        let name = |route: &RouteInfo| format!("{} {}", route.method, route.pattern);
        let routes = routes.map(|route| (name(route), route.when.clone()));
        roles.chain(routes).collect()
    };
    let mut after = all(new);
    let both = all(old).into_iter();
    both.filter_map(|(of, before)| Some((after.remove(&of)?, of, before)))
        .filter(|(after, _, before)| after != before)
        .map(|(after, of, before)| Change::ConditionChanged { of, before, after })
        .collect()
}

fn permissions(old: &Description, new: &Description) -> Vec<Change> {
    let scopes = |description: &Description| -> BTreeMap<String, bool> {
        let permissions = description.permissions.iter();
        permissions
            .map(|one| (one.name.clone(), one.scope))
            .collect()
    };
    let (before, after) = (scopes(old), scopes(new));
    let mut changes = Vec::new();
    for (name, was_scope) in &before {
        let permission = name.clone();
        match after.get(name) {
            None => changes.push(Change::PermissionRemoved { permission }),
            Some(true) if !was_scope => changes.push(Change::ScopeAllowed { permission }),
            Some(false) if *was_scope => changes.push(Change::ScopeForbidden { permission }),
            Some(_) => {}
        }
    }
    let added = after.into_keys().filter(|name| !before.contains_key(name));
    changes.extend(added.map(|permission| Change::PermissionAdded { permission }));
    changes
}

fn roles(old: &Description, new: &Description) -> Vec<Change> {
    let held = |description: &Description| -> BTreeMap<String, BTreeSet<String>> {
        let roles = description.roles.iter();
        roles
            .map(|role| {
                (
                    role.name.clone(),
                    role.permissions.iter().cloned().collect(),
                )
            })
            .collect()
    };
    let (before, after) = (held(old), held(new));
    let mut changes = Vec::new();
    for (role, had) in &before {
        let role = role.clone();
        let Some(has) = after.get(&role) else {
            changes.push(Change::RoleRemoved { role });
            continue;
        };
        let gained: Vec<String> = has.difference(had).cloned().collect();
        let lost: Vec<String> = had.difference(has).cloned().collect();
        if !gained.is_empty() {
            changes.push(Change::RoleGains {
                role: role.clone(),
                permissions: gained,
            });
        }
        if !lost.is_empty() {
            changes.push(Change::RoleLoses {
                role,
                permissions: lost,
            });
        }
    }
    let added = after
        .into_iter()
        .filter(|(role, _)| !before.contains_key(role));
    changes.extend(added.map(|(role, has)| Change::RoleAdded {
        role,
        permissions: has.into_iter().collect(),
    }));
    changes
}

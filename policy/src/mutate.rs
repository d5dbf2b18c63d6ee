//! Policies with one rule changed: what tests are tried on. A change that no test notices is a rule that nobody
//! tests.
//!
//! Each mutant has one rule removed or turned into its opposite, where decisions can show it at all. What is left out
//! shows in none: which of `none`, `upstream` and `lists` narrows a route, permissions that no route requires, and
//! whether a permission may be a scope, which is checked when a key is minted. The management API's part, which is in
//! every policy, stays as it is.

mod conditions;

use crate::description::{ClusterSource, RouteInfo};
use crate::tables::Rules;

pub use conditions::of_conditions;

/// A policy with one rule changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// All of its rules. They may not make tables: then nobody can write this policy.
    pub rules: Rules,
    /// Where the rule is.
    pub changed: Changed,
    /// What is different now, such as ``the role `viewer` also has `costs:read` ``.
    pub what: String,
}

/// Where a rule is: indexes into the description of the policy that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Changed {
    /// This route.
    Route(usize),
    /// Whether this role has this permission.
    Role {
        /// The role.
        role: usize,
        /// The permission.
        permission: usize,
    },
    /// The condition of this role.
    RoleCondition(usize),
    /// Whether keys may only read.
    Keys,
}

/// Every mutant of a checked policy, one after the other.
pub fn mutants(rules: &Rules) -> impl Iterator<Item = Mutant> {
    let routes = (0..rules.description.routes.len()).flat_map(|index| of_route(rules, index));
    let roles = (0..rules.description.roles.len()).flat_map(|index| of_role(rules, index));
    let rest = of_conditions(rules).chain(of_keys(rules));
    routes.chain(roles).chain(rest)
}

fn of_route(rules: &Rules, index: usize) -> Vec<Mutant> {
    let (Some(route), Some(options)) = (
        rules.description.routes.get(index),
        rules.options.get(index).copied(),
    ) else {
        return Vec::new();
    };
    if route.is_management() {
        return Vec::new();
    }
    let name = format!("{} {}", route.method, route.pattern);
    let mut mutants = vec![without_route(rules, index, &name)];
    let mut mutant = |what: String, change: &dyn Fn(&mut Rules)| {
        let mut rules = rules.clone();
        change(&mut rules);
        mutants.push(Mutant {
            rules,
            changed: Changed::Route(index),
            what,
        });
    };
    if route.public {
        if let Some(permission) = first_required(rules) {
            mutant(format!("`{name}` requires `{permission}`"), &|rules| {
                on_route(rules, index, |route| {
                    route.public = false;
                    route.requires = Some(permission.clone());
                });
            });
        }
        return mutants;
    }
    mutant(format!("`{name}` is public"), &|rules| {
        on_route(rules, index, |route| {
            route.public = true;
            route.requires = None;
            route.cluster = ClusterSource::None;
        });
        on_options(rules, index, |options| {
            options.operator = false;
            options.sign_in = false;
        });
    });
    if let Some(required) = &route.requires {
        if let Some(other) = held_by_others(rules, required) {
            mutant(
                format!("`{name}` requires `{other}` and not `{required}`"),
                &|rules| on_route(rules, index, |route| route.requires = Some(other.clone())),
            );
        }
        if options.operator {
            mutant(format!("`{name}` requires no permission"), &|rules| {
                on_route(rules, index, |route| route.requires = None);
            });
        }
    }
    if options.operator {
        // Somebody must be required: a permission, where there was none.
        let instead = route.requires.clone().or_else(|| first_required(rules));
        mutant(format!("`{name}` is for operators no more"), &|rules| {
            on_options(rules, index, |options| options.operator = false);
            on_route(rules, index, |route| route.requires = instead.clone());
        });
    }
    if options.sign_in {
        mutant(format!("`{name}` needs no fresh sign-in"), &|rules| {
            on_options(rules, index, |options| options.sign_in = false);
        });
    }
    let (cluster, what) = other_clusters(&route.cluster);
    mutant(format!("`{name}` {what}"), &|rules| {
        on_route(rules, index, |route| route.cluster = cluster.clone());
    });
    mutants
}

/// Where a route's cluster is not, and what that means.
fn other_clusters(cluster: &ClusterSource) -> (ClusterSource, &'static str) {
    match cluster {
        ClusterSource::Spans => (ClusterSource::None, "touches no cluster's data"),
        ClusterSource::Path(_) | ClusterSource::Query(_) | ClusterSource::Header(_) => (
            ClusterSource::None,
            "does not look at the cluster that is named",
        ),
        ClusterSource::None | ClusterSource::Upstream | ClusterSource::Lists(_) => {
            (ClusterSource::Spans, "spans every cluster")
        }
    }
}

fn without_route(rules: &Rules, index: usize, name: &str) -> Mutant {
    let mut rules = rules.clone();
    rules.description.routes.remove(index);
    rules.options.remove(index);
    Mutant {
        rules,
        changed: Changed::Route(index),
        what: format!("`{name}` is not there"),
    }
}

fn on_route(rules: &mut Rules, index: usize, change: impl FnOnce(&mut RouteInfo)) {
    if let Some(route) = rules.description.routes.get_mut(index) {
        change(route);
    }
}

fn on_options(rules: &mut Rules, index: usize, change: impl FnOnce(&mut crate::RouteOptions)) {
    if let Some(options) = rules.options.get_mut(index) {
        change(options);
    }
}

fn of_role(rules: &Rules, index: usize) -> Vec<Mutant> {
    let Some(role) = rules.description.roles.get(index) else {
        return Vec::new();
    };
    let of_permission = |(number, name): (usize, &str)| {
        let mut rules = rules.clone();
        let permissions = &mut rules.description.roles.get_mut(index)?.permissions;
        let what = match permissions.iter().position(|held| held == name) {
            Some(place) => {
                permissions.remove(place);
                format!("the role `{}` lacks `{name}`", role.name)
            }
            None => {
                // Sorted, as in every role.
                let place = permissions.partition_point(|held| held.as_str() < name);
                permissions.insert(place, name.to_owned());
                format!("the role `{}` also has `{name}`", role.name)
            }
        };
        Some(Mutant {
            rules,
            changed: Changed::Role {
                role: index,
                permission: number,
            },
            what,
        })
    };
    required(rules).filter_map(of_permission).collect()
}

fn of_keys(rules: &Rules) -> Option<Mutant> {
    let mut own = rules.description.own_routes();
    // Where nothing can be written, it makes no difference.
    own.find(|route| !route.public && route.method != "GET")?;
    let mut mutant = rules.clone();
    mutant.keys_read_only = !rules.keys_read_only;
    Some(Mutant {
        rules: mutant,
        changed: Changed::Keys,
        what: match rules.keys_read_only {
            true => "API keys may write".to_owned(),
            false => "API keys may only read".to_owned(),
        },
    })
}

/// The permissions that the policy's own routes require, each once, with their numbers.
fn required(rules: &Rules) -> impl Iterator<Item = (usize, &str)> {
    let description = &rules.description;
    let is_required = |name: &str| {
        let mut own = description.own_routes();
        own.any(|route| route.requires.as_deref() == Some(name))
    };
    let names = description.permissions.iter().map(|p| p.name.as_str());
    names.enumerate().filter(move |(_, name)| is_required(name))
}

fn first_required(rules: &Rules) -> Option<String> {
    required(rules).next().map(|(_, name)| name.to_owned())
}

/// A permission that some role has without this one, or lacks while it has this one.
fn held_by_others(rules: &Rules, name: &str) -> Option<String> {
    let roles = &rules.description.roles;
    let has = |role: &crate::RoleInfo, name: &str| role.permissions.iter().any(|p| p == name);
    let differs = |other: &str| roles.iter().any(|role| has(role, name) != has(role, other));
    let mut own = rules.description.own_permissions();
    own.find(|other| other.name != name && differs(&other.name))
        .map(|other| other.name.clone())
}

#[cfg(test)]
mod tests;

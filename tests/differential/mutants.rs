//! Policies with one thing changed: each operator, grant and route in turn. `policy test --mutate` makes mutants of its
//! own; these are for the proofs of this repository, and know which kind they are. Those of conditions are the same.

use scopegate_policy::mutate::{Changed, of_conditions};
use scopegate_policy::{ClusterSource, RouteInfo, Rules, Tables};

/// A policy with one change.
pub struct Mutant {
    /// What was changed, such as `GET /v1/costs: made public`.
    pub name: String,
    /// The kind of change.
    pub kind: &'static str,
    /// The route or role that was changed.
    pub of: Of,
    /// The policy.
    pub tables: Tables,
}

/// Where a change is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// A route, by its number before the change.
    Route(usize),
    /// A role, by its name.
    Role(String),
    /// The keys, or the catalogue.
    Policy,
}

/// Kinds of change that no decision shows.
pub const SILENT: [&str; 2] = ["scope flag flipped", "list cut otherwise"];

/// The kind of those whose condition is another, or none.
pub const CONDITION: &str = "condition changed";

/// Every mutant of a policy; of its management API's routes only where that is asked for.
pub fn all(rules: &Rules, with_management: bool) -> Vec<Mutant> {
    let mut mutants = Mutants {
        rules,
        made: Vec::new(),
    };
    for (index, route) in rules.description.routes.iter().enumerate() {
        if with_management || !route.is_management() {
            mutants.of_route(index, route);
            mutants.of_cluster(index, route);
            mutants.of_match(index, route);
        }
    }
    mutants.of_roles(with_management);
    mutants.of_conditions();
    mutants.of_policy();
    mutants.made
}

struct Mutants<'r> {
    rules: &'r Rules,
    made: Vec<Mutant>,
}

impl Mutants<'_> {
    /// Notes the mutant, if it is a policy at all.
    fn make(&mut self, kind: &'static str, of: Of, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.rules.clone();
        change(&mut rules);
        let what = match &of {
            Of::Route(index) => {
                let route = &self.rules.description.routes[*index];
                format!("{} {}", route.method, route.pattern)
            }
            Of::Role(name) => name.clone(),
            Of::Policy => "policy".to_owned(),
        };
        if let Ok(tables) = Tables::new(rules) {
            let name = format!("{what}: {kind}");
            self.made.push(Mutant {
                name,
                kind,
                of,
                tables,
            });
        }
    }

    fn of_route(&mut self, index: usize, route: &RouteInfo) {
        let of = || Of::Route(index);
        let permissions = &self.rules.description.permissions;
        let others: Vec<String> = permissions
            .iter()
            .map(|permission| permission.name.clone())
            .filter(|name| Some(name) != route.requires.as_ref())
            .collect();
        let another = others[index % others.len()].clone();
        let guarded = |rules: &mut Rules, permission: &str| {
            let route = &mut rules.description.routes[index];
            route.public = false;
            route.requires = Some(permission.to_owned());
            rules.options[index].operator = false;
        };
        self.make("removed", of(), |rules| {
            rules.description.routes.remove(index);
            rules.options.remove(index);
        });
        if route.requires.is_some() {
            self.make("requires another permission", of(), |rules| {
                guarded(rules, &another);
            });
            self.make("requires none", of(), |rules| {
                rules.description.routes[index].requires = None;
            });
        } else {
            self.make("requires a permission", of(), |rules| {
                guarded(rules, &another);
            });
        }
        if !route.public {
            self.make("made public", of(), |rules| {
                let route = &mut rules.description.routes[index];
                route.public = true;
                route.requires = None;
                rules.options[index].operator = false;
                rules.options[index].sign_in = false;
            });
            self.make("operator flipped", of(), |rules| {
                let operator = &mut rules.options[index].operator;
                *operator = !*operator;
            });
            self.make("sign-in flipped", of(), |rules| {
                let sign_in = &mut rules.options[index].sign_in;
                *sign_in = !*sign_in;
            });
        }
    }

    fn of_cluster(&mut self, index: usize, route: &RouteInfo) {
        let of = || Of::Route(index);
        let mut make = |kind, cluster: ClusterSource| {
            // The gate decides about both alike.
            let is_narrowed =
                |one: &ClusterSource| matches!(one, ClusterSource::None | ClusterSource::Upstream);
            if cluster != route.cluster && !(is_narrowed(&cluster) && is_narrowed(&route.cluster)) {
                self.make(kind, of(), |rules| {
                    rules.description.routes[index].cluster = cluster;
                });
            }
        };
        if !route.public {
            make("spans every cluster", ClusterSource::Spans);
        }
        make("touches no cluster", ClusterSource::None);
        match &route.cluster {
            ClusterSource::Query(name) => {
                make("cluster in a header", ClusterSource::Header(name.clone()));
                make(
                    "another parameter",
                    ClusterSource::Query(format!("{name}_2")),
                );
            }
            ClusterSource::Header(name) => {
                make("cluster in a parameter", ClusterSource::Query(name.clone()));
                make("another header", ClusterSource::Header(format!("{name}-2")));
            }
            ClusterSource::Lists(shape) => {
                let mut other = shape.clone();
                match index % 3 {
                    0 => other.items.push_str("/x"),
                    1 => other.cluster.push('x'),
                    _ => other.keep.push("total".to_owned()),
                }
                make("list cut otherwise", ClusterSource::Lists(other));
            }
            _ => {}
        }
    }

    fn of_match(&mut self, index: usize, route: &RouteInfo) {
        let of = || Of::Route(index);
        let method = if route.method == "DELETE" {
            "PUT"
        } else {
            "DELETE"
        };
        self.make("another method", of(), |rules| {
            rules.description.routes[index].method = method.to_owned();
        });
        if route.method != "*" {
            self.make("every method", of(), |rules| {
                rules.description.routes[index].method = "*".to_owned();
            });
        }
        let pattern = match route.pattern.strip_suffix("/**") {
            Some(without) => without.to_owned(),
            None => format!("{}/**", route.pattern),
        };
        // What is below it may be another route's already, all of it.
        let below = format!("{}/{{cluster}}/**", route.pattern);
        let mut routes = self.rules.description.routes.iter();
        if !routes.any(|other| other.pattern == below && other.method == route.method) {
            self.make("tail flipped", of(), |rules| {
                rules.description.routes[index].pattern = pattern;
            });
        }
        let literal = route
            .pattern
            .split('/')
            .rfind(|text| text.starts_with(|first: char| first.is_ascii_alphabetic()));
        if let Some(literal) = literal {
            let other = route
                .pattern
                .replace(&format!("/{literal}"), &format!("/{literal}x"));
            self.make("another literal", of(), |rules| {
                rules.description.routes[index].pattern = other;
            });
        }
    }

    /// Only of permissions that a route requires: others decide nothing.
    fn of_roles(&mut self, with_management: bool) {
        let description = &self.rules.description;
        let mut required: Vec<&String> = description
            .routes
            .iter()
            .filter(|route| with_management || !route.is_management())
            .filter_map(|route| route.requires.as_ref())
            .collect();
        required.sort_unstable();
        required.dedup();
        for (index, role) in description.roles.iter().enumerate() {
            for permission in &required {
                let place = role.permissions.iter().position(|held| held == *permission);
                let of = Of::Role(role.name.clone());
                match place {
                    Some(place) => self.make("loses a permission", of, |rules| {
                        rules.description.roles[index].permissions.remove(place);
                    }),
                    None => self.make("gains a permission", of, |rules| {
                        let held = &mut rules.description.roles[index].permissions;
                        held.push((*permission).clone());
                    }),
                }
            }
        }
    }

    fn of_conditions(&mut self) {
        for mutant in of_conditions(self.rules) {
            let of = match mutant.changed {
                Changed::Route(index) => Of::Route(index),
                Changed::RoleCondition(index) => {
                    Of::Role(self.rules.description.roles[index].name.clone())
                }
                Changed::Role { .. } | Changed::Keys => continue,
            };
            if let Ok(tables) = Tables::new(mutant.rules) {
                self.made.push(Mutant {
                    name: mutant.what,
                    kind: CONDITION,
                    of,
                    tables,
                });
            }
        }
    }

    fn of_policy(&mut self) {
        self.make("read-only flipped", Of::Policy, |rules| {
            rules.keys_read_only = !rules.keys_read_only;
        });
        for index in 0..self.rules.description.permissions.len() {
            self.make("scope flag flipped", Of::Policy, |rules| {
                let scope = &mut rules.description.permissions[index].scope;
                *scope = !*scope;
            });
        }
    }
}

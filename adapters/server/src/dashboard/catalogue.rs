//! The active policy's catalogue, as pickers and the matrix show it.

use serde::Deserialize;

use super::{problem::Problem, visitor::Visitor};

/// The active policy.
#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) contract: String,
    permissions: Vec<Known>,
    pub(super) roles: Vec<Role>,
    pub(super) routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
struct Known {
    name: String,
    category: String,
    unlocks: String,
    scope: bool,
}

/// A built-in role.
#[derive(Debug, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) permissions: Vec<String>,
    pub(super) when: Option<String>,
}

/// A route.
#[derive(Debug, Deserialize)]
pub(super) struct Route {
    pub(super) method: String,
    pub(super) pattern: String,
    pub(super) public: bool,
    pub(super) requires: Option<String>,
    pub(super) when: Option<String>,
}

/// Permissions that pickers show under one heading.
#[derive(Debug)]
pub(super) struct Category {
    pub(super) name: String,
    pub(super) permissions: Vec<Permission>,
}

/// A permission to choose.
#[derive(Debug)]
pub(super) struct Permission {
    pub(super) name: String,
    pub(super) unlocks: String,
    pub(super) chosen: bool,
}

/// Reads it.
///
/// # Errors
/// What the API says instead.
pub(super) async fn read(visitor: &Visitor) -> Result<Policy, Problem> {
    visitor.calls.read("/policy").await
}

impl Policy {
    /// What a key may carry of what its maker holds, by category.
    pub(super) fn scopes(&self, held: &[String], chosen: &[String]) -> Vec<Category> {
        self.by_category(chosen, |known| known.scope && held.contains(&known.name))
    }

    /// What a role may be given by who holds this.
    pub(super) fn grantable(&self, held: &[String], chosen: &[String]) -> Vec<Category> {
        self.by_category(chosen, |known| held.contains(&known.name))
    }

    /// All there is.
    pub(super) fn all(&self) -> Vec<Category> {
        self.by_category(&[], |_| true)
    }

    /// The name of every permission.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.permissions.iter().map(|known| known.name.as_str())
    }

    fn by_category(&self, chosen: &[String], offered: impl Fn(&Known) -> bool) -> Vec<Category> {
        let mut categories: Vec<Category> = Vec::new();
        for known in self.permissions.iter().filter(|known| offered(known)) {
            let permission = Permission {
                name: known.name.clone(),
                unlocks: known.unlocks.clone(),
                chosen: chosen.contains(&known.name),
            };
            match categories
                .iter_mut()
                .find(|category| category.name == known.category)
            {
                Some(category) => category.permissions.push(permission),
                None => categories.push(Category {
                    name: known.category.clone(),
                    permissions: vec![permission],
                }),
            }
        }
        categories
    }
}

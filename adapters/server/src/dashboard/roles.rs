//! Roles: what each gives.

use scopegate_policy::permission::Pattern;
use serde::Deserialize;

use super::{problem::Problem, visitor::Visitor};

/// The role of agents' tokens, which no user has.
const AGENT: &str = "agent";

/// A role, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    /// Names, and patterns that stand for several.
    pub(super) permissions: Vec<String>,
    /// Whether it is the organization's own.
    pub(super) custom: bool,
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

impl Role {
    /// Whether it gives a permission.
    pub(super) fn gives(&self, permission: &str) -> bool {
        let mut patterns = self
            .permissions
            .iter()
            .filter_map(|text| Pattern::parse(text));
        patterns.any(|pattern| pattern.matches(permission))
    }

    /// Whether users may have it.
    pub(super) fn is_for_users(&self) -> bool {
        self.custom || self.name != AGENT
    }
}

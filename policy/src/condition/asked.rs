//! Which conditions a decision asked, and what came of each: what coverage counts. The codes of a decision say it, so
//! that it costs a decision nothing.

use crate::description::Description;
use crate::facts::{Caller, Grant, Rule};

/// Where a condition stands, as an index into the [`Description`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionOf {
    /// A route's.
    Route(u32),
    /// A role's.
    Role(u32),
}

/// The conditions that were asked for a decision about a caller, each with whether it was true; an error is not. The
/// decision is known by its rule and, where it was refused, by the reason's code. For policies from documents: those that
/// are written by hand may ask in an order of their own.
pub fn asked(
    description: &Description,
    caller: &Caller,
    rule: &Rule,
    refused: Option<&str>,
) -> Vec<(ConditionOf, bool)> {
    let Some(index) = rule.route else {
        return Vec::new();
    };
    let Some(route) = description.routes.get(index as usize) else {
        return Vec::new();
    };
    let mut asked = match refused {
        // Refused before anybody's permissions are looked at.
        Some("not-authenticated" | "no-route" | "operator-required" | "read-only-key") => {
            Vec::new()
        }
        _ => roles(description, caller, rule.grant, route.requires.as_deref()),
    };
    // What is asked for before the route's condition; what comes after it says that it was true.
    let is_true = match refused {
        Some("condition-not-met") => Some(false),
        None
        | Some(
            "cluster-not-allowed"
            | "cluster-required"
            | "clusters-restricted"
            | "agent-outside-cluster",
        ) => Some(true),
        Some(_) => None,
    };
    if let Some(is_true) = is_true.filter(|_| route.when.is_some()) {
        asked.push((ConditionOf::Route(index), is_true));
    }
    asked
}

/// Those of the caller's roles that have the permission, up to the one that granted it.
fn roles(
    description: &Description,
    caller: &Caller,
    grant: Grant,
    requires: Option<&str>,
) -> Vec<(ConditionOf, bool)> {
    let Some(requires) = requires else {
        return Vec::new();
    };
    let granted = match grant {
        Grant::Role(index) => Some(index),
        Grant::None | Grant::Permission | Grant::Public => None,
    };
    let mut asked = Vec::new();
    for name in &caller.roles {
        let roles = (0_u32..).zip(&description.roles);
        let found = roles.into_iter().find(|(_, role)| {
            role.name == *name && role.permissions.iter().any(|held| held == requires)
        });
        let Some((index, role)) = found else { continue };
        if role.when.is_some() {
            asked.push((ConditionOf::Role(index), granted == Some(index)));
        }
        if granted == Some(index) {
            break;
        }
    }
    asked
}

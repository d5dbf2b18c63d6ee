//! Routes that nobody passes, and conditions that ask for nothing.

use crate::document::Compiled;
use crate::tables::Rules;

use super::rules::finding;
use super::{Finding, Lint};

/// Routes that ask an operator for a permission, and conditions of routes that are always the same.
pub(super) fn routes(document: &Compiled, found: &mut Vec<Finding>) {
    let rules = document.tables.rules();
    let routes = rules.description.routes.iter().zip(&rules.options);
    for ((route, options), places) in routes.zip(&document.places.routes) {
        let name = format!("{} {}", route.method, route.pattern);
        if let Some(permission) = route.requires.as_ref().filter(|_| options.operator) {
            let message = format!("nobody passes `{name}`: operators hold no `{permission}`");
            let help =
                "operators are in no organization and have no role: keep `operator` or `requires`";
            let place = places.key_or_match("operator");
            found.push(finding(Lint::OperatorWithPermission, place, message, help));
        }
        if let Some(is_true) = constant(rules, route.when.as_deref()) {
            let (message, help) = match is_true {
                true => (
                    format!("the condition of `{name}` is always true"),
                    "it keeps nobody out: take it out, or ask for a fact of `request` or `caller`",
                ),
                false => (
                    format!("the condition of `{name}` is never true"),
                    "nobody passes: take the route out, or ask for a fact of `request` or `caller`",
                ),
            };
            let place = places.key_or_match("when");
            found.push(finding(Lint::ConstantCondition, place, message, help));
        }
    }
}

/// Conditions of roles that are always the same.
pub(super) fn roles(document: &Compiled, found: &mut Vec<Finding>) {
    let rules = document.tables.rules();
    for (role, places) in rules.description.roles.iter().zip(&document.places.roles) {
        let Some(is_true) = constant(rules, role.when.as_deref()) else {
            continue;
        };
        let always = if is_true { "always" } else { "never" };
        let message = format!("the condition of the role `{}` is {always} true", role.name);
        let help = "take it out, or ask for a fact of `request` or `caller`";
        found.push(finding(Lint::ConstantCondition, places.name, message, help));
    }
}

/// Whether a condition that reads no fact is true.
fn constant(rules: &Rules, when: Option<&str>) -> Option<bool> {
    let when = when?;
    let condition = rules.conditions.iter().find(|one| one.text == when)?;
    condition.constant()
}

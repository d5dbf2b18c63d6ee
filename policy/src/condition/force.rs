//! Which of a caller's roles count in a request, for a host that has a policy's description alone.

use super::{check, probe::Parts};
use crate::description::Description;
use crate::facts::Caller;
use crate::packed::RequestRef;

/// The conditions of a description's roles.
pub struct RoleConditions(Vec<Conditional>);

struct Conditional {
    role: String,
    /// Nothing for a condition that is not in this language, as a policy written by hand may have: it never holds.
    condition: Option<Parts>,
}

impl RoleConditions {
    /// Those of this description.
    pub fn of(description: &Description) -> Self {
        let conditional = description.roles.iter().filter_map(|role| {
            let text = role.when.as_ref()?;
            Some(Conditional {
                role: role.name.clone(),
                condition: check::compile(text)
                    .ok()
                    .map(|condition| Parts::of(&[&condition])),
            })
        });
        Self(conditional.collect())
    }

    /// The caller's roles without a condition, and those whose condition is true of this request.
    pub fn in_force(&self, caller: &Caller, request: &RequestRef<'_>) -> Vec<String> {
        let holds = |role: &String| {
            let found = self.0.iter().find(|known| known.role == *role);
            found.is_none_or(|known| {
                let condition = known.condition.as_ref();
                condition.is_some_and(|condition| condition.truths_of(caller, request) == [true])
            })
        };
        caller
            .roles
            .iter()
            .filter(|role| holds(role))
            .cloned()
            .collect()
    }
}

impl core::fmt::Debug for RoleConditions {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let roles = self.0.iter().map(|known| &known.role);
        f.debug_set().entries(roles).finish()
    }
}

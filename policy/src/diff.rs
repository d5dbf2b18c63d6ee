//! What two policies answer differently, to whom, and the smallest example of each difference.
//!
//! A difference is another outcome: allowed or refused, the reason and the permission that it is about, the clusters
//! that are visible, what is left of a list. The rule that decided is none: routes may change their places and roles
//! their names for the same answer. Differences are grouped by the routes that they are on and by the two answers;
//! a group says who is concerned.

mod answer;
mod changes;
mod example;
mod smallest;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use crate::description::Description;
use crate::facts::{Caller, Decision};
use crate::generate::Case;

pub use changes::Change;
pub use example::Example;

use answer::Key;

/// Groups with examples at most; further ones are counted.
pub const GROUPS_MAX: usize = 1000;
/// Callers of a group who are looked at at most.
const CALLERS_MAX: usize = 64;

/// Which of the two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is there.
    Old,
    /// The one that is to come.
    New,
}

/// What a difference does to who is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// They may do what they could not, or see more.
    Gains,
    /// They may no longer do what they could, or see less.
    Loses,
    /// They get another reason, other clusters or another part of a list.
    Differs,
}

/// Differences of one kind on one route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What it does.
    pub effect: Effect,
    /// The old policy's route, such as `GET /v1/clusters`.
    pub old_route: Option<String>,
    /// The new policy's.
    pub new_route: Option<String>,
    /// The old policy's answer, such as ``missing-permission `clusters:read` ``.
    pub before: String,
    /// The new policy's.
    pub after: String,
    /// Cases that were answered so.
    pub cases: usize,
    /// How many of them were not generated, but recorded or in a file of tests.
    pub met: usize,
    /// Where the first of those stand.
    pub places: Vec<String>,
    /// One for each kind of caller who is concerned, the smallest first.
    pub examples: Vec<Example>,
}

/// How many places a group names.
const PLACES_MAX: usize = 5;

/// Where a case comes from that was not generated: a recorded request, such as `audit.jsonl:12`, or a test case.
pub type Origin = Arc<str>;

/// What two policies answer differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Cases that were asked.
    pub cases: usize,
    /// Cases that were answered differently.
    pub differing: usize,
    /// Gains before losses, and each in the order of the routes.
    pub groups: Vec<Group>,
    /// Cases of more groups than [`GROUPS_MAX`].
    pub left_out: usize,
    /// What else the descriptions say differently.
    pub changes: Vec<Change>,
}

impl Diff {
    /// Whether the policies answer alike and describe themselves alike.
    pub fn is_empty(&self) -> bool {
        self.differing == 0 && self.changes.is_empty()
    }
}

/// Asks both policies every case. `ask` gives a policy's decision; it may be asked other cases than these, when an
/// example is made smaller.
pub fn diff(
    old: &Description,
    new: &Description,
    cases: impl IntoIterator<Item = Case>,
    ask: impl FnMut(Side, &Case) -> Decision,
) -> Diff {
    let generated = cases.into_iter().map(|case| (case, None));
    diff_of(old, new, generated, ask)
}

/// The same, of cases of which some were met elsewhere: in a recorded log, or in a file of tests.
pub fn diff_of(
    old: &Description,
    new: &Description,
    cases: impl IntoIterator<Item = (Case, Option<Origin>)>,
    ask: impl FnMut(Side, &Case) -> Decision,
) -> Diff {
    let mut roles: Vec<&str> = Vec::new();
    for role in old.roles.iter().chain(&new.roles) {
        if !roles.contains(&role.name.as_str()) && roles.len() < CALLERS_MAX {
            roles.push(&role.name);
        }
    }
    let mut comparison = Comparison {
        old,
        new,
        roles,
        ask,
    };
    let mut groups = Groups::default();
    let mut found = Diff {
        changes: changes::between(old, new),
        ..Diff::default()
    };
    for (case, origin) in cases {
        found.cases += 1;
        let Some(key) = comparison.key(&case) else {
            continue;
        };
        found.differing += 1;
        match groups.of(&key) {
            Some(group) => {
                group.met(origin.as_ref());
                group.note(&mut comparison, key, case, origin.as_ref());
            }
            None => found.left_out += 1,
        }
    }
    let groups = groups.all.into_iter();
    found.groups = groups.map(|(key, group)| group.finish(&key)).collect();
    found.groups.sort_by_key(|group| group.effect);
    let examples = found
        .groups
        .iter_mut()
        .flat_map(|group| &mut group.examples);
    let mut names = example::CallerNames::default();
    examples.for_each(|example| names.give(example));
    found
}

/// Two policies that are asked the same.
struct Comparison<'d, A> {
    old: &'d Description,
    new: &'d Description,
    /// Roles of either, once.
    roles: Vec<&'d str>,
    ask: A,
}

impl<A: FnMut(Side, &Case) -> Decision> Comparison<'_, A> {
    /// What is different about the answers to a case, if anything is.
    fn key(&mut self, case: &Case) -> Option<Key> {
        let old = (self.ask)(Side::Old, case);
        let new = (self.ask)(Side::New, case);
        Key::of(self.old, &old, self.new, &new)
    }
}

/// Groups in the order in which they were met.
#[derive(Default)]
struct Groups {
    places: BTreeMap<Key, usize>,
    all: Vec<(Key, Found)>,
}

impl Groups {
    fn of(&mut self, key: &Key) -> Option<&mut Found> {
        let next = self.all.len();
        if !self.places.contains_key(key) {
            if next == GROUPS_MAX {
                return None;
            }
            self.places.insert(key.clone(), next);
            self.all.push((key.clone(), Found::default()));
        }
        let place = *self.places.get(key)?;
        self.all.get_mut(place).map(|(_, group)| group)
    }
}

/// A group while it grows.
#[derive(Default)]
struct Found {
    cases: usize,
    met: usize,
    places: Vec<String>,
    /// Who was looked at already, before anything was taken away from them.
    seen: BTreeSet<String>,
    examples: BTreeMap<String, Example>,
}

impl Found {
    fn met(&mut self, origin: Option<&Origin>) {
        let Some(origin) = origin else { return };
        self.met += 1;
        if self.places.len() < PLACES_MAX {
            self.places.push(origin.to_string());
        }
    }

    fn note<A: FnMut(Side, &Case) -> Decision>(
        &mut self,
        comparison: &mut Comparison<'_, A>,
        key: Key,
        case: Case,
        origin: Option<&Origin>,
    ) {
        self.cases += 1;
        if self.seen.len() == CALLERS_MAX || !self.seen.insert(signature(&case.caller)) {
            return;
        }
        let is_first = self.examples.is_empty();
        let smallest = self.keep(comparison, &key, case, origin);
        if !is_first || (smallest.caller.roles.is_empty() && smallest.caller.permissions.is_empty())
        {
            return;
        }
        // Not every caller asked for everything: who else is concerned?
        for role in comparison.roles.clone() {
            let mut other = smallest.clone();
            other.caller.roles = vec![role.to_owned()];
            other.caller.permissions.clear();
            if comparison.key(&other).as_ref() == Some(&key) {
                self.keep(comparison, &key, other, None);
            }
        }
    }

    /// Makes a case as small as it can be, and keeps it if it is the smallest of its callers.
    fn keep<A: FnMut(Side, &Case) -> Decision>(
        &mut self,
        comparison: &mut Comparison<'_, A>,
        key: &Key,
        case: Case,
        origin: Option<&Origin>,
    ) -> Case {
        let case = smallest::smallest(case, &key.requires(), |smaller| {
            comparison.key(smaller).as_ref() == Some(key)
        });
        let old = (comparison.ask)(Side::Old, &case).outcome;
        let new = (comparison.ask)(Side::New, &case).outcome;
        let example = Example::new(case.clone(), origin, old, new);
        let kept = self.examples.entry(example.who.clone());
        let kept = kept.or_insert_with(|| example.clone());
        if example.facts() < kept.facts() {
            *kept = example;
        }
        case
    }

    fn finish(self, key: &Key) -> Group {
        let mut examples: Vec<Example> = self.examples.into_values().collect();
        examples.sort_by_key(Example::facts);
        let (before, after) = key.words();
        Group {
            effect: key.effect(),
            old_route: key.old.route.as_ref().map(|route| route.text.clone()),
            new_route: key.new.route.as_ref().map(|route| route.text.clone()),
            before,
            after,
            cases: self.cases,
            met: self.met,
            places: self.places,
            examples,
        }
    }
}

/// What tells callers of a group apart.
fn signature(caller: &Caller) -> String {
    let Caller {
        kind,
        roles,
        permissions,
        scopes,
        operator,
        ..
    } = caller;
    format!("{kind:?} {operator} {roles:?} {permissions:?} {scopes:?}")
}

#[cfg(test)]
mod tests;

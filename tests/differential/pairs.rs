//! `policy diff` finds every change of mutated pairs, and its examples are as small as they can be.

use std::collections::{BTreeMap, BTreeSet};

use scopegate_policy::diff::{Diff, Example, Group, Side, diff};
use scopegate_policy::generate::{Case, Generator};
use scopegate_policy::{
    Caller, CallerKind, Clusters, Decision, Tables, decide, document, documents,
};

use super::mutants::{self, Mutant, Of, SILENT};
use crate::{harness::random::Random, load::figures::rounds};

/// In CI one of each kind, which is more; the soak compares many.
const PAIRS: (usize, usize) = (1, 50);

fn ask(old: &Tables, new: &Tables, side: Side, case: &Case) -> Decision {
    let tables = match side {
        Side::Old => old,
        Side::New => new,
    };
    decide(tables, &case.caller, &case.request)
}

fn compared(old: &Tables, new: &Tables, cases: impl IntoIterator<Item = Case>) -> Diff {
    diff(old.description(), new.description(), cases, |side, case| {
        ask(old, new, side, case)
    })
}

/// Mutants of all built-in documents, each kind in its turn.
fn pairs() -> Vec<(Tables, Mutant)> {
    let (mut random, seed) = Random::repeatable();
    println!("SCOPEGATE_SEED={seed}");
    let mut by_kind: BTreeMap<&str, Vec<(&str, Mutant)>> = BTreeMap::new();
    let mut originals = BTreeMap::new();
    for name in documents::names() {
        let tables = document::compile(name, documents::builtin(name).expect("it is built in"));
        let tables = tables.unwrap_or_else(|report| panic!("{report}"));
        for mutant in mutants::all(tables.rules(), true) {
            by_kind.entry(mutant.kind).or_default().push((name, mutant));
        }
        originals.insert(name, tables);
    }
    assert!(by_kind.len() >= 18, "{:?}", by_kind.keys());
    let mut pairs = Vec::new();
    while pairs.len() < rounds(PAIRS.0, PAIRS.1) {
        for mutants in by_kind.values_mut().filter(|mutants| !mutants.is_empty()) {
            let (name, mutant) = mutants.swap_remove(random.place(mutants.len()));
            pairs.push((originals[name].clone(), mutant));
        }
    }
    pairs
}

#[test]
fn every_change_of_mutated_pairs_is_found_with_a_minimal_example() {
    let mut found = 0;
    let mut equivalent = BTreeSet::new();
    for (old, mutant) in pairs() {
        let new = &mutant.tables;
        let generator = Generator::new(&[old.description(), new.description()]);
        let diff = compared(&old, new, generator.cases());
        let name = format!("{}, {}", old.description().name, mutant.name);
        if diff.is_empty() {
            equivalent.insert(name);
            continue;
        }
        found += 1;
        if mutant.kind == "scope flag flipped" {
            assert_eq!((diff.differing, diff.changes.len()), (0, 1), "{name}");
            continue;
        }
        assert!(
            diff.groups
                .iter()
                .any(|group| is_about(group, &old, &mutant)),
            "{name}: no difference is about it: {:#?}",
            diff.groups
        );
        for group in &diff.groups {
            let smallest = group.examples.first().expect("an example");
            assert!(is_shown(&old, new, group, case_of(smallest)), "{name}");
            for less in less(smallest) {
                assert!(
                    !is_shown(&old, new, group, less.clone()),
                    "{name}: the example shows too much\n{group:#?}\n{less:#?}"
                );
            }
        }
    }
    println!("{found} changes found");
    // A mutant that answers everything as the original did is no change.
    assert_eq!(equivalent, BTreeSet::new());
}

/// Whether the difference is on the mutated route, or of the mutated role.
fn is_about(group: &Group, old: &Tables, mutant: &Mutant) -> bool {
    match &mutant.of {
        Of::Route(index) => {
            // Under its old match or, as long as it is there, its new one.
            let mutated = mutant.tables.description().routes.get(*index);
            let routes = [Some(&old.description().routes[*index]), mutated];
            routes.into_iter().flatten().any(|route| {
                let route = Some(format!("{} {}", route.method, route.pattern));
                group.old_route == route || group.new_route == route
            })
        }
        Of::Role(name) if name == "agent" => group
            .examples
            .iter()
            .any(|example| example.caller.roles == ["agent"]),
        Of::Role(name) => group
            .examples
            .iter()
            .any(|example| example.who.contains(name)),
        Of::Policy if SILENT.contains(&mutant.kind) => true,
        Of::Policy => group
            .examples
            .iter()
            .all(|example| example.caller.kind == CallerKind::ApiKey),
    }
}

fn case_of(example: &Example) -> Case {
    Case {
        caller: example.caller.clone(),
        request: example.request.clone(),
    }
}

/// Whether the policies differ on a case as they do in a group.
fn is_shown(old: &Tables, new: &Tables, group: &Group, case: Case) -> bool {
    let diff = compared(old, new, [case]);
    let kind = |group: &Group| {
        (
            group.effect,
            group.old_route.clone(),
            group.new_route.clone(),
            group.before.clone(),
            group.after.clone(),
        )
    };
    diff.groups.iter().any(|one| kind(one) == kind(group))
}

/// The example without each of its facts.
fn less(example: &Example) -> Vec<Case> {
    let case = case_of(example);
    let caller = &case.caller;
    let mut callers = Vec::new();
    if caller.kind != CallerKind::Anonymous {
        callers.push(Caller::anonymous());
    }
    if caller.kind == CallerKind::ApiKey {
        callers.push(Caller {
            kind: CallerKind::Session,
            scopes: None,
            allowed_clusters: Clusters::All,
            auth_time: Some(case.request.now),
            ..caller.clone()
        });
        callers.push(Caller {
            scopes: None,
            ..caller.clone()
        });
    }
    if caller.kind != CallerKind::Anonymous && !caller.operator {
        let clusters = Clusters::All;
        callers.push(Caller {
            clusters,
            ..caller.clone()
        });
        let allowed_clusters = Clusters::All;
        callers.push(Caller {
            allowed_clusters,
            ..caller.clone()
        });
    }
    if caller.kind != CallerKind::Agent {
        callers.push(Caller {
            roles: Vec::new(),
            ..caller.clone()
        });
        callers.push(Caller {
            permissions: Vec::new(),
            ..caller.clone()
        });
    }
    callers.push(Caller {
        mfa: false,
        ..caller.clone()
    });
    if caller.kind == CallerKind::Session {
        let auth_time = Some(case.request.now);
        callers.push(Caller {
            auth_time,
            ..caller.clone()
        });
    }
    let mut cases: Vec<Case> = callers
        .into_iter()
        .map(|caller| Case {
            caller,
            request: case.request.clone(),
        })
        .collect();
    for query in 0..case.request.query.len() {
        let mut case = case.clone();
        case.request.query.remove(query);
        cases.push(case);
    }
    for header in 0..case.request.headers.len() {
        let mut case = case.clone();
        case.request.headers.remove(header);
        cases.push(case);
    }
    cases.retain(|less| *less != case);
    cases
}

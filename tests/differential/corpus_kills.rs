//! The corpus notices what is changed in the policies: nearly every mutant of each document answers a case otherwise.

use std::collections::BTreeMap;

use scopegate_host::engine::bound;
use scopegate_host::trial::{Case, Outcome, TestFile};
use scopegate_policy::generate::Generator;
use scopegate_policy::packed::RequestRef;
use scopegate_policy::{Tables, decide};

use super::mutants::{self, CONDITION, Mutant, Of, SILENT};
use crate::corpus::{self, run::Implementation};

/// Percent of the mutants that a case must notice.
const KILLED_PERCENT_MIN: usize = 95;

#[tokio::test]
async fn the_corpus_kills_mutated_policies() {
    // What is in every policy is tried in one file, whatever the document.
    let mut by_document: BTreeMap<String, Vec<TestFile>> = BTreeMap::new();
    for file in corpus::files() {
        let document = file.subject.name().to_owned();
        by_document.entry(document).or_default().push(file);
    }
    let (mut killed, mut equivalent) = (0, 0);
    let (mut conditions, mut conditions_killed) = (0, 0);
    let mut alive: Vec<String> = Vec::new();
    for (document, files) in by_document {
        let original = files[0].subject.tables().expect("a document");
        let with_management = document == "scopegate";
        let has_roles = files.iter().any(|file| file.contract.sessions_on_api);
        let order = order(&files).await;
        for mutant in mutants::all(original.rules(), with_management) {
            // Where nobody has a session, no caller has a role.
            let is_unused = matches!(mutant.of, Of::Role(_)) && !has_roles;
            if SILENT.contains(&mutant.kind) || is_unused {
                continue;
            }
            let is_condition = usize::from(mutant.kind == CONDITION);
            conditions += is_condition;
            if is_killed(&files, &order, &mutant) {
                killed += 1;
                conditions_killed += is_condition;
            } else if is_equivalent(original, &mutant) {
                equivalent += 1;
                conditions -= is_condition;
            } else {
                alive.push(format!("{document}, {}", mutant.name));
            }
        }
    }
    let all = killed + alive.len();
    println!(
        "{killed} of {all} mutants killed, {equivalent} more are no change; alive:\n{}",
        alive.join("\n")
    );
    println!("{conditions_killed} of {conditions} mutants of conditions killed");
    assert!(all > 1000, "only {all} mutants");
    assert!(conditions > 50, "only {conditions} mutants of conditions");
    assert!(
        conditions_killed * 100 >= conditions * KILLED_PERCENT_MIN,
        "{conditions_killed} of {conditions} mutants of conditions are killed"
    );
    assert!(
        killed * 100 >= all * KILLED_PERCENT_MIN,
        "{killed} of {all} mutants are killed"
    );
}

/// File and number of each case, and the route that it is on.
type Order = Vec<(usize, usize, Option<usize>)>;

async fn order(files: &[TestFile]) -> Order {
    let mut order = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let answers = Implementation::Native.answers(file).await;
        for (number, (_, answer)) in answers.into_iter().enumerate() {
            let route = answer.rule.route;
            order.push((at, number, route.map(|route| route as usize)));
        }
    }
    order
}

/// Asks the cases on the mutated route first: mostly one of them is enough.
fn is_killed(files: &[TestFile], order: &Order, mutant: &Mutant) -> bool {
    let is_near = |route: &Option<usize>| match mutant.of {
        Of::Route(index) => *route == Some(index),
        Of::Role(_) | Of::Policy => true,
    };
    let (near, far): (Vec<_>, Vec<_>) = order.iter().partition(|(_, _, route)| is_near(route));
    for &(at, number, _) in near.into_iter().chain(far) {
        let (file, case) = (&files[at], &files[at].cases[number]);
        if outcome(&mutant.tables, file, case).as_ref() != Ok(&case.expected) {
            return true;
        }
    }
    false
}

/// What these tables answer to a case, as a gate bounds it.
fn outcome(tables: &Tables, file: &TestFile, case: &Case) -> Result<Outcome, String> {
    let caller = file.facts(case);
    let request = case.request.question(tables.vocabulary(), case.now)?;
    let decision = decide(tables, &caller, &request);
    let request = RequestRef::from(&request);
    let description = tables.description();
    let decision = bound(decision, description, &caller, &request, &file.clusters)?;
    Ok(Outcome::of(decision.outcome, &file.clusters))
}

/// Whether no generated case shows the change either.
fn is_equivalent(old: &Tables, mutant: &Mutant) -> bool {
    let new = &mutant.tables;
    let mut near = [old.description().clone(), new.description().clone()];
    if let Of::Route(index) = mutant.of {
        // The cases of this one route are enough: the policies that are asked are whole.
        for description in &mut near {
            let route = description.routes.get(index).cloned();
            description.routes = route.into_iter().collect();
        }
    }
    let generator = Generator::new(&[&near[0], &near[1]]);
    let mut cases = generator.cases();
    cases.all(|case| {
        let before = decide(old, &case.caller, &case.request).outcome;
        before == decide(new, &case.caller, &case.request).outcome
    })
}

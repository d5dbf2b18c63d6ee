//! The corpus notices what is changed in the policies: nearly every mutant of each document answers a case otherwise.

use std::collections::BTreeMap;

use scopegate_policy::generate::Generator;
use scopegate_policy::{Tables, decide};

use super::mutants::{self, Mutant, Of, SILENT};
use crate::corpus::{self, file::File, run::Implementation};

/// Percent of the mutants that a case must notice.
const KILLED_PERCENT_MIN: usize = 95;

#[tokio::test]
async fn the_corpus_kills_mutated_policies() {
    // What is in every policy is tried in one file, whatever the document.
    let mut by_document: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in corpus::files() {
        let document = file.document.name.clone();
        by_document.entry(document).or_default().push(file);
    }
    let (mut killed, mut equivalent) = (0, 0);
    let mut alive: Vec<String> = Vec::new();
    for (document, mut files) in by_document {
        let original = files[0].document.tables.clone();
        let with_management = document == "scopegate";
        let has_roles = files.iter().any(|file| file.contract.sessions_on_api);
        let order = order(&files).await;
        for mutant in mutants::all(original.rules(), with_management) {
            // Where nobody has a session, no caller has a role.
            let is_unused = matches!(mutant.of, Of::Role(_)) && !has_roles;
            if SILENT.contains(&mutant.kind) || is_unused {
                continue;
            }
            for file in &mut files {
                file.document.tables = mutant.tables.clone();
            }
            if is_killed(&files, &order, &mutant).await {
                killed += 1;
            } else if is_equivalent(&original, &mutant) {
                equivalent += 1;
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
    assert!(all > 1000, "only {all} mutants");
    assert!(
        killed * 100 >= all * KILLED_PERCENT_MIN,
        "{killed} of {all} mutants are killed"
    );
}

/// File and number of each case, and the route that it is on.
type Order = Vec<(usize, usize, Option<usize>)>;

async fn order(files: &[File]) -> Order {
    let mut order = Vec::new();
    for (at, file) in files.iter().enumerate() {
        for (number, case) in file.cases.iter().enumerate() {
            let route = Implementation::Native.answer(file, case).await.route;
            order.push((at, number, route.map(|route| route as usize)));
        }
    }
    order
}

/// Asks the cases on the mutated route first: mostly one of them is enough.
async fn is_killed(files: &[File], order: &Order, mutant: &Mutant) -> bool {
    let is_near = |route: &Option<usize>| match mutant.of {
        Of::Route(index) => *route == Some(index),
        Of::Role(_) | Of::Policy => true,
    };
    let (near, far): (Vec<_>, Vec<_>) = order.iter().partition(|(_, _, route)| is_near(route));
    for &(at, number, _) in near.into_iter().chain(far) {
        let (file, case) = (&files[at], &files[at].cases[number]);
        if Implementation::Native.answer(file, case).await.outcome != case.expected {
            return true;
        }
    }
    false
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

//! Mutation coverage: would a case notice if one rule of the policy were another?

use scopegate_policy::{
    Caller, Rules, Tables,
    mutate::{Changed, Mutant, mutants},
};

use super::case::Case;
use super::coverage::{Share, can_be_held};
use super::file::TestFile;
use super::run::answer_natively;

/// What came of the changed policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    /// Policies with one rule changed, and how many of them a case noticed.
    pub share: Share,
    /// What nobody noticed, in words, in the order of the policy.
    pub survivors: Vec<String>,
}

/// A case with its caller's facts, and the rule that decided it before any change.
struct Question<'f> {
    file: &'f TestFile,
    case: &'f Case,
    caller: Caller,
    route: Option<usize>,
}

/// Puts the cases of files that are about the policy of these rules to each of its mutants, natively. A case notices
/// when its outcome is not the expected one; cases that fail as it is would notice everything, so let all pass first.
pub fn mutate(rules: &Rules, files: &[&TestFile]) -> Mutation {
    let mut result = Mutation::default();
    let Ok(tables) = Tables::new(rules.clone()) else {
        return result;
    };
    let mut questions = Vec::new();
    for file in files {
        for case in &file.cases {
            let caller = file.facts(case);
            let answer = answer_natively(&tables, file, case, &caller).ok();
            let route = answer.and_then(|answer| answer.rule.route);
            questions.push(Question {
                file,
                case,
                caller,
                route: route.map(|index| index as usize),
            });
        }
    }
    for mutant in mutants(rules) {
        let contracts = || files.iter().map(|file| &file.contract);
        if let Changed::Role { role, .. } | Changed::RoleCondition(role) = mutant.changed
            && let Some(role) = rules.description.roles.get(role)
            && !contracts().any(|contract| can_be_held(&role.name, contract))
        {
            continue;
        }
        let Mutant {
            rules,
            changed,
            what,
        } = mutant;
        let Ok(tables) = Tables::new(rules) else {
            continue;
        };
        result.share.total += 1;
        if is_noticed(&tables, changed, &questions) {
            result.share.covered += 1;
        } else {
            result.survivors.push(what);
        }
    }
    result
}

/// Those first that are on the changed route: one of them mostly notices.
fn is_noticed(tables: &Tables, changed: Changed, questions: &[Question<'_>]) -> bool {
    let is_near = |question: &&Question<'_>| match changed {
        Changed::Route(index) => question.route == Some(index),
        Changed::Role { .. } | Changed::RoleCondition(_) | Changed::Keys => true,
    };
    let notices = |question: &Question<'_>| {
        let Question {
            file, case, caller, ..
        } = question;
        let answer = answer_natively(tables, file, case, caller);
        !answer.is_ok_and(|answer| answer.outcome == case.expected)
    };
    questions.iter().filter(is_near).any(notices)
        || questions.iter().filter(|q| !is_near(q)).any(notices)
}

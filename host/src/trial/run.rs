//! Putting the cases of a file to a policy.

use scopegate_policy::{Caller, Decision, Rule, Tables, decide, packed::RequestRef};

use super::case::{Case, Outcome};
use super::file::TestFile;
use crate::engine::{CallerRef, PackedCaller, Policy, Sandbox, bound};

/// How cases are put to a policy.
#[derive(Clone, Copy)]
pub enum Ways<'s> {
    /// By this program itself, which is fast; a document only.
    Native,
    /// As a server asks: the component, in this sandbox.
    Compiled(&'s Sandbox),
    /// Both, and the answers must be the same. A component that was written by hand is asked in the sandbox alone.
    Both(&'s Sandbox),
}

/// The cases of a file cannot be put to its policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The policy was written by hand, so that there is nothing that could be run natively.
    #[error("`{0}` is a component that was written by hand, which runs compiled only")]
    ByHand(String),
    /// The policy does not compile or load.
    #[error("`{name}` cannot be run: {why}")]
    NotLoaded {
        /// The policy.
        name: String,
        /// In one sentence.
        why: String,
    },
}

/// What came of a question, by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Allowed for these clusters, or refused.
    pub outcome: Outcome,
    /// The rule that decided, as indexes into the policy's description.
    pub rule: Rule,
}

/// A case that was run. Where an answer is an error, the policy failed; the text says how.
#[derive(Clone, Debug)]
pub struct Ran<'f> {
    /// The case: who, what, the expected outcome, and where it stands.
    pub case: &'f Case,
    /// What came of it natively, if it was asked so.
    pub native: Option<Result<Answer, String>>,
    /// What came of it in the sandbox, if it was asked so.
    pub compiled: Option<Result<Answer, String>>,
}

/// Whether a case passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Another outcome.
    Differs,
    /// The two ways answer differently, whatever is expected: a mistake of this program.
    Disagree,
    /// The policy gave no answer that makes sense.
    Fault,
}

impl Ran<'_> {
    /// Whether it passed, and if not, how it failed.
    pub fn verdict(&self) -> Verdict {
        let answers = || [&self.native, &self.compiled].into_iter().flatten();
        if let (Some(native), Some(compiled)) = (&self.native, &self.compiled)
            && native != compiled
        {
            return Verdict::Disagree;
        }
        if answers().any(Result::is_err) || answers().next().is_none() {
            return Verdict::Fault;
        }
        let is_expected = |answer: &Answer| answer.outcome == self.case.expected;
        match answers().flatten().all(is_expected) {
            true => Verdict::Passed,
            false => Verdict::Differs,
        }
    }

    /// The answer: the same both ways unless they disagree.
    pub fn answer(&self) -> Option<&Answer> {
        let mut answers = [&self.native, &self.compiled].into_iter().flatten();
        answers.find_map(|answer| answer.as_ref().ok())
    }
}

/// Puts every case of a file to its policy, in their order.
///
/// # Errors
/// When the policy cannot be run in these ways. A policy that fails on a case is a result.
pub async fn run<'f>(file: &'f TestFile, ways: Ways<'_>) -> Result<Vec<Ran<'f>>, RunError> {
    let subject = &file.subject;
    let sandbox = match ways {
        Ways::Native => None,
        Ways::Compiled(sandbox) | Ways::Both(sandbox) => Some(sandbox),
    };
    let compiled = match sandbox {
        None => None,
        Some(sandbox) => Some(
            subject
                .compiled(sandbox)
                .map_err(|why| RunError::NotLoaded {
                    name: subject.name().to_owned(),
                    why,
                })?,
        ),
    };
    let tables = match ways {
        Ways::Compiled(_) => None,
        Ways::Native | Ways::Both(_) => subject.tables(),
    };
    if tables.is_none() && compiled.is_none() {
        return Err(RunError::ByHand(subject.name().to_owned()));
    }
    let mut all = Vec::with_capacity(file.cases.len());
    for case in &file.cases {
        let caller = file.facts(case);
        all.push(Ran {
            case,
            native: tables.map(|tables| answer_natively(tables, file, case, &caller)),
            compiled: match compiled {
                Some(policy) => Some(answer_compiled(policy, file, case, &caller).await),
                None => None,
            },
        });
    }
    Ok(all)
}

/// What these tables answer to a case, bounded as the gate bounds it.
pub(super) fn answer_natively(
    tables: &Tables,
    file: &TestFile,
    case: &Case,
    caller: &Caller,
) -> Result<Answer, String> {
    let decision = decide(tables, caller, &case.question);
    let request = RequestRef::from(&case.question);
    let description = tables.description();
    let decision = bound(decision, description, caller, &request, &file.clusters)?;
    Ok(answer(decision, file))
}

async fn answer_compiled(
    policy: &Policy,
    file: &TestFile,
    case: &Case,
    caller: &Caller,
) -> Result<Answer, String> {
    let packed = PackedCaller::default();
    let caller = CallerRef {
        caller,
        packed: &packed,
    };
    let request = RequestRef::from(&case.question);
    let decision = policy.decide_bounded(&caller, &request, &file.clusters);
    match decision.await {
        Ok(decision) => Ok(answer(decision, file)),
        Err(error) => Err(error.to_string()),
    }
}

/// A decision as cases state it.
pub(super) fn answer(decision: Decision, file: &TestFile) -> Answer {
    Answer {
        outcome: Outcome::of(decision.outcome, &file.clusters),
        rule: decision.rule,
    }
}

//! The tests that a bundle carries, put to the policy that it is before that decides anything.
//!
//! They come with a candidate that nobody may have answered for yet, so their size, their number and their time are
//! bounded, and so is what is told of them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use scopegate_policy::packed::RequestRef;

use super::{
    Subject, TestFile,
    case::Case,
    read,
    run::{Ran, Verdict, answer, answer_natively},
};
use crate::{
    bundle,
    engine::{
        CallerRef, PackedCaller, Policy,
        sections::{self, TESTS},
    },
};

/// The text of all files.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The files: each is read as a document of its own.
const FILES_MAX: usize = 100;
/// The cases of all files. Each takes microseconds.
const CASES_MAX: usize = 20_000;
/// What all of them may take, of a policy that is slow on purpose.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Failures that are told; the others are counted.
const TOLD_MAX: usize = 3;
/// Characters that are told of each.
const TOLD_CHARS_MAX: usize = 400;

/// Puts the cases that a bundle carries to it: compiled, one after the other, apart from what requests share, and
/// natively where it is the document that it carries. Whatever policy the files name, they are about this one.
///
/// # Errors
/// Which cases fail and how, which mistakes the files have and where, or which bound they do not keep.
pub(crate) fn check_carried(bundle: &[u8], policy: &Arc<Policy>) -> Result<(), String> {
    check_within(TIME_MAX, bundle, policy)
}

fn check_within(time_max: Duration, bundle: &[u8], policy: &Arc<Policy>) -> Result<(), String> {
    let carried = bundle::tests(bundle);
    let sections = sections::behind(bundle).filter(|section| section.name == TESTS);
    if carried.len() < sections.count() {
        return Err("one of the files is not text in UTF-8 under a name".to_owned());
    }
    if carried.len() > FILES_MAX {
        let count = carried.len();
        return Err(format!("they are {count} files, more than {FILES_MAX}"));
    }
    let bytes: usize = carried.iter().map(|file| file.text.len()).sum();
    if bytes > TEXT_BYTES_MAX {
        return Err(format!(
            "they have {bytes} bytes, more than {TEXT_BYTES_MAX}"
        ));
    }
    if carried.is_empty() {
        return Ok(());
    }
    let name = &policy.description().name;
    let subject = Arc::new(Subject::loaded(name, bundle, Arc::clone(policy)));
    let (mut failures, mut cases) = (Failures::default(), 0);
    let started = Instant::now();
    let in_time = || match started.elapsed() > time_max {
        false => Ok(()),
        true => Err(format!("they take longer than {} s", time_max.as_secs())),
    };
    for file in &carried {
        // Reading takes time as well, of files that have no case too.
        in_time()?;
        let file = match read(&file.name, &file.text, |_| Ok(Arc::clone(&subject))) {
            Ok(file) => file,
            Err(report) => {
                for place in report.places() {
                    let (line, column) = (place.line, place.column);
                    failures.add(&format!("{}:{line}:{column}: {}", file.name, place.message));
                }
                continue;
            }
        };
        cases += file.cases.len();
        if cases > CASES_MAX {
            return Err(format!("there are more than {CASES_MAX} cases"));
        }
        for case in &file.cases {
            in_time()?;
            if let Some(what) = failure(&ask(&file, case, policy)) {
                failures.add(&format!("{case}: {what}"));
            }
        }
    }
    failures.told()
}

fn ask<'f>(file: &TestFile, case: &'f Case, policy: &Policy) -> Ran<'f> {
    let caller = file.facts(case);
    let packed = PackedCaller::default();
    let asking = CallerRef {
        caller: &caller,
        packed: &packed,
    };
    let request = RequestRef::from(&case.question);
    let compiled = policy.decide_apart(&asking, &request, &file.clusters);
    let tables = file.subject.tables();
    Ran {
        case,
        native: tables.map(|tables| answer_natively(tables, file, case, &caller)),
        compiled: Some(compiled.map(|decision| answer(decision, file))),
    }
}

/// How a case fails, if it does.
fn failure(ran: &Ran<'_>) -> Option<String> {
    let expected = &ran.case.expected;
    match ran.verdict() {
        Verdict::Passed => None,
        Verdict::Differs => {
            let got = ran.answer().map(|answer| answer.outcome.to_string());
            let got = got.unwrap_or_default();
            Some(format!("{got} instead of {expected}"))
        }
        Verdict::Disagree => Some(
            "it comes out differently natively and compiled, which is a mistake of scopegate"
                .to_owned(),
        ),
        Verdict::Fault => {
            let mut answers = [&ran.native, &ran.compiled].into_iter().flatten();
            let why = answers.find_map(|answer| answer.as_ref().err());
            let why = why.map(String::as_str).unwrap_or_default();
            Some(format!("the policy fails instead of {expected}: {why}"))
        }
    }
}

/// The first few failures, and how many there are.
#[derive(Default)]
struct Failures {
    told: Vec<String>,
    count: usize,
}

impl Failures {
    /// One more. Its text is somebody else's: it is cut, and has one line.
    fn add(&mut self, text: &str) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            let mut characters = text.chars().map(|character| match character {
                character if character.is_control() => ' ',
                character => character,
            });
            let mut told: String = characters.by_ref().take(TOLD_CHARS_MAX).collect();
            if characters.next().is_some() {
                told.push('…');
            }
            self.told.push(told);
        }
    }

    fn told(self) -> Result<(), String> {
        let told = self.told.join("; ");
        match self.count - self.told.len() {
            _ if self.count == 0 => Ok(()),
            0 => Err(told),
            more => Err(format!("{told}; and {more} more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bundle::{CarriedTests, with_tests},
        engine::{Sandbox, SandboxConfig, build_document},
    };

    #[test]
    fn tests_that_take_too_long_are_given_up() {
        let document = "policy: small\npermissions: { clusters:read: }\nroles: { viewer: [clusters:read] }\nroutes: [{ match: GET /v1/health, public: true }]\n";
        let component = build_document("policy.yaml", document).unwrap();
        let text =
            "cases:\n  - { name: n, caller: anonymous, request: GET /v1/health, expect: none }\n";
        let carried = CarriedTests {
            name: "a.test.yaml".to_owned(),
            text: text.to_owned(),
        };
        let bundle = with_tests(component.clone(), &[carried]);
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        let policy = Arc::new(sandbox.load(&bundle).unwrap());
        assert_eq!(check_carried(&bundle, &policy), Ok(()));
        assert_eq!(
            check_within(Duration::ZERO, &bundle, &policy),
            Err("they take longer than 0 s".to_owned())
        );
        // Files without a case take time as well, and so do many files.
        let empty = |count: usize| {
            let file = |number| CarriedTests {
                name: format!("{number}.test.yaml"),
                text: String::new(),
            };
            with_tests(component.clone(), &(0..count).map(file).collect::<Vec<_>>())
        };
        assert_eq!(
            check_within(Duration::ZERO, &empty(1), &policy),
            Err("they take longer than 0 s".to_owned())
        );
        assert_eq!(
            check_carried(&empty(101), &policy),
            Err("they are 101 files, more than 100".to_owned())
        );
    }
}

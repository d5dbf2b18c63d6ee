//! Results as JUnit XML, which continuous integration shows. A test file that cannot be read is an error, a minimum that
//! is missed a failure.

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use scopegate_host::trial::{Ran, TestFile};

use super::{
    difference::{self, Difference},
    results::Results,
};

pub(super) fn render(results: &Results<'_>) -> Result<String> {
    let mut report = Report::new("scopegate policy test");
    report.set_time(results.elapsed);
    for broken in results.broken {
        let name = broken.source().name();
        let mut suite = TestSuite::new(name);
        suite.add_test_case(wrong(
            name,
            "it can be read",
            NonSuccessKind::Error,
            &broken.to_string(),
        ));
        report.add_test_suite(suite);
    }
    for (file, ran) in &results.files {
        let mut suite = TestSuite::new(&file.name);
        suite.add_test_cases(ran.iter().map(|ran| case(file, ran)));
        report.add_test_suite(suite);
    }
    for policy in &results.policies {
        let name = policy.subject.name();
        let missed = policy.missed.iter();
        let cases: Vec<TestCase> = missed
            .map(|what| wrong(name, "minimums", NonSuccessKind::Failure, what))
            .collect();
        if !cases.is_empty() {
            let mut suite = TestSuite::new(name);
            suite.add_test_cases(cases);
            report.add_test_suite(suite);
        }
    }
    Ok(report.to_string()?)
}

fn case(file: &TestFile, ran: &Ran<'_>) -> TestCase {
    let case = ran.case;
    let name = format!("{}: {} asks for {}", case.name, case.caller, case.request);
    let mut shown = match difference::of(file, ran) {
        None => TestCase::new(name, TestCaseStatus::success()),
        Some(difference) => wrong(
            &file.name,
            &name,
            NonSuccessKind::Failure,
            &description(&case.place(), &difference),
        ),
    };
    shown.set_classname(file.name.as_str());
    shown.extra.insert("file".into(), case.file.as_str().into());
    shown
        .extra
        .insert("line".into(), case.line.to_string().into());
    shown
}

fn description(place: &str, difference: &Difference) -> String {
    let mut lines = vec![format!("{place}: {}", difference.heading)];
    for field in &difference.fields {
        lines.push(format!(
            "{}: expected {}, got {}",
            field.name, field.expected, field.got
        ));
    }
    lines.push(difference.because.clone());
    lines.join("\n")
}

/// The first line is the message, all of it the description.
fn wrong(class: &str, name: &str, kind: NonSuccessKind, what: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(what.lines().next().unwrap_or_default());
    status.set_description(what);
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

//! Results for people.

use scopegate_host::trial::{Coverage, Kind, Mutation, Ran, TestFile, Verdict};

use super::{
    difference::{self, Difference},
    results::{PolicyResult, Results, cases, counted, percentage},
};

pub(super) fn render(results: &Results<'_>) -> String {
    let mut parts: Vec<String> = results.broken.iter().map(ToString::to_string).collect();
    for (file, ran) in &results.files {
        let failed = ran.iter().filter_map(|ran| {
            let difference = difference::of(file, ran)?;
            Some(failure(ran, &difference))
        });
        parts.extend(failed);
    }
    parts.extend(results.policies.iter().filter_map(policy));
    let files = results.files.iter().map(|(file, ran)| line(file, ran));
    parts.push(files.collect::<Vec<_>>().join("\n"));
    parts.push(summary(results));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// A case that failed: its name and place, the question, and each field that differs.
fn failure(ran: &Ran<'_>, difference: &Difference) -> String {
    let case = ran.case;
    let mut lines = vec![
        format!("FAILED {} {}", case.place(), case.name),
        format!("  `{}` asks for `{}`", case.caller, case.request),
    ];
    if ran.verdict() != Verdict::Differs {
        lines.push(format!("  {}", difference.heading));
    }
    for field in &difference.fields {
        lines.push(format!("  {:<8}  expected  {}", field.name, field.expected));
        lines.push(format!("  {:<8}  got       {}", "", field.got));
    }
    if !difference.because.is_empty() {
        lines.push(format!("  by        {}", difference.because));
    }
    lines.join("\n")
}

fn line(file: &TestFile, ran: &[Ran<'_>]) -> String {
    let failed = ran.iter().filter(|ran| ran.verdict() != Verdict::Passed);
    let (name, policy) = (&file.name, file.subject.name());
    match failed.count() {
        0 => format!("ok      {name}: {}, `{policy}`", cases(ran.len())),
        failed => format!(
            "FAILED  {name}: {failed} of {}, `{policy}`",
            cases(ran.len())
        ),
    }
}

fn policy(policy: &PolicyResult) -> Option<String> {
    let mut lines = Vec::new();
    let name = policy.subject.name();
    if let Some(coverage) = &policy.coverage {
        lines.extend(covered(name, coverage, policy));
    }
    if let Some(mutation) = &policy.mutation {
        lines.extend(changed(name, mutation));
    }
    lines.extend(
        policy
            .missed
            .iter()
            .map(|what| format!("FAILED `{name}`: {what}")),
    );
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn covered(name: &str, coverage: &Coverage, policy: &PolicyResult) -> Vec<String> {
    let total = coverage.total();
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let share = coverage.share(kind);
        let is_there = share.total > 0 || kind != Kind::Conditions;
        is_there.then(|| format!("{} {} of {}", kind.word(), share.covered, share.total))
    });
    let kinds: Vec<String> = kinds.collect();
    let mut lines = vec![format!(
        "coverage of `{name}`: {} ({})",
        percentage(total),
        kinds.join(", ")
    )];
    let missing = coverage.missing(policy.subject.description());
    lines.extend(missing.into_iter().map(|(_, what)| format!("  {what}")));
    lines
}

fn changed(name: &str, mutation: &Mutation) -> Vec<String> {
    let mut lines = vec![format!(
        "changes of `{name}`: {} noticed ({} of {})",
        percentage(mutation.share),
        mutation.share.covered,
        mutation.share.total
    )];
    let survivors = mutation.survivors.iter();
    lines.extend(survivors.map(|what| format!("  no case notices that {what}")));
    lines
}

fn summary(results: &Results<'_>) -> String {
    let (all, failed) = (results.ran().count(), results.failed().count());
    let broken = match results.broken.len() {
        0 => String::new(),
        broken => format!(", {} cannot be read", counted(broken, "file")),
    };
    format!(
        "{} in {}: {} passed, {failed} failed{broken}; {} in {:.2} s",
        cases(all),
        counted(results.files.len(), "file"),
        all - failed,
        results.ways,
        results.elapsed.as_secs_f64()
    )
}

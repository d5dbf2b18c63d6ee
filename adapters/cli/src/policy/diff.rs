//! `scopegate policy diff`: what two policies answer differently, and to whom.

mod met;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;
use clap::Args;
use scopegate_policy::{
    Decision, Grant, Outcome, Reason, Restriction, Rule,
    diff::{self, Change, Diff, Effect, Example, Group, Side},
    generate::{CASES_MAX, Generator},
};
use serde_json::{Value, json};

use self::met::Sources;
use super::subject::Subject;
use crate::{failure::Failure, output::Output};

const EXAMPLES: &str = "\
Examples:
  scopegate policy diff old.yaml policy.yaml
  scopegate policy diff kubeadapt policy.yaml --exit-code
  scopegate policy diff policy.wasm policy.yaml --output json
  scopegate policy diff old.yaml policy.yaml --tests policy.test.yaml --audit audit.jsonl

Each of the two is a document, a component (asked in the sandbox) or the name of a built-in
policy. Both are asked the same generated cases: every route of either, every role, with and
without the scope, restricted to clusters or not. The answers are those of a gate, in an
organization with three clusters. With `--tests` and `--audit` they are asked what test files ask and
what was asked of a gate as well, and each difference says where it was met. Each difference comes with its smallest example, in lines
that can be pasted into a file of tests.";

/// Show what two policies answer differently
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct DiffArgs {
    /// The policy that is there: a document, a component or the name of a built-in policy
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy that is to come
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    sources: Sources,
    /// Show at most this many differences; the others are counted
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// End with 1 when there are differences
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(args: &DiffArgs, output: Output) -> Result<()> {
    let old = Subject::open(&args.old)?;
    let new = Subject::open(&args.new)?;
    let generator = Generator::new(&[&old.description, &new.description]);
    let mut met = args.sources.read(&old.description, &new.description)?;
    let mut registered = generator.registered();
    registered.append(&mut met.registered);
    // First what was met: it has the first examples.
    let generated = generator.cases().take(CASES_MAX);
    let cases = met.cases.into_iter();
    let cases = cases.chain(generated.map(|case| (case, None)));
    let diff = diff::diff_of(&old.description, &new.description, cases, |side, case| {
        let subject = match side {
            Side::Old => &old,
            Side::New => &new,
        };
        let decision = subject.decide(&case.caller, &case.request, &registered);
        decision.unwrap_or_else(|_| fault())
    });
    let mut data = json!({
        "old": old.name,
        "new": new.name,
        "cases": diff.cases,
        "differing": diff.differing,
        "differences": diff.groups.iter().take(args.limit).collect::<Vec<_>>(),
        "left_out": left_out(&diff, args.limit),
        "changes": diff.changes,
    });
    if !args.sources.is_empty() {
        let sources = json!({
            "from_tests": met.tests,
            "from_audit": met.recorded,
            "not_asked": met.not_asked,
        });
        super::file::extend(&mut data, &sources);
    }
    output.print(&data, |data| text(data, &diff, args.limit))?;
    if args.exit_code && !diff.is_empty() {
        return Err(Failure::new("the policies differ").into());
    }
    Ok(())
}

/// Differences that are not shown.
fn left_out(diff: &Diff, limit: usize) -> usize {
    diff.groups.len().saturating_sub(limit)
}

fn text(data: &Value, diff: &Diff, limit: usize) -> String {
    let mut text = format!(
        "{} -> {}: {} of {} cases are answered differently\n",
        super::file::text(&data["old"]),
        super::file::text(&data["new"]),
        diff.differing,
        diff.cases
    );
    if let (Some(tests), Some(recorded)) =
        (data["from_tests"].as_u64(), data["from_audit"].as_u64())
    {
        line(
            &mut text,
            format_args!("{tests} of them are in files of tests, {recorded} were recorded"),
        );
        for (why, count) in data["not_asked"].as_object().into_iter().flatten() {
            line(
                &mut text,
                format_args!("{count} recorded ones cannot be asked: {why}"),
            );
        }
    }
    let mut shown = 0;
    for (effect, title) in [
        (Effect::Gains, "who gains"),
        (Effect::Loses, "who loses"),
        (Effect::Differs, "answered otherwise"),
    ] {
        let groups = diff.groups.iter().filter(|group| group.effect == effect);
        let groups: Vec<&Group> = groups.take(limit - shown).collect();
        if groups.is_empty() {
            continue;
        }
        shown += groups.len();
        line(&mut text, format_args!("\n{title}"));
        for group in groups {
            write_group(&mut text, group);
        }
    }
    if left_out(diff, limit) > 0 || diff.left_out > 0 {
        let more = left_out(diff, limit);
        let at_least = if diff.left_out > 0 { "at least " } else { "" };
        line(
            &mut text,
            format_args!("\n{at_least}{more} more: `--limit` shows them"),
        );
    }
    if !diff.changes.is_empty() {
        line(&mut text, format_args!("\ncatalogue and roles"));
        for change in &diff.changes {
            line(&mut text, format_args!("  {}", words(change)));
        }
    }
    text
}

fn write_group(text: &mut String, group: &Group) {
    let who: Vec<&str> = group.examples.iter().map(|one| one.who.as_str()).collect();
    let smallest = group.examples.first();
    line(
        text,
        format_args!("  {}: {}", route(group, smallest), who.join("; ")),
    );
    line(
        text,
        format_args!("    {} -> {}", group.before, group.after),
    );
    if group.met > 0 {
        let more = match group.met - group.places.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        line(
            text,
            format_args!("    met at {}{more}", group.places.join(", ")),
        );
    }
    let lines = smallest.map(|one| [&one.test_caller, &one.test_case]);
    for one in lines.into_iter().flatten().flatten() {
        line(text, format_args!("    {one}"));
    }
}

/// What a gate answers where the policy gives no answer that makes sense.
fn fault() -> Decision {
    Decision {
        outcome: Outcome::Deny(Reason::Other("policy-fault".to_owned())),
        rule: Rule {
            route: None,
            grant: Grant::None,
            restriction: Restriction::None,
        },
    }
}

/// The route, or both where they are not the same, or what was asked for where there is none.
fn route(group: &Group, smallest: Option<&Example>) -> String {
    match (&group.old_route, &group.new_route) {
        (Some(old), Some(new)) if old == new => old.clone(),
        (Some(old), Some(new)) => format!("{old} -> {new}"),
        (Some(old), None) => format!("{old} -> no route"),
        (None, Some(new)) => format!("no route -> {new}"),
        (None, None) => smallest.map_or_else(String::new, |one| {
            format!("{} {}", one.request.method, one.request.path)
        }),
    }
}

fn words(change: &Change) -> String {
    match change {
        Change::PermissionAdded { permission } => format!("`{permission}` is new"),
        Change::PermissionRemoved { permission } => format!("`{permission}` is gone"),
        Change::ScopeAllowed { permission } => format!("keys may carry `{permission}`"),
        Change::ScopeForbidden { permission } => {
            format!("keys may no longer carry `{permission}`")
        }
        Change::RoleAdded { role, permissions } => {
            format!("`{role}` is new, with {}", listed(permissions))
        }
        Change::RoleRemoved { role } => format!("`{role}` is gone"),
        Change::RoleGains { role, permissions } => {
            format!("`{role}` gains {}", listed(permissions))
        }
        Change::RoleLoses { role, permissions } => {
            format!("`{role}` loses {}", listed(permissions))
        }
        Change::ConditionChanged { of, before, after } => match (before, after) {
            (None, Some(after)) => format!("`{of}` has a condition: `{after}`"),
            (Some(before), None) => format!("`{of}` no longer has the condition `{before}`"),
            (before, after) => format!(
                "`{of}` has another condition: `{}`, not `{}`",
                after.as_deref().unwrap_or_default(),
                before.as_deref().unwrap_or_default()
            ),
        },
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Into memory: nothing can fail.
    let _ = writeln!(text, "{line}");
}

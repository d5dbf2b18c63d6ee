//! A replay for people.

use std::fmt::Write as _;

use scopegate_host::{
    audit::{Outcome, Visible},
    replay::{Answer, Way},
};

use super::{Difference, Summary};
use crate::policy::recorded::Policies;

pub(super) fn render(summary: &Summary, policies: &Policies, way: Way) -> String {
    let mut text = String::new();
    let identical = summary.identical();
    let replayed = identical + summary.different_count as u64;
    let where_to = match way {
        Way::Component => "in the component",
        Way::Native => "natively where there is a document",
    };
    let took = summary.took.as_secs_f64();
    line(
        &mut text,
        format_args!("{replayed} replayed {where_to}, {identical} identical, in {took:.1} s"),
    );
    for (digest, count) in &summary.identical {
        let name = policies.library.name(digest).unwrap_or_default();
        line(&mut text, format_args!("  {count} of {digest}: {name}"));
    }
    counted(&mut text, "not found", "of", &summary.missing);
    let not_replayable = &summary.not_replayable;
    counted(&mut text, "not replayable", "because", not_replayable);
    counted(
        &mut text,
        "not decided by a policy",
        "as",
        &summary.undecided,
    );
    if summary.changes > 0 {
        line(&mut text, format_args!("{} changes", summary.changes));
    }
    if summary.different_count > 0 {
        let count = summary.different_count;
        line(&mut text, format_args!("\n{count} different"));
    }
    summary
        .different
        .iter()
        .for_each(|one| difference(&mut text, one));
    let more = summary.different_count - summary.different.len();
    if more > 0 {
        line(&mut text, format_args!("{more} more: `--limit` shows them"));
    }
    text
}

fn counted(
    text: &mut String,
    what: &str,
    joined: &str,
    counts: &std::collections::BTreeMap<String, u64>,
) {
    let all: u64 = counts.values().sum();
    if all > 0 {
        line(text, format_args!("{all} {what}"));
    }
    for (key, count) in counts {
        line(text, format_args!("  {count} {joined} {key}"));
    }
}

fn difference(text: &mut String, one: &Difference) {
    let recorded = &one.recorded;
    let request = &recorded.request;
    line(
        text,
        format_args!(
            "  {}: {} {}, request {}",
            one.place, request.method, request.path, recorded.request_id
        ),
    );
    line(
        text,
        format_args!("    recorded: {}", answer(&recorded.answer)),
    );
    match &one.now {
        Ok(now) => line(text, format_args!("    replayed: {}", answer(now))),
        Err(why) => line(text, format_args!("    replayed: the policy failed: {why}")),
    }
}

fn answer(answer: &Answer) -> String {
    let outcome = match answer.outcome {
        Outcome::Admit => "admit",
        Outcome::Refuse => "refuse",
    };
    let mut text = outcome.to_owned();
    for part in [&answer.reason, &answer.about].into_iter().flatten() {
        text.push_str(&format!(" {part}"));
    }
    match &answer.visible {
        None => {}
        Some(Visible::All) => text.push_str(", visible *"),
        Some(Visible::Only(ids)) => text.push_str(&format!(", visible [{}]", ids.join(", "))),
        Some(Visible::Hashed { count, sha256 }) => {
            text.push_str(&format!(", visible {count} of sha256:{sha256}"));
        }
    }
    let rule = serde_json::to_string(&answer.rule).unwrap_or_default();
    format!("{text}, rule {rule}")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Into memory: nothing can fail.
    let _ = writeln!(text, "{line}");
}

//! `scopegate policy replay`: recorded requests, decided again.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use scopegate_host::replay::{Answer, Entry, Recorded, Replayed, Way, WhyNot, decide_again};
use serde_json::{Value, json};

use super::{
    limits::LimitsProfile,
    recorded::{Place, Policies, each_line},
};
use crate::{
    Common,
    failure::Failure,
    output::{Output, note},
};

mod text;

const EXAMPLES: &str = "\
Examples:
  scopegate policy replay audit.jsonl
  scopegate policy replay audit.jsonl --policy policy.wasm --policy old-policies/
  scopegate audit search --limit 100000 --output json | scopegate policy replay -
  scopegate policy replay audit.jsonl --allow-missing --allow-redacted --output json

Each record that a policy decided is put to that policy again, which is found by its digest: among
the files of --policy, in the store of the configuration where there is one, and among the built-in
ones. The component is asked in the sandbox, as the gate asked it. The exit code is 0 only if every
answer is the recorded one: outcome, reason and what it is about, rule, and visible clusters.";

/// Of a record that has no answer of a policy.
const NOT_LET_IN: &str = "this is no record of the audit: no policy decided this request, and at its path the gate itself lets nobody in";

/// Decide recorded requests again and prove that each answer is the recorded one
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Replay {
    /// Records of the audit, as JSON lines; `-` is standard input
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// A component, a document, or a directory of them, repeatable
    #[arg(long = "policy", value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// Records whose policy is not found are counted, and no failure
    #[arg(long)]
    allow_missing: bool,
    /// Records of which something looked like a secret and was not written are counted, and no failure
    #[arg(long)]
    allow_redacted: bool,
    /// Ask documents natively, which is faster and proves less
    #[arg(long)]
    native: bool,
    /// What a policy gets in the sandbox
    #[arg(long, value_enum, default_value_t)]
    limits: LimitsProfile,
    /// Show at most this many differences and broken lines; the others are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// A record whose answer is not what was recorded.
struct Difference {
    place: Place,
    recorded: Box<Recorded>,
    /// The answer now, or how the policy failed.
    now: Result<Box<Answer>, String>,
}

/// What came of all of them.
#[derive(Default)]
struct Summary {
    /// Those shown, and how many there are.
    different: Vec<Difference>,
    different_count: usize,
    broken: Vec<(Place, String)>,
    broken_count: usize,
    /// Identical ones by digest.
    identical: BTreeMap<String, u64>,
    /// By digest.
    missing: BTreeMap<String, u64>,
    /// By the reason why not.
    not_replayable: BTreeMap<String, u64>,
    /// How many of those only because something was redacted.
    redacted: u64,
    /// By reason.
    undecided: BTreeMap<String, u64>,
    changes: u64,
    took: Duration,
}

pub(super) async fn run(replay: Replay, common: &Common) -> Result<()> {
    let began = Instant::now();
    let way = match replay.native {
        true => Way::Native,
        false => Way::Component,
    };
    let mut policies = Policies::open(&replay.policies, &common.config, replay.limits.limits())?;
    let mut summary = Summary::default();
    // Read in pieces: a log may be larger than the memory.
    let (lines, mut read) = tokio::sync::mpsc::channel(1024);
    let logs = replay.logs.clone();
    let reading = tokio::task::spawn_blocking(move || {
        each_line(&logs, |place, text| {
            let entry = scopegate_host::replay::read(text);
            // Whoever no longer listens has failed already.
            let _ = lines.blocking_send((place, entry));
            Ok(())
        })
    });
    while let Some((place, entry)) = read.recv().await {
        match entry {
            Ok(Entry::LetIn(path)) if !policies.lets_in(&path)? => {
                summary.put_broken(place, NOT_LET_IN.to_owned(), replay.limit);
            }
            Ok(entry) => {
                summary
                    .put(place, entry, &mut policies, way, replay.limit)
                    .await?;
            }
            Err(bad) => summary.put_broken(place, bad.to_string(), replay.limit),
        }
    }
    reading.await??;
    summary.took = began.elapsed();
    if common.output == Output::Text {
        for (place, what) in &summary.broken {
            note(&format!("error: {place}: {what}"));
        }
    }
    let shown = summary.shown(&policies, way);
    common
        .output
        .print(&shown, |_| text::render(&summary, &policies, way))?;
    summary.conclusion(&replay)
}

impl Summary {
    fn put_broken(&mut self, place: Place, what: String, limit: usize) {
        self.broken_count += 1;
        if self.broken.len() < limit {
            self.broken.push((place, what));
        }
    }

    async fn put(
        &mut self,
        place: Place,
        entry: Entry,
        policies: &mut Policies,
        way: Way,
        limit: usize,
    ) -> Result<()> {
        let recorded = match entry {
            Entry::Decided(recorded) => recorded,
            Entry::Unknown { why, .. } => {
                self.redacted += u64::from(matches!(why, WhyNot::Redacted(_)));
                count(&mut self.not_replayable, &why.to_string());
                return Ok(());
            }
            Entry::Undecided(reason) => {
                count(&mut self.undecided, &reason);
                return Ok(());
            }
            Entry::LetIn(_) => {
                count(&mut self.undecided, "admitted by the gate itself");
                return Ok(());
            }
            Entry::Change => {
                self.changes += 1;
                return Ok(());
            }
        };
        if !policies.find(&recorded.policy).await? {
            count(&mut self.missing, &recorded.policy);
            return Ok(());
        }
        let replayed = match policies.library.get(&recorded.policy) {
            Some(Ok(known)) => decide_again(&recorded, known, way).await,
            Some(Err(bad)) => Replayed::Failed(bad.to_string()),
            None => Replayed::Failed("there is no policy".to_owned()),
        };
        let now = match replayed {
            Replayed::Identical => {
                count(&mut self.identical, &recorded.policy);
                return Ok(());
            }
            Replayed::Different(answer) => Ok(answer),
            Replayed::Failed(why) => Err(why),
        };
        self.different_count += 1;
        if self.different.len() < limit {
            self.different.push(Difference {
                place,
                recorded,
                now,
            });
        }
        Ok(())
    }

    fn identical(&self) -> u64 {
        self.identical.values().sum()
    }

    /// For programs.
    fn shown(&self, policies: &Policies, way: Way) -> Value {
        let different = self.different.iter().map(|one| {
            let (answer, failed) = match &one.now {
                Ok(answer) => (Some(answer), None),
                Err(why) => (None, Some(why)),
            };
            json!({
                "log": one.place.log,
                "line": one.place.line,
                "request_id": one.recorded.request_id,
                "policy": one.recorded.policy,
                "caller": one.recorded.caller,
                "request": one.recorded.request,
                "recorded": one.recorded.answer,
                "replayed": answer,
                "failed": failed,
            })
        });
        let identical = self.identical.iter().map(|(digest, count)| {
            json!({ "digest": digest, "from": policies.library.name(digest), "records": count })
        });
        let broken = self.broken.iter();
        let broken = broken
            .map(|(place, what)| json!({ "log": place.log, "line": place.line, "error": what }));
        json!({
            "in": words(way),
            "replayed": self.identical() + self.different_count as u64,
            "identical": self.identical(),
            "different": self.different_count,
            "differences": different.collect::<Vec<_>>(),
            "policies": identical.collect::<Vec<_>>(),
            "missing": self.missing,
            "not_replayable": self.not_replayable,
            "undecided": self.undecided,
            "changes": self.changes,
            "broken": self.broken_count,
            "broken_lines": broken.collect::<Vec<_>>(),
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn conclusion(&self, replay: &Replay) -> Result<()> {
        let plural = |count: u64, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        if self.broken_count > 0 {
            let lines = plural(self.broken_count as u64, "line is", "lines are");
            return Err(Failure::new(format!("{lines} no record"))
                .help("the last line of a log may be half written while a server runs")
                .into());
        }
        if self.different_count > 0 {
            let answers = plural(self.different_count as u64, "answer is", "answers are");
            return Err(Failure::new(format!("{answers} not the recorded one"))
                .help("`scopegate audit verify` says whether the record was changed")
                .into());
        }
        let left: u64 = self.not_replayable.values().sum();
        let failed = match replay.allow_redacted {
            true => left - self.redacted,
            false => left,
        };
        if failed > 0 {
            let records = plural(failed, "record cannot", "records cannot");
            let failure = Failure::new(format!("{records} be decided again"));
            let is_help = self.redacted > 0 && !replay.allow_redacted;
            let redacted = self.redacted;
            return Err(match is_help {
                true => failure.help(format!(
                    "anybody can ask for what looks like a secret: `--allow-redacted` leaves out {redacted} such"
                )),
                false => failure,
            }
            .into());
        }
        let missing: u64 = self.missing.values().sum();
        if missing > 0 && !replay.allow_missing {
            let records = plural(missing, "record is", "records are");
            return Err(
                Failure::new(format!("{records} of a policy that is not found"))
                    .help("name its file with `--policy`, or leave it out with `--allow-missing`")
                    .into(),
            );
        }
        Ok(())
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(counts.insert(key.to_owned(), 1)),
    }
}

fn words(way: Way) -> &'static str {
    match way {
        Way::Component => "component",
        Way::Native => "native",
    }
}

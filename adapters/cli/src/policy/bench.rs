//! `scopegate policy bench`: what a decision costs on this machine.

mod questions;

use std::{
    future::Future,
    hint::black_box,
    path::PathBuf,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use scopegate_host::engine::{CallerRef, Isolation, Policy};
use scopegate_policy::{Outcome, decide, packed::RequestRef};
use serde_json::{Value, json};

use self::questions::{Asked, questions};
use super::subject::{POLICY_HELP, Subject, load};
use crate::output::{Output, cell, note, table};

const EXAMPLES: &str = "\
Examples:
  scopegate policy bench policy.yaml
  scopegate policy bench policy.wasm --seconds 5 --output json

The questions are made from the policy's own routes and roles: sessions, and keys on one cluster.
Each decision is timed by itself, and what the clock costs is taken off. A document is measured
natively and as the component that it is compiled to; a component that was not built from a
document always runs in fresh instances.";

/// Calls of an instance before it is retired, as a server keeps them.
const CALLS_MAX: u32 = 10_000;

/// Measure what a decision costs on this machine
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bench {
    #[arg(value_name = "POLICY", help = POLICY_HELP)]
    policy: PathBuf,
    /// How long each row is measured
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

pub(super) fn run(bench: &Bench, output: Output) -> Result<()> {
    let subject = Subject::open(&bench.policy)?;
    let component = subject.component()?;
    let asked = questions(&subject.description);
    let duration = Duration::from_secs(bench.seconds);
    let mut rows = Vec::new();
    let mut allowed = 0;
    if let Some(document) = &subject.document {
        let tables = &document.tables;
        let native = |asked: &Asked| {
            let decision = decide(tables, &asked.caller, &asked.request);
            Ok(matches!(decision.outcome, Outcome::Allow(_)))
        };
        rows.push(row("native", &measure(&asked, duration, native)?));
    }
    let fresh = load(&component, Isolation::Fresh)?;
    for asked in &asked {
        allowed += usize::from(ask(&fresh, asked)?);
    }
    let measured = measure(&asked, duration, |asked| ask(&fresh, asked))?;
    rows.push(row("component, fresh instance", &measured));
    if fresh.is_from_document() {
        let calls_max = CALLS_MAX;
        let pooled = load(&component, Isolation::Pooled { calls_max })?;
        // The first call packs the caller for this policy.
        for asked in &asked {
            ask(&pooled, asked)?;
        }
        let measured = measure(&asked, duration, |asked| ask(&pooled, asked))?;
        rows.push(row("component, pooled instance", &measured));
    }
    if cfg!(debug_assertions) {
        note("this program was built without optimisation: these figures are no policy's");
    }
    let shown = json!({
        "policy": subject.description.name,
        "digest": fresh.digest(),
        "routes": subject.description.routes.len(),
        "questions": asked.len(),
        "allowed": allowed,
        "rows": rows,
    });
    output.print(&shown, |shown| {
        let (name, digest) = (cell(&shown["policy"]), cell(&shown["digest"]));
        let of = format!("{} questions, {} of them allowed", asked.len(), allowed);
        let columns = ["decision", "median_ns", "p99_ns", "iterations"];
        let rows = table(&columns, &shown["rows"], "");
        format!("policy `{name}`, {digest}\n{of}\n\n{rows}")
    })
}

/// Nanoseconds of single decisions.
struct Measured {
    iterations: usize,
    median_ns: u64,
    p99_ns: u64,
}

fn row(decision: &str, measured: &Measured) -> Value {
    json!({
        "decision": decision,
        "iterations": measured.iterations,
        "median_ns": measured.median_ns,
        "p99_ns": measured.p99_ns,
    })
}

/// Asks all questions in turn, again and again, for so long; a tenth of the time before it warms up.
fn measure(
    asked: &[Asked],
    duration: Duration,
    decide: impl Fn(&Asked) -> Result<bool>,
) -> Result<Measured> {
    /// Enough for a p99, whatever the machine.
    const SAMPLES_MAX: usize = 4_000_000;
    let warm_until = Instant::now() + duration / 10;
    for asked in asked.iter().cycle() {
        black_box(decide(asked)?);
        if Instant::now() >= warm_until {
            break;
        }
    }
    let clock_ns = clock_ns();
    let mut samples = Vec::new();
    let until = Instant::now() + duration;
    for asked in asked.iter().cycle() {
        let start = Instant::now();
        black_box(decide(black_box(asked))?);
        let end = Instant::now();
        samples.push(nanoseconds(end - start).saturating_sub(clock_ns));
        if end >= until || samples.len() >= SAMPLES_MAX {
            break;
        }
    }
    samples.sort_unstable();
    let at = |percent: usize| {
        let place = samples.len().saturating_sub(1) * percent / 100;
        samples.get(place).copied().unwrap_or_default()
    };
    Ok(Measured {
        iterations: samples.len(),
        median_ns: at(50),
        p99_ns: at(99),
    })
}

/// What looking at the clock twice costs.
fn clock_ns() -> u64 {
    let mut samples: Vec<u64> = (0..1001)
        .map(|_| {
            let start = Instant::now();
            nanoseconds(start.elapsed())
        })
        .collect();
    samples.sort_unstable();
    samples.get(500).copied().unwrap_or_default()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn ask(policy: &Policy, asked: &Asked) -> Result<bool> {
    let caller = CallerRef {
        caller: &asked.caller,
        packed: &asked.packed,
    };
    let decision = finish(policy.decide(&caller, &RequestRef::from(&asked.request)))?;
    Ok(matches!(decision.outcome, Outcome::Allow(_)))
}

/// What a future gives, polled until it does: one decision at a time never waits for a place.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        thread::yield_now();
    }
}

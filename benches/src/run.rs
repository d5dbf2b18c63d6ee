//! Everything, one thing after the other, into the rows of the table.

use anyhow::Result;
use scopegate_host::engine::Isolation;

use crate::{
    decide::{self, Deciders},
    gate::GateWithKey,
    http,
    measure::{Effort, Subject, nanoseconds, two_threads_over_one},
    peers,
    questions::{key, questions, requests_over},
    table::{
        Bound::{AtLeast, AtMost},
        Row,
    },
};

const MICROS: &str = "µs";

/// Measures everything.
///
/// # Errors
/// When a decider gives a wrong answer, or something that is measured cannot be set up.
pub fn everything(effort: Effort, with_http: bool) -> Result<Vec<Row>> {
    let deciders = Deciders::new(10)?;
    peers::check(|question| deciders.subjects(question))?;
    peers::check(peers::subjects)?;
    let mut rows = decisions(&deciders, effort)?;
    rows.extend(threads(&deciders, effort));
    rows.extend(whole_gate(effort)?);
    rows.extend(growth(&deciders, effort)?);
    if with_http {
        rows.extend(over_http(effort)?);
    }
    Ok(rows)
}

/// The decision itself, ours and the peers', in turns.
fn decisions(deciders: &Deciders, effort: Effort) -> Result<Vec<Row>> {
    let mut subjects = Vec::new();
    let mut theirs = 0;
    if let Some(question) = questions().first() {
        subjects = deciders.subjects(question)?;
        theirs = subjects.len();
        subjects.extend(peers::subjects(question)?);
    }
    let micros: Vec<f64> = nanoseconds(&mut subjects, effort)
        .into_iter()
        .map(|nanos| nanos / 1e3)
        .collect();
    let taken = |name: &str| {
        subjects
            .iter()
            .zip(&micros)
            .find(|(subject, _)| subject.name == name)
            .map_or(f64::NAN, |(_, &micros)| micros)
    };
    let (fresh, pooled) = (taken(decide::FRESH), taken(decide::POOLED));
    let (best_name, best) = subjects
        .iter()
        .zip(&micros)
        .skip(theirs)
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map_or(("", f64::NAN), |(subject, &micros)| {
            (subject.name.as_str(), micros)
        });
    let mut rows: Vec<Row> = subjects
        .iter()
        .zip(&micros)
        .map(|(subject, &micros)| match target_of(&subject.name) {
            Some(bound) => Row::bounded(format!("decide: {}", subject.name), micros, MICROS, bound),
            None => Row::figure(format!("decide: {}", subject.name), micros, MICROS),
        })
        .collect();
    rows.push(Row::compared(
        format!("decide: times as fast as the best peer ({best_name}), pooled"),
        pooled,
        MICROS,
        best / pooled,
        AtLeast(5.0),
    ));
    rows.push(Row::compared(
        "decide: times as fast as cedar-policy with its inputs built, fresh",
        fresh,
        MICROS,
        taken(peers::CEDAR_BUILT) / fresh,
        AtLeast(3.0),
    ));
    Ok(rows)
}

fn target_of(name: &str) -> Option<crate::table::Bound> {
    match name {
        decide::FRESH => Some(AtMost(5.0)),
        decide::POOLED => Some(AtMost(0.5)),
        decide::TYPED_POOLED => Some(AtMost(1.5)),
        _ => None,
    }
}

/// Two threads against one.
fn threads(deciders: &Deciders, effort: Effort) -> Vec<Row> {
    let Some(question) = questions().into_iter().next() else {
        return Vec::new();
    };
    let requests = || vec![question.request.clone()];
    let fresh = two_threads_over_one(|| deciders.fresh(&question.caller, requests()), effort);
    let pooled = two_threads_over_one(|| deciders.pooled(&question.caller, requests()), effort);
    vec![
        Row::compared(
            "two threads against one, fresh instances",
            fresh.per_second / 1e3,
            "1000/s",
            fresh.ratio,
            AtLeast(1.8),
        ),
        Row {
            ratio: Some(pooled.ratio),
            ..Row::figure(
                "two threads against one, pooled instances",
                pooled.per_second / 1e3,
                "1000/s",
            )
        },
    ]
}

/// From credential to audit record, with the policy in fresh instances and in kept ones.
fn whole_gate(effort: Effort) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _within = runtime.enter();
    let fresh = runtime.block_on(GateWithKey::new(Isolation::Fresh))?;
    let pooled = runtime.block_on(GateWithKey::new(decide::KEPT))?;
    let mut subjects = [
        Subject::new("gate: warm, API key, fresh instance", fresh.checking()?),
        Subject::new("gate: warm, API key, pooled instance", pooled.checking()?),
    ];
    for subject in &mut subjects {
        anyhow::ensure!(
            (subject.decide)(),
            "`{}` refuses what it should admit",
            subject.name
        );
    }
    let nanos = nanoseconds(&mut subjects, effort);
    let [fresh, pooled] = &subjects;
    let taken = |index: usize| nanos.get(index).map_or(f64::NAN, |nanos| nanos / 1e3);
    Ok(vec![
        Row::bounded(fresh.name.as_str(), taken(0), MICROS, AtMost(6.0)),
        Row::figure(pooled.name.as_str(), taken(1), MICROS),
    ])
}

/// Many routes, and many clusters on the key.
fn growth(ten: &Deciders, effort: Effort) -> Result<Vec<Row>> {
    let caller = key(["prod", "staging"]);
    let mut subjects = Vec::new();
    for routes in [10, 100, 1_000, 10_000] {
        let deciders = if routes == 10 {
            ten.clone()
        } else {
            Deciders::new(routes)?
        };
        let requests = requests_over(routes, 64);
        subjects.push(Subject::new(
            format!("{routes} routes, pooled"),
            deciders.pooled(&caller, requests.clone()),
        ));
        subjects.push(Subject::new(
            format!("{routes} routes, fresh"),
            deciders.fresh(&caller, requests),
        ));
    }
    for clusters in [1, 100, 1_000] {
        // `prod` in the middle of the others.
        let ids = (1..clusters)
            .map(|index| format!("{}-{index:04}", if index % 2 == 0 { "a" } else { "z" }));
        let caller = key(ids.chain(["prod".to_owned()]));
        let requests = requests_over(10, 0);
        subjects.push(Subject::new(
            format!("{clusters} allowed clusters, pooled"),
            ten.pooled(&caller, requests.clone()),
        ));
        subjects.push(Subject::new(
            format!("{clusters} allowed clusters, fresh"),
            ten.fresh(&caller, requests),
        ));
    }
    for subject in &mut subjects {
        anyhow::ensure!(
            (subject.decide)(),
            "`{}` refuses what it should allow",
            subject.name
        );
    }
    let micros: Vec<f64> = nanoseconds(&mut subjects, effort)
        .into_iter()
        .map(|nanos| nanos / 1e3)
        .collect();
    let taken = |name: &str| {
        subjects
            .iter()
            .zip(&micros)
            .find(|(subject, _)| subject.name == name)
            .map_or(f64::NAN, |(_, &micros)| micros)
    };
    Ok(subjects
        .iter()
        .zip(&micros)
        .map(|(subject, &micros)| {
            let name = format!("decide: {}", subject.name);
            match subject.name.split_once(" routes, ") {
                Some(("10000", mode)) => {
                    let ratio = micros / taken(&format!("10 routes, {mode}"));
                    Row::compared(
                        format!("{name}, against 10"),
                        micros,
                        MICROS,
                        ratio,
                        AtMost(1.5),
                    )
                }
                _ => Row::figure(name, micros, MICROS),
            }
        })
        .collect())
}

/// The server with the gate and without.
fn over_http(effort: Effort) -> Result<Vec<Row>> {
    let comparison = http::compare(effort)?;
    Ok(vec![
        Row::figure(
            "proxy: without the gate",
            comparison.plain_per_second,
            "requests/s",
        ),
        Row::compared(
            "proxy: with the gate",
            comparison.gated_per_second,
            "requests/s",
            comparison.throughput_ratio,
            AtLeast(0.85),
        ),
        Row::figure(
            "proxy: server CPU per request without the gate",
            comparison.plain_cpu_micros,
            MICROS,
        ),
        Row::figure(
            "proxy: server CPU per request with the gate",
            comparison.gated_cpu_micros,
            MICROS,
        ),
        Row::bounded(
            "proxy: server CPU per request that the gate adds",
            comparison.added_cpu_micros,
            MICROS,
            AtMost(8.0),
        ),
    ])
}

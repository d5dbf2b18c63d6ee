//! How time is taken: warm up, take turns, and report the median.
//!
//! Subjects that are compared run in turns, a few milliseconds each, so that whatever else the machine does
//! falls on all of them alike, and a figure is the median of its turns.

use std::{
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Something to be timed: one call is one decision, and says whether it allowed.
pub struct Subject {
    /// As it appears in reports.
    pub name: String,
    /// One decision.
    pub decide: Box<dyn FnMut() -> bool>,
}

impl Subject {
    /// A subject of this name.
    pub fn new(name: impl Into<String>, decide: impl FnMut() -> bool + 'static) -> Self {
        Self {
            name: name.into(),
            decide: Box::new(decide),
        }
    }
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Turns of each subject.
    pub turns: usize,
    /// The length of a turn.
    pub turn: Duration,
    /// Pairs of runs of the HTTP comparison.
    pub http_pairs: usize,
    /// The length of one run of the HTTP comparison.
    pub http_run: Duration,
}

impl Effort {
    /// For figures that are published.
    pub const FULL: Self = Self {
        turns: 41,
        turn: Duration::from_millis(20),
        http_pairs: 9,
        http_run: Duration::from_secs(3),
    };
    /// For a look in between.
    pub const QUICK: Self = Self {
        turns: 11,
        turn: Duration::from_millis(8),
        http_pairs: 3,
        http_run: Duration::from_secs(1),
    };
}

/// Nanoseconds of one call for each subject, in their order.
pub fn nanoseconds(subjects: &mut [Subject], effort: Effort) -> Vec<f64> {
    let batches: Vec<u64> = subjects
        .iter_mut()
        .map(|subject| batch_for(&mut *subject.decide, effort.turn))
        .collect();
    let mut turns = vec![Vec::with_capacity(effort.turns); subjects.len()];
    for _ in 0..effort.turns {
        for ((subject, &batch), taken) in subjects.iter_mut().zip(&batches).zip(&mut turns) {
            taken.push(time_batch(&mut *subject.decide, batch));
        }
    }
    turns.into_iter().map(median).collect()
}

/// What two threads do together, and against one.
#[derive(Clone, Copy, Debug)]
pub struct TwoThreads {
    /// Calls per second of both.
    pub per_second: f64,
    /// Against one thread alone.
    pub ratio: f64,
}

/// Two threads against one, in turns. `make` gives each thread its own decider.
pub fn two_threads_over_one<F>(make: impl Fn() -> F + Sync, effort: Effort) -> TwoThreads
where
    F: FnMut() -> bool,
{
    let turn = effort.turn * 5;
    let runs: Vec<(f64, f64)> = (0..effort.turns / 2)
        .map(|_| (calls_within(&make, 1, turn), calls_within(&make, 2, turn)))
        .collect();
    TwoThreads {
        per_second: median(runs.iter().map(|(_, two)| *two).collect()),
        ratio: median(runs.iter().map(|(one, two)| two / one).collect()),
    }
}

/// The middle value; of none, not a number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(&upper), 0) => {
            let lower = values.get(middle.wrapping_sub(1)).copied().unwrap_or(upper);
            f64::midpoint(lower, upper)
        }
        (Some(&value), _) => value,
        (None, _) => f64::NAN,
    }
}

/// How many calls fill a turn, found out while warming up for several turns.
fn batch_for(decide: &mut dyn FnMut() -> bool, turn: Duration) -> u64 {
    let start = Instant::now();
    let mut calls = 0u64;
    while start.elapsed() < turn * 4 {
        for _ in 0..16 {
            black_box(decide());
        }
        calls += 16;
    }
    (calls / 4).max(1)
}

/// Nanoseconds of one call within a batch.
fn time_batch(decide: &mut dyn FnMut() -> bool, batch: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..batch {
        black_box(decide());
    }
    start.elapsed().as_nanos() as f64 / batch as f64
}

/// Calls per second of so many threads together.
fn calls_within<F>(make: &(impl Fn() -> F + Sync), threads: usize, duration: Duration) -> f64
where
    F: FnMut() -> bool,
{
    let (ready, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        let work = || {
            let mut decide = make();
            for _ in 0..1000 {
                black_box(decide());
            }
            ready.wait();
            let start = Instant::now();
            let mut calls = 0u64;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..64 {
                    black_box(decide());
                }
                calls += 64;
            }
            calls as f64 / start.elapsed().as_secs_f64()
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        ready.wait();
        thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or(f64::NAN))
            .sum()
    })
}

//! Our own deciders: on every question, with many routes, with many clusters on the key, and on two threads.

use std::{thread, time::Instant};

use anyhow::Result;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use scopegate_benches::{
    decide::Deciders,
    peers,
    questions::{key, questions, requests_over},
};

fn main() -> Result<()> {
    let deciders = Deciders::new(10)?;
    peers::check(|question| deciders.subjects(question))?;
    let mut criterion = Criterion::default().configure_from_args();
    for question in questions() {
        let mut group = criterion.benchmark_group(format!("decide/{}", question.name));
        for mut subject in deciders.subjects(&question)? {
            group.bench_function(&subject.name, |bencher| bencher.iter(&mut subject.decide));
        }
        group.finish();
    }
    routes(&mut criterion)?;
    clusters(&mut criterion, &deciders);
    threads(&mut criterion, &deciders);
    criterion.final_summary();
    Ok(())
}

fn routes(criterion: &mut Criterion) -> Result<()> {
    let caller = key(["prod", "staging"]);
    let mut group = criterion.benchmark_group("decide/routes");
    for routes in [10, 100, 1_000, 10_000] {
        let deciders = Deciders::new(routes)?;
        let requests = requests_over(routes, 64);
        group.bench_function(format!("{routes}, pooled"), |bencher| {
            bencher.iter(deciders.pooled(&caller, requests.clone()));
        });
        group.bench_function(format!("{routes}, fresh"), |bencher| {
            bencher.iter(deciders.fresh(&caller, requests.clone()));
        });
    }
    group.finish();
    Ok(())
}

fn clusters(criterion: &mut Criterion, deciders: &Deciders) {
    let mut group = criterion.benchmark_group("decide/allowed clusters");
    for count in [1, 100, 1_000] {
        let caller = key((1..count)
            .map(|index| format!("other-{index:04}"))
            .chain(["prod".to_owned()]));
        let requests = requests_over(10, 0);
        group.bench_function(format!("{count}, pooled"), |bencher| {
            bencher.iter(deciders.pooled(&caller, requests.clone()));
        });
        group.bench_function(format!("{count}, fresh"), |bencher| {
            bencher.iter(deciders.fresh(&caller, requests.clone()));
        });
    }
    group.finish();
}

/// The time of one decision while so many threads make them: with two, half of what each of them needs.
fn threads(criterion: &mut Criterion, deciders: &Deciders) {
    let caller = key(["prod", "staging"]);
    let mut group = criterion.benchmark_group("decide/threads");
    group.throughput(Throughput::Elements(1));
    for count in [1, 2] {
        together(&mut group, &format!("{count}, pooled"), count, || {
            deciders.pooled(&caller, requests_over(10, 0))
        });
        together(&mut group, &format!("{count}, fresh"), count, || {
            deciders.fresh(&caller, requests_over(10, 0))
        });
    }
    group.finish();
}

fn together<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    threads: u64,
    make: impl Fn() -> F + Sync,
) where
    F: FnMut() -> bool,
{
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|calls| {
            let start = Instant::now();
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let mut decide = make();
                        for _ in 0..calls.div_ceil(threads) {
                            std::hint::black_box(decide());
                        }
                    });
                }
            });
            start.elapsed()
        });
    });
}

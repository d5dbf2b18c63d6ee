//! The peers on every question.

use anyhow::Result;
use criterion::Criterion;
use scopegate_benches::{peers, questions::questions};

fn main() -> Result<()> {
    peers::check(peers::subjects)?;
    let mut criterion = Criterion::default().configure_from_args();
    for question in questions() {
        let mut group = criterion.benchmark_group(format!("peers/{}", question.name));
        for mut subject in peers::subjects(&question)? {
            group.bench_function(&subject.name, |bencher| bencher.iter(&mut subject.decide));
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

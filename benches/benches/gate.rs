//! The whole gate, warm, with an API key.

use anyhow::Result;
use criterion::Criterion;
use scopegate_benches::gate::GateWithKey;
use scopegate_host::engine::Isolation;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _within = runtime.enter();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("gate");
    for (name, isolation) in [
        ("fresh instance", Isolation::Fresh),
        ("pooled instance", Isolation::Pooled { calls_max: 10_000 }),
    ] {
        let ready = runtime.block_on(GateWithKey::new(isolation))?;
        let mut check = ready.checking()?;
        anyhow::ensure!(check(), "the gate refuses what it should admit");
        group.bench_function(name, |bencher| bencher.iter(&mut check));
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

//! `kill -9` at any moment: what was acknowledged is there after the restart, what was not is there whole or not at all.

mod ledger;
pub(super) mod server;
mod store;
mod work;

use std::time::{Duration, Instant};

use super::figures::{Spread, rounds};
use crate::{
    cli::binary::{run, text},
    harness::{Upstream, random::Random},
};
use ledger::Ledger;
use server::Gate;
use work::Desk;

/// Until the process is killed, at most.
const WORK_MS: u64 = 400;
/// Keys and clusters that are looked at again after each restart; all of them after the last.
const SAMPLE: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let (mut random, seed) = Random::seeded();
    println!("SCOPEGATE_SEED={seed}");
    // For the client; a server in this process would have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream = Upstream::start().await;
    upstream.streams(|_| async { crate::harness::json_reply(200, serde_json::json!({})) });
    let gate = Gate::init(&upstream.url);
    let ledger = Ledger::default();
    let mut startups = Spread::default();
    let rounds = rounds(5, 200);
    for round in 0..rounds {
        if random.below(8) == 0 {
            // As early as that: while it opens the store, or as soon as it listens.
            let server = gate.start();
            tokio::time::sleep(Duration::from_millis(random.below(300))).await;
            server.kill();
        }
        let begun = Instant::now();
        let mut server = gate.start();
        server.listening().await;
        startups.add(begun.elapsed());
        let desk = Desk::open(&server, &gate, &ledger, round, random.fork()).await;
        desk.check(SAMPLE).await;
        let killed = async {
            tokio::time::sleep(Duration::from_millis(random.below(WORK_MS))).await;
            server.kill();
        };
        tokio::join!(desk.work(), killed);
        store::is_whole(&gate).await;
        audit_is_clean(&gate);
    }
    let mut server = gate.start();
    server.listening().await;
    let desk = Desk::open(&server, &gate, &ledger, rounds, random.fork()).await;
    desk.check(usize::MAX).await;
    server.kill();
    println!("{rounds} rounds of kill -9: {}", ledger.counts());
    println!("from the start of the process to its first answer {startups}");
}

/// What `scopegate audit verify` says of the store as the kill left it, with the key and the heads beside it.
fn audit_is_clean(gate: &Gate) {
    let verified = run(gate.directory.path(), &["audit", "verify"]);
    assert!(
        verified.status.success(),
        "{}{}",
        text(&verified.stdout),
        text(&verified.stderr)
    );
}

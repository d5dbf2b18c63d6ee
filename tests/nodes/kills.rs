//! `kill -9` of anything at any time: of a gate, of Redis, of PostgreSQL. What was acknowledged holds afterwards, on all gates.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    office::{Key, Office},
    site::{Options, Site},
};
use crate::{harness::random::Random, load::figures::rounds};

/// Until something is killed, at most.
const WORK_MS: u64 = 400;
/// Keys that are looked at again after each kill; all of them after the last.
const SAMPLE: usize = 20;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Active,
    /// Somebody asked for its end, and it is not acknowledged that all gates know of it.
    Ending,
    Ended,
}

type Ledger = Arc<Mutex<Vec<(Key, Life)>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_of_a_gate_redis_or_postgres() {
    let (mut random, seed) = Random::seeded();
    println!("SCOPEGATE_SEED={seed}");
    let mut site = Site::start(Options::default()).await;
    let ledger = Ledger::default();
    let mut killed = [0; 3];
    // Each has its turn, and in the soak any order.
    for round in 0..rounds(6, 150) {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut working = JoinSet::new();
        for gate in site.addresses() {
            let (ledger, is_over) = (Arc::clone(&ledger), Arc::clone(&is_over));
            let office = Arc::clone(&site.office);
            working.spawn(work(office, gate, ledger, is_over, random.fork()));
        }
        tokio::time::sleep(Duration::from_millis(50 + random.below(WORK_MS))).await;
        let victim = match round {
            0..3 => round,
            _ => random.place(3),
        };
        killed[victim] += 1;
        match victim {
            0 => {
                let node = random.place(3);
                site.gates[node].take().expect("it runs").kill();
                site.run_again(node).await;
            }
            1 => {
                site.redis.kill();
                site.redis.run();
            }
            _ => {
                site.postgres.kill();
                site.postgres.run();
            }
        }
        is_over.store(true, SeqCst);
        while let Some(worked) = working.join_next().await {
            worked.expect("nothing was admitted that was not to be");
        }
        check(&site, &ledger, SAMPLE).await;
    }
    check(&site, &ledger, usize::MAX).await;
    let of = |life| {
        let ledger = ledger.lock().expect("no panic");
        ledger.iter().filter(|(_, is)| *is == life).count()
    };
    println!(
        "kill -9 of a gate, Redis, PostgreSQL: {killed:?} times; acknowledged {} keys minted, {} of them ended",
        of(Life::Active) + of(Life::Ending) + of(Life::Ended),
        of(Life::Ended)
    );
    assert!(of(Life::Active) > 0 && of(Life::Ended) > 0);
}

/// Makes keys, uses them and ends some, through one gate.
async fn work(
    office: Arc<Office>,
    gate: SocketAddr,
    ledger: Ledger,
    is_over: Arc<AtomicBool>,
    mut random: Random,
) {
    while !is_over.load(SeqCst) {
        let minted = office.try_mint(gate, "key").await;
        if minted.status != 201 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let key = minted.key();
        ledger
            .lock()
            .expect("no panic")
            .push((key.clone(), Life::Active));
        let asked = office.ask(gate, &key).await;
        assert!([0, 200, 503].contains(&asked.status), "{asked:?}");
        if !random.once_in(2) {
            continue;
        }
        set(&ledger, &key, Life::Ending);
        if office.try_revoke(gate, &key.id).await.status == 200 {
            set(&ledger, &key, Life::Ended);
            let asked = office.ask(gate, &key).await;
            assert!([0, 401, 503].contains(&asked.status), "{asked:?}");
        }
    }
}

fn set(ledger: &Ledger, key: &Key, life: Life) {
    let mut ledger = ledger.lock().expect("no panic");
    let found = ledger
        .iter_mut()
        .rev()
        .find(|(known, _)| known.id == key.id);
    found.expect("a known key").1 = life;
}

/// Everything that was acknowledged holds on all gates: of so many keys, the newest.
async fn check(site: &Site, ledger: &Ledger, sample: usize) {
    let newest: Vec<_> = {
        let ledger = ledger.lock().expect("no panic");
        ledger.iter().rev().take(sample).cloned().collect()
    };
    let mut asking = JoinSet::new();
    for gate in site.addresses() {
        let newest = newest.clone();
        asking.spawn(async move {
            let office = Office::new();
            for (key, life) in newest {
                // Until somebody can say.
                let mut asked = office.ask(gate, &key).await;
                for _ in 0..1_000 {
                    if !matches!(asked.status, 0 | 503) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    asked = office.ask(gate, &key).await;
                }
                let is_right = match life {
                    Life::Active => asked.status == 200,
                    Life::Ended => asked.status == 401,
                    Life::Ending => matches!(asked.status, 200 | 401),
                };
                assert!(is_right, "{life:?}, and {asked:?}");
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.expect("what was acknowledged holds");
    }
}

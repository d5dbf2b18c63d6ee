//! Another version, one gate after the other: nobody who calls notices.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use http::Method;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::{
    balancer::Balancer,
    office::{Key, Office, SLOW},
    site::{Options, Site},
};
use crate::load::figures::rounds;

/// Who call at once.
const CLIENTS: usize = 4;

/// What a next version's migration may do while this version serves: it adds, and takes nothing away.
const MIGRATION: [&str; 3] = [
    "ALTER TABLE gate.credentials ADD COLUMN next_version TEXT NOT NULL DEFAULT 'none'",
    "CREATE INDEX credentials_next_version ON gate.credentials (next_version)",
    "CREATE TABLE gate.of_next_version (id UUID PRIMARY KEY)",
];

/// What came of all calls: how often each status and code.
type Outcomes = BTreeMap<(u16, String), usize>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_gates_are_replaced_one_by_one() {
    let mut site = Site::start(Options::default()).await;
    let key = site.office.mint(site.address(0), "load").await;
    let balancer = Balancer::start(&site.addresses()).await;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
        // One of them makes and ends keys, too.
        let manager = (client == 0).then(|| Arc::clone(&site.office));
        clients.spawn(load(balancer.address, key.clone(), manager, stop, done));
    }
    let rounds = rounds(1, 20);
    let mut replaced = 0;
    for round in 0..rounds {
        for node in 0..site.gates.len() {
            if (round, node) == (0, 1) {
                // The first of the next version has started, and brought the store to it.
                migrate(&site.store()).await;
            }
            let new = site.another().await;
            balancer.add(new.address());
            balancer.ready(new.address()).await;
            let old = site.gates[node].replace(new).expect("it runs");
            // Under way when it is told to end.
            let (office, key, gate) = (Arc::clone(&site.office), key.clone(), old.address());
            let mut slow = site.slow.subscribe();
            let under_way =
                tokio::spawn(async move { office.ask_to(gate, &key, Method::GET, SLOW).await });
            slow.changed().await.expect("it comes to the API");
            balancer.leave(gate).await;
            old.end().await;
            assert_eq!(under_way.await.expect("no panic").status, 200);
            replaced += 1;
            progress(&done).await;
        }
    }
    stop.store(true, SeqCst);
    let mut outcomes = Outcomes::new();
    while let Some(of_one) = clients.join_next().await {
        for (outcome, count) in of_one.expect("no panic") {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    println!("{replaced} gates replaced under load, with a migration: {outcomes:?}");
    let failed = outcomes
        .keys()
        .any(|(status, _)| !matches!(status, 200 | 201));
    assert!(!failed, "{outcomes:?}");
    let minted = outcomes.get(&(201, String::new()));
    assert!(minted.is_some_and(|count| *count > 0), "{outcomes:?}");
}

/// A key used, and where somebody may, others made, used and ended.
async fn load(
    gates: SocketAddr,
    key: Key,
    manager: Option<Arc<Office>>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> Outcomes {
    let office = Office::new();
    let mut outcomes = Outcomes::new();
    let mut note = |answer: super::office::Answer| {
        *outcomes.entry((answer.status, answer.code)).or_default() += 1;
        done.fetch_add(1, SeqCst);
    };
    let mut count = 0;
    while !stop.load(SeqCst) {
        note(office.ask(gates, &key).await);
        count += 1;
        if let Some(manager) = &manager {
            let minted = manager.try_mint(gates, &format!("key-{count}")).await;
            if minted.status == 201 {
                note(office.ask(gates, &minted.key()).await);
                note(manager.try_revoke(gates, &minted.key().id).await);
            }
            note(minted);
        }
    }
    outcomes
}

/// Waits until there were calls that began after now.
async fn progress(done: &AtomicUsize) {
    let already = done.load(SeqCst);
    for _ in 0..3_000 {
        if done.load(SeqCst) > already + 2 * CLIENTS {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nobody calls any more");
}

async fn migrate(store: &str) {
    let mut connection = PgConnection::connect(store).await.expect("PostgreSQL");
    for step in MIGRATION {
        let done = sqlx::query(step).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    connection.close().await.expect("it closes");
}

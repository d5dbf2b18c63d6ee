//! Revoked means revoked, on all gates at once: keys are used on three of them by many, and revoked through one, while Redis
//! and PostgreSQL are restarted, or a gate is cut off from either or both. Of the requests that begin after the revoking call
//! has succeeded, none is admitted anywhere.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{
    network::Cable,
    office::{Key, PATH},
    site::{Options, Site},
};
use crate::load::{
    client::{Client, Question},
    figures::{is_soak, rounds},
};

/// On each gate.
const CLIENTS: usize = 50;
/// Between two requests of a client, where this is one test of many.
const PAUSE: Duration = Duration::from_millis(300);
/// Requests that each client begins after the call has succeeded, at least.
const AFTERWARDS: usize = 2;
/// Clients find out what became of a round within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens while a key is revoked.
#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    /// Killed, and started from what it saved while the key was good.
    RedisRestarts,
    /// It forgets everything, and stays.
    RedisForgets,
    PostgresRestarts,
    /// Through one of its cables, or several, nothing comes any more.
    Cut(&'static [Cable]),
}

/// Each has its turn.
const EVENTS: [Event; 7] = [
    Event::Nothing,
    Event::PostgresRestarts,
    Event::RedisRestarts,
    Event::Cut(&[Cable::Redis]),
    Event::RedisForgets,
    Event::Cut(&[Cable::Postgres]),
    Event::Cut(&[Cable::Redis, Cable::Postgres]),
];

#[derive(Debug, Default)]
struct Counts {
    rounds: usize,
    admitted: usize,
    /// Because the key was revoked.
    refused: usize,
    /// Because nobody could say.
    unavailable: usize,
    begun_after: usize,
    /// Revoking calls that were to be repeated.
    repeated: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_admitted_on_any_gate_after_a_revocation_has_returned() {
    let mut site = Site::start(Options {
        is_apart: true,
        ..Options::default()
    })
    .await;
    let mut clients: Vec<_> = (0..3 * CLIENTS)
        .map(|client| Client::of(site.address(client % 3)))
        .collect();
    let mut counts = Counts::default();
    let begun = Instant::now();
    // In the soak something happens in each; otherwise in as many that everything has its turn, which takes seconds.
    let every = if is_soak() { 1 } else { 14 };
    for round in 0..rounds(100, 1_000) {
        let event = match round % every {
            0 => EVENTS[round / every % EVENTS.len()],
            _ => Event::Nothing,
        };
        let key = site.office.mint(site.address(round % 3), "campaign").await;
        let over = Arc::new(OnceLock::new());
        let (ready, mut readies) = mpsc::unbounded_channel();
        let mut hammering = JoinSet::new();
        for client in clients.drain(..) {
            let (over, ready) = (Arc::clone(&over), ready.clone());
            hammering.spawn(hammer(client, question(&key), over, ready));
        }
        for _ in 0..3 * CLIENTS {
            let admitted = timeout(PATIENCE, readies.recv()).await;
            admitted.unwrap_or_else(|_| panic!("a good key is not admitted in round {round}"));
        }
        let (gate, cut) = (site.address((round + 1) % 3), (round + 2) % 3);
        happen(&mut site, event, cut).await;
        counts.repeated += site.office.revoke(gate, &key.id).await;
        over.set(Instant::now()).expect("once");
        let returned = *over.get().expect("just set");
        // For a while nobody is told who is cut off.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Event::Cut(cables) = event {
            site.mend(cut, cables);
        }
        while let Some(hammered) = timeout(PATIENCE, hammering.join_next())
            .await
            .expect("soon")
        {
            let (client, requests) = hammered.expect("every request is answered");
            counts.add(&requests, returned, (round, event));
            clients.push(client);
        }
        counts.rounds += 1;
    }
    println!(
        "a key revoked on one of three gates, {:?}: {counts:?}",
        begun.elapsed()
    );
    assert!(counts.admitted >= counts.rounds * 3 * CLIENTS);
    assert!(counts.refused > 0);
    assert!(counts.begun_after >= counts.rounds * 3 * CLIENTS * AFTERWARDS);
}

impl Counts {
    fn add(&mut self, requests: &[(Instant, u16)], returned: Instant, round: (usize, Event)) {
        for (started, status) in requests {
            let is_after = *started > returned;
            match status {
                200 if is_after => panic!(
                    "admitted in {round:?}, though it was begun {:?} after the call had returned",
                    *started - returned
                ),
                200 => self.admitted += 1,
                401 => self.refused += 1,
                503 => self.unavailable += 1,
                other => panic!("{other} in {round:?}"),
            }
            self.begun_after += usize::from(is_after);
        }
    }
}

fn question(key: &Key) -> Question {
    Question {
        method: "GET",
        path: PATH.to_owned(),
        credential: ("authorization", format!("Bearer {}", key.secret)),
    }
}

/// Asks until it was refused after the key had ended: when each request was begun, and its status.
async fn hammer(
    mut client: Client,
    question: Question,
    over: Arc<OnceLock<Instant>>,
    ready: mpsc::UnboundedSender<()>,
) -> (Client, Vec<(Instant, u16)>) {
    let (mut requests, mut afterwards) = (Vec::new(), 0);
    let mut is_admitted = false;
    while afterwards < AFTERWARDS || requests.last().is_none_or(|(_, status)| *status == 503) {
        afterwards += usize::from(over.get().is_some());
        if is_admitted && !is_soak() {
            // The others are to have their turn on two cores.
            tokio::time::sleep(PAUSE).await;
        }
        let asked = client.ask(&question).await;
        if asked.1 == 200 && !is_admitted {
            is_admitted = true;
            let _ = ready.send(());
        }
        // Whoever is told to come again does not come again at once.
        if asked.1 == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        requests.push(asked);
    }
    (client, requests)
}

async fn happen(site: &mut Site, event: Event, cut: usize) {
    match event {
        Event::Nothing => {}
        Event::RedisRestarts => {
            site.redis.say("SAVE").expect("it saves");
            site.redis.kill();
            site.redis.run();
        }
        Event::RedisForgets => {
            for forget in ["FLUSHALL", "SCRIPT FLUSH"] {
                site.redis.say(forget).expect("it forgets");
            }
        }
        Event::PostgresRestarts => {
            site.postgres.stop();
            site.postgres.run();
        }
        Event::Cut(cables) => site.cut(cut, cables),
    }
}

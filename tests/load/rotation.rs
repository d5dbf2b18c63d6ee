//! Rotation with overlap, while many clients hammer: each changes over to the successor when it likes, and nothing
//! fails. The old one fails from its end on, and not a millisecond before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    client::{Client, Question},
    figures::rounds,
};
use crate::harness::{Actor, Key, Options, START_MS, World};

const CLIENTS: usize = 20;
/// Requests of each client, in each round.
const REQUESTS: usize = 30;
/// Between the rotation and the end of the old one.
const OVERLAP_SECS: i64 = 60;

async fn world() -> World {
    World::with(Options {
        adjust: |contract| {
            let limits = &mut contract.limits;
            (limits.session, limits.api_key, limits.agent) = (1 << 30, 1 << 30, 1 << 30);
            (limits.failures, limits.logins) = (1 << 30, 1 << 30);
        },
        ..Options::of("scopegate")
    })
    .await
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .expect("a moment")
        .to_string()
}

/// Rotates; gives the successor.
async fn rotated(world: &World, by: &Actor, path: &str, retires_at_ms: i64) -> Value {
    let body = json!({ "retires_at": moment(retires_at_ms) });
    let reply = by.post(path, body).await;
    assert_eq!(reply.status, 201, "{path}: {}", reply.body);
    assert!(world.clock.now_ms() < retires_at_ms);
    reply.json()
}

/// Hammers with the old one, and from a request of its own on with the new one. Tells how often each was sent.
async fn change_over(
    mut client: Client,
    (old, new): (Question, Arc<std::sync::OnceLock<Question>>),
    at: usize,
    count: Arc<AtomicUsize>,
) -> Client {
    let mut sent = 0;
    while sent < REQUESTS {
        let question = match new.get() {
            Some(new) if sent >= at => new,
            // It has not been told of the new one yet.
            _ => &old,
        };
        let (_, status) = client.ask(question).await;
        assert_eq!(
            status, 200,
            "request {sent} of a client that changes at {at}"
        );
        count.fetch_add(1, SeqCst);
        // Without a successor it goes on as long as it takes.
        sent += usize::from(new.get().is_some() || sent < at);
    }
    client
}

/// One kind of credential, rotated again and again.
struct Hammered {
    method: &'static str,
    path: &'static str,
    clients: Vec<Client>,
    requests: Arc<AtomicUsize>,
}

impl Hammered {
    fn new(world: &World, method: &'static str, path: &'static str) -> Self {
        let address = world.running().public_addr();
        Self {
            method,
            path,
            clients: (0..CLIENTS).map(|_| Client::of(address)).collect(),
            requests: Arc::default(),
        }
    }

    /// Hammers while `rotate` makes a successor; the successor and its answer.
    async fn round<F>(&mut self, world: &World, old: &Actor, rotate: F) -> (Actor, Value)
    where
        F: Future<Output = Value>,
    {
        let old = Question::of(old, self.method, self.path);
        let new = Arc::new(std::sync::OnceLock::new());
        let mut running = JoinSet::new();
        for (place, client) in self.clients.drain(..).enumerate() {
            let at = place * REQUESTS / CLIENTS;
            let questions = (old.clone(), Arc::clone(&new));
            running.spawn(change_over(
                client,
                questions,
                at,
                Arc::clone(&self.requests),
            ));
        }
        let ends_ms = world.clock.now_ms() + OVERLAP_SECS * 1000;
        let before = self.requests.load(SeqCst);
        while self.requests.load(SeqCst) < before + CLIENTS {
            tokio::task::yield_now().await;
        }
        let answer = rotate.await;
        let successor = world.with_key(answer["secret"].as_str().expect("a secret"));
        assert!(
            new.set(Question::of(&successor, self.method, self.path))
                .is_ok()
        );
        // Time goes on to the last moment of the overlap.
        world.clock.advance(Duration::from_millis(
            u64::try_from(ends_ms - 1 - world.clock.now_ms()).expect("later"),
        ));
        while let Some(client) = running.join_next().await {
            self.clients.push(client.expect("nothing fails"));
        }

        let mut client = self.clients.pop().expect("a client");
        let new = new.get().expect("set");
        assert_eq!(
            client.ask(&old).await.1,
            200,
            "a millisecond before its end"
        );
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(client.ask(&old).await.1, 401, "at its end");
        assert_eq!(client.ask(new).await.1, 200, "the successor");
        self.clients.push(client);
        (successor, answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_a_key_by_itself() {
    let world = world().await;
    let mut hammered = Hammered::new(&world, "GET", "/v1/clusters/prod");
    let mut key = world.key(Key::default()).await;
    let rounds = rounds(10, 100);
    for _ in 0..rounds {
        let by = world.manages(&key);
        let ends_ms = world.clock.now_ms() + OVERLAP_SECS * 1000;
        let rotate = rotated(&world, &by, "/-/api/keys/self/rotate", ends_ms);
        let (successor, answer) = hammered.round(&world, &key, rotate).await;
        assert!(answer["predecessor"].is_string(), "{answer}");
        key = successor;
    }
    let requests = hammered.requests.load(SeqCst);
    println!("rotating a key: {rounds} rounds, {requests} requests, 0 failures");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_an_agent_by_its_administrator() {
    let world = world().await;
    let mut hammered = Hammered::new(&world, "POST", "/v1/metrics");
    let mut agent = world.agent("prod").await;
    let mut id = agent.id.expect("minted").to_string();
    let rounds = rounds(5, 50);
    for _ in 0..rounds {
        // Whoever rotates another one's has just signed in.
        let admin = world.manager("admin").await;
        let path = format!("/-/api/agents/{id}/rotate");
        let ends_ms = world.clock.now_ms() + OVERLAP_SECS * 1000;
        let rotate = rotated(&world, &admin, &path, ends_ms);
        let (successor, answer) = hammered.round(&world, &agent, rotate).await;
        assert_eq!(answer["predecessor"], id.as_str());
        id = answer["id"].as_str().expect("an id").to_owned();
        agent = successor;
    }
    let requests = hammered.requests.load(SeqCst);
    println!("rotating an agent: {rounds} rounds, {requests} requests, 0 failures");
}

/// The end is exact under load too: what is begun a moment before it is admitted, what is begun at it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_ends_for_all_at_once() {
    let world = world().await;
    let key = world.key(Key::default()).await;
    let by = world.manages(&key);
    let ends_ms = START_MS + OVERLAP_SECS * 1000;
    rotated(&world, &by, "/-/api/keys/self/rotate", ends_ms).await;
    let question = Question::of(&key, "GET", "/v1/clusters/prod");
    let address = world.running().public_addr();
    // What the clock showed at least and at most while a request was under way.
    let (shown, setting) = (
        Arc::new(AtomicI64::new(START_MS)),
        Arc::new(AtomicI64::new(START_MS)),
    );
    let done = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    for _ in 0..CLIENTS {
        let (question, mut client) = (question.clone(), Client::of(address));
        let (shown, setting, done) = (Arc::clone(&shown), Arc::clone(&setting), Arc::clone(&done));
        running.spawn(async move {
            let (mut admitted, mut refused) = (0, 0);
            while !done.load(SeqCst) {
                let since = shown.load(SeqCst);
                let (_, status) = client.ask(&question).await;
                let until = setting.load(SeqCst);
                match status {
                    200 => assert!(since < ends_ms, "admitted at {since} or later"),
                    401 => assert!(until >= ends_ms, "refused at {until} or earlier"),
                    other => panic!("{other}"),
                }
                admitted += usize::from(status == 200);
                refused += usize::from(status == 401);
            }
            (admitted, refused)
        });
    }
    while shown.load(SeqCst) < ends_ms + 5_000 {
        let next = shown.load(SeqCst) + 1_000;
        setting.store(next, SeqCst);
        world.clock.advance(Duration::from_secs(1));
        shown.store(next, SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    done.store(true, SeqCst);
    let (mut admitted, mut refused) = (0, 0);
    while let Some(counts) = running.join_next().await {
        let counts = counts.expect("exact");
        (admitted, refused) = (admitted + counts.0, refused + counts.1);
    }
    assert!(admitted > 0 && refused > 0);
    println!("the end of a rotated key: {admitted} admitted before, {refused} refused from it on");
}

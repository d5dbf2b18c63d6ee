//! Another policy while requests pour in: none fails, each is answered wholly by one version, and it takes no longer than
//! beside a thread that burns as much CPU.

mod answers;
mod burner;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use self::{
    answers::{Given, VERSIONS, assert_whole, component, document, question},
    burner::{Burner, cpu_time},
};
use super::{
    client::Client,
    figures::{Spread, is_soak, rounds},
};
use crate::harness::{Actor, Options, World, json_reply};

const CLIENTS: usize = 16;
/// Each client asks so often, whatever came of the question before: what is late is counted from when it was due.
const EVERY: Duration = Duration::from_millis(40);
/// Activations of a round, and the time between two: 1,000 in 60 seconds.
const ACTIVATIONS: usize = 100;
const ACTIVATED_EVERY: Duration = Duration::from_millis(60);
/// How much longer 99 of 100 requests may take.
const RATIO_MAX: f64 = 1.2;

/// A gate that serves the first version, without limits and with a quick upstream; an operator of it, and its other
/// versions pushed: the digests of all of them.
async fn world() -> (World, Actor, Vec<String>) {
    let world = World::with(Options {
        adjust: |contract| {
            let limits = &mut contract.limits;
            (limits.session, limits.api_key, limits.agent) = (1 << 30, 1 << 30, 1 << 30);
            (limits.anonymous, limits.failures, limits.logins) = (1 << 30, 1 << 30, 1 << 30);
        },
        policy: Some(Box::leak(document(0, "").into_boxed_str())),
        ..Options::of("scopegate")
    })
    .await;
    world
        .upstream
        .streams(|_| async { json_reply(200, json!({})) });
    world.add_operator("ops@example.com").await;
    let operator = world.manager("ops@example.com").await;
    let mut digests = vec![world.running().gate().policy().digest().to_owned()];
    for version in 1..VERSIONS {
        digests.push(push(&operator, component(version, "")).await);
    }
    (world, operator, digests)
}

async fn push(operator: &Actor, component: Vec<u8>) -> String {
    let request = operator.request("POST", "/-/api/policies");
    let request = request.header("content-type", "application/wasm");
    let pushed = operator.send(request.body(component)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    pushed.json()["digest"].as_str().expect("it").to_owned()
}

/// Clients that ask at a steady pace until they are told to stop.
struct Load {
    clients: JoinSet<(Vec<Given>, Spread)>,
    done: Arc<AtomicBool>,
}

impl Load {
    async fn start(world: &World) -> Self {
        let caller = world.session("viewer").await;
        let address = world.running().public_addr();
        let done = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for place in 0..CLIENTS {
            let (caller, done) = (caller.clone(), Arc::clone(&done));
            clients.spawn(async move {
                let (mut given, mut took) = (Vec::new(), Spread::default());
                let mut client = Client::of(address);
                let first = tokio::time::Instant::now() + EVERY * place as u32 / CLIENTS as u32;
                let mut pace = tokio::time::interval_at(first, EVERY);
                pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let questions: Vec<_> = (0..VERSIONS).map(|n| question(&caller, n)).collect();
                for asked in (0..VERSIONS).cycle() {
                    let due = pace.tick().await.into_std();
                    if done.load(SeqCst) {
                        break;
                    }
                    let (_, reply) = client.send(&questions[asked]).await;
                    let answer = Given::read(asked, reply).await;
                    took.add(due.elapsed());
                    given.push(answer);
                }
                (given, took)
            });
        }
        Self { clients, done }
    }

    /// The answers, and how long each took.
    async fn stop(mut self) -> (Vec<Given>, Spread) {
        self.done.store(true, SeqCst);
        let (mut all, mut took) = (Vec::new(), Spread::default());
        while let Some(client) = self.clients.join_next().await {
            let (given, of_one) = client.expect("nothing fails");
            all.extend(given);
            took.append(of_one);
        }
        (all, took)
    }
}

/// Activates so many versions, each another one than before, at their pace.
async fn activate(operator: &Actor, digests: &[String], count: usize, active: &mut usize) {
    let mut pace = tokio::time::interval(ACTIVATED_EVERY);
    for step in 0..count {
        pace.tick().await;
        *active = (*active + 1 + step % (VERSIONS - 1)) % VERSIONS;
        let digest = &digests[*active];
        let path = format!("/-/api/policies/{digest}/activate");
        let reply = operator.call("POST", &path).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let reply = reply.json();
        assert_eq!(
            (&reply["digest"], &reply["changed"]),
            (&digest.as_str().into(), &true.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_activations_and_no_request_that_fails() {
    let (world, operator, digests) = world().await;
    let mut active = VERSIONS - 1;
    // What activating takes when nothing else is done.
    let before = cpu_time();
    activate(&operator, &digests, ACTIVATIONS / 2, &mut active).await;
    let each = (cpu_time() - before) / (ACTIVATIONS / 2) as u32;

    let rounds = rounds(1, 10);
    let (mut given, mut beside_burner, mut took) =
        (Vec::new(), Spread::default(), Spread::default());
    let mut activating = Duration::ZERO;
    // In turns, so that a machine which is slow for a while is so for both.
    for _ in 0..rounds {
        let load = Load::start(&world).await;
        let burner = Burner::start(each, ACTIVATED_EVERY);
        tokio::time::sleep(ACTIVATED_EVERY * ACTIVATIONS as u32).await;
        burner.stop();
        let (answers, spread) = load.stop().await;
        given.extend(answers);
        beside_burner.append(spread);

        let load = Load::start(&world).await;
        let started = Instant::now();
        activate(&operator, &digests, ACTIVATIONS, &mut active).await;
        activating += started.elapsed();
        let (answers, spread) = load.stop().await;
        given.extend(answers);
        took.append(spread);
    }
    let versions = assert_whole(&world, &given, &digests).await;
    assert_eq!(versions, VERSIONS, "every version answered somebody");
    let records = world.audit_lines().await;
    let records = records.iter().filter(|line| {
        line["action"] == "policy.activate" && line["detail"]["source"] == "rollback"
    });
    assert_eq!(records.count(), ACTIVATIONS / 2 + rounds * ACTIVATIONS);

    let ratio = took.percentile(99).as_secs_f64() / beside_burner.percentile(99).as_secs_f64();
    println!(
        "{} activations in {:.1} s, {:.1} ms of CPU each; {} requests, 0 failed, each answered by one version",
        rounds * ACTIVATIONS,
        activating.as_secs_f64(),
        each.as_secs_f64() * 1000.0,
        given.len(),
    );
    println!("  beside a burner: {beside_burner}");
    println!("  beside activations: {took}; 99th percentile {ratio:.2} times");
    if is_soak() {
        assert!(ratio <= RATIO_MAX, "{ratio:.2} times");
        let planned = ACTIVATED_EVERY * (rounds * ACTIVATIONS) as u32;
        assert!(activating < planned.mul_f64(1.1), "{activating:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_candidates_are_compiled_tested_and_activated_beside_requests() {
    let (world, operator, mut digests) = world().await;
    let candidates = if is_soak() { 20 } else { 3 };
    let load = Load::start(&world).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut given, alone) = load.stop().await;

    let load = Load::start(&world).await;
    let mut pushed = Spread::default();
    for number in 0..candidates {
        let candidate = component(number % VERSIONS, &format!("number-{number}"));
        let started = Instant::now();
        digests.push(push(&operator, candidate).await);
        pushed.add(started.elapsed());
    }
    let (answers, took) = load.stop().await;
    given.extend(answers);
    assert_whole(&world, &given, &digests).await;
    println!("{candidates} new candidates, each compiled, tested and activated: {pushed}");
    println!("  {} requests meanwhile, 0 failed: {took}", given.len());
    println!("  alone: {alone}");
}

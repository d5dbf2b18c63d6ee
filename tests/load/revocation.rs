//! Revoked means revoked, while many clients hammer: of the requests that start after the revoking call has returned
//! none is admitted, and those that were under way end.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use uuid::Uuid;

use super::{
    client::{Client, Question},
    figures::{Spread, is_soak, rounds},
};
use crate::harness::{Actor, Key, Options, World, json_reply};

const CLIENTS: usize = 50;
/// Requests under way of each kind when the credential ends.
const IN_FLIGHT: usize = 2;
/// Requests that each client begins after the call has returned.
const AFTERWARDS: usize = 3;
/// In-flight requests must be over by then, after the call has returned.
const OVER_WITHIN: Duration = Duration::from_secs(1);
/// What 99 of 100 of the last ones are hoped to take.
const GOAL: Duration = Duration::from_millis(50);
const PATH: &str = "/v1/clusters/prod";

/// A world without limits, with an upstream that is quick, silent or endless, as the query says.
async fn world() -> (World, mpsc::UnboundedReceiver<()>) {
    let world = World::with(Options {
        adjust: |contract| {
            let limits = &mut contract.limits;
            (limits.session, limits.api_key, limits.agent) = (1 << 30, 1 << 30, 1 << 30);
            (limits.anonymous, limits.failures, limits.logins) = (1 << 30, 1 << 30, 1 << 30);
        },
        ..Options::of("scopegate")
    })
    .await;
    let (arrived, arrivals) = mpsc::unbounded_channel();
    world.upstream.streams(move |request| {
        let arrived = arrived.clone();
        async move {
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first"))]);
            match request.uri().query() {
                Some("silent") => {
                    let _ = arrived.send(());
                    std::future::pending().await
                }
                Some("pausing") => Response::new(Body::from_stream(first.chain(stream::pending()))),
                Some("endless") => {
                    let more = stream::unfold((), |()| async {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        Some((Ok(Bytes::from_static(b"more")), ()))
                    });
                    Response::new(Body::from_stream(first.chain(more)))
                }
                _ => json_reply(200, json!({ "id": "prod" })),
            }
        }
    });
    (world, arrivals)
}

/// Clients that stay connected from round to round, and what they met.
struct Campaign {
    world: World,
    arrivals: mpsc::UnboundedReceiver<()>,
    hammering: Vec<Client>,
    waiting: Vec<Client>,
    counts: Counts,
    /// From the return of the call to the end of the last request that was under way.
    to_last: Spread,
    /// From the sending of the call to its return.
    call: Spread,
}

#[derive(Debug, Default)]
struct Counts {
    rounds: usize,
    admitted: usize,
    refused: usize,
    begun_after: usize,
    in_flight: usize,
}

impl Campaign {
    async fn start() -> Self {
        let (world, arrivals) = world().await;
        let address = world.running().public_addr();
        let clients = |count| (0..count).map(|_| Client::of(address)).collect();
        Self {
            world,
            arrivals,
            hammering: clients(CLIENTS),
            waiting: clients(3 * IN_FLIGHT),
            counts: Counts::default(),
            to_last: Spread::default(),
            call: Spread::default(),
        }
    }

    /// Hammers with these in turn, ends them while it does, and checks what became of every request.
    async fn round<E: Future<Output = ()>>(&mut self, questions: &[Question], end: E) {
        let over = Arc::new(OnceLock::new());
        let (ready, mut readies) = mpsc::unbounded_channel();
        let mut hammering = JoinSet::new();
        for (client, question) in self.hammering.drain(..).zip(questions.iter().cycle()) {
            let (question, over, ready) = (question.clone(), Arc::clone(&over), ready.clone());
            hammering.spawn(hammer(client, question, over, ready));
        }
        let mut waiting = JoinSet::new();
        let kinds = ["silent", "pausing", "endless"].into_iter().cycle();
        for (place, (client, kind)) in self.waiting.drain(..).zip(kinds).enumerate() {
            let question = questions[place % questions.len()].with_query(kind);
            waiting.spawn(under_way(client, question, kind == "silent", ready.clone()));
        }
        // Every client was admitted once, and everything that shall be under way is.
        for _ in 0..CLIENTS + 2 * IN_FLIGHT {
            soon(readies.recv()).await;
        }
        for _ in 0..IN_FLIGHT {
            soon(self.arrivals.recv()).await;
        }
        tokio::time::sleep(Duration::from_micros(
            self.counts.rounds as u64 * 373 % 3000,
        ))
        .await;

        let called = Instant::now();
        end.await;
        let returned = Instant::now();
        over.set(returned).expect("once");
        self.call.add(returned - called);

        let mut last = Duration::ZERO;
        while let Some(ended) = soon(waiting.join_next()).await {
            let (client, ended) = ended.expect("it ends as it should");
            last = last.max(ended.saturating_duration_since(returned));
            self.waiting.push(client);
            self.counts.in_flight += 1;
        }
        assert!(last <= OVER_WITHIN, "under way for another {last:?}");
        self.to_last.add(last);
        while let Some(hammered) = soon(hammering.join_next()).await {
            let (client, requests) = hammered.expect("every request is answered");
            self.count(&requests, returned);
            self.hammering.push(client);
        }
        self.counts.rounds += 1;
    }

    fn count(&mut self, requests: &[(Instant, u16)], returned: Instant) {
        for (started, status) in requests {
            let after = *started > returned;
            match status {
                200 if after => panic!(
                    "admitted, though it was begun {:?} after the call had returned",
                    *started - returned
                ),
                200 => self.counts.admitted += 1,
                401 => self.counts.refused += 1,
                other => panic!("{other} instead of 200 or 401"),
            }
            self.counts.begun_after += usize::from(after);
        }
    }

    fn print(&self, what: &str) {
        println!("{what}: {:?}", self.counts);
        println!("{what}: the call took {}", self.call);
        println!("{what}: from its return to the last end {}", self.to_last);
        let met = self.to_last.percentile(99) <= GOAL;
        if is_soak() {
            println!("{what}: p99 within {GOAL:?}: {met}");
        }
        assert!(self.counts.begun_after >= self.counts.rounds * CLIENTS * AFTERWARDS);
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(30), future)
        .await
        .expect("soon")
}

/// Asks until it has asked some times after the credential has ended: when each request was begun, and its status.
async fn hammer(
    mut client: Client,
    question: Question,
    over: Arc<OnceLock<Instant>>,
    ready: mpsc::UnboundedSender<()>,
) -> (Client, Vec<(Instant, u16)>) {
    let mut requests = Vec::new();
    let mut afterwards = 0;
    while afterwards < AFTERWARDS {
        afterwards += usize::from(over.get().is_some());
        requests.push(client.ask(&question).await);
        if requests.len() == 1 {
            let _ = ready.send(());
        }
    }
    (client, requests)
}

/// A request that never ends by itself: when it ended, which must be as a request does whose credential has.
async fn under_way(
    mut client: Client,
    question: Question,
    silent: bool,
    ready: mpsc::UnboundedSender<()>,
) -> (Client, Instant) {
    let (_, reply) = client.send(&question).await;
    let status = reply.status().as_u16();
    if silent {
        assert_eq!(status, 401, "before the reply began");
        let ended = Instant::now();
        let _ = reply.into_body().collect().await;
        return (client, ended);
    }
    assert_eq!(status, 200);
    let mut body = reply.into_body();
    let first = body.frame().await.expect("a frame");
    first.expect("the first piece");
    let _ = ready.send(());
    loop {
        match body.frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => return (client, Instant::now()),
            None => panic!("it ended as if it were whole"),
        }
    }
}

async fn deleted(admin: &Actor, path: &str, status: u16) {
    let reply = admin.call("DELETE", path).await;
    assert_eq!(reply.status, status, "DELETE {path}: {}", reply.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_a_key() {
    let mut campaign = Campaign::start().await;
    let admin = campaign.world.manager("admin").await;
    for _ in 0..rounds(25, 1_000) {
        let key = campaign.world.key(Key::default()).await;
        let path = format!("/-/api/organization/keys/{}", key.id.expect("a minted key"));
        let end = deleted(&admin, &path, 200);
        campaign
            .round(&[Question::of(&key, "GET", PATH)], end)
            .await;
    }
    campaign.print("revoking a key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabling_a_user() {
    let mut campaign = Campaign::start().await;
    let admin = campaign.world.manager("admin").await;
    for round in 0..rounds(10, 100) {
        let email = format!("user{round}@acme.example");
        let world = &mut campaign.world;
        let user = world.add_user("acme", &email, "editor", None).await;
        let key = Key {
            owner: &email,
            ..Key::default()
        };
        let callers = [world.key(key).await, world.session(&email).await];
        let questions = callers.map(|caller| Question::of(&caller, "GET", PATH));
        campaign.round(&questions, disabled(&admin, user)).await;
    }
    campaign.print("disabling a user");
}

async fn disabled(admin: &Actor, user: Uuid) {
    let path = format!("/-/api/users/{user}/disable");
    let reply = admin.call("POST", &path).await;
    assert_eq!(reply.status / 100, 2, "POST {path}: {}", reply.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_cluster() {
    let mut campaign = Campaign::start().await;
    let admin = campaign.world.manager("admin").await;
    for round in 0..rounds(10, 100) {
        let cluster = format!("cluster-{round}");
        campaign.world.add_cluster("acme", &cluster).await;
        let agent = campaign.world.agent(&cluster).await;
        let path = format!("/-/api/clusters/{cluster}");
        let end = deleted(&admin, &path, 204);
        campaign
            .round(&[Question::of(&agent, "POST", "/v1/metrics")], end)
            .await;
    }
    campaign.print("deleting a cluster");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out() {
    let mut campaign = Campaign::start().await;
    for _ in 0..rounds(10, 100) {
        let session = campaign.world.session("admin").await;
        let end = async {
            assert_eq!(session.call("POST", "/auth/logout").await.status, 204);
        };
        campaign
            .round(&[Question::of(&session, "GET", PATH)], end)
            .await;
    }
    campaign.print("logging out");
}

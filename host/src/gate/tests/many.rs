//! Several gates over one store and one Redis, in one process: what one changes, all know when it returns, whatever becomes of
//! Redis meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use rustix::process::Signal;
use scopegate_policy::Clusters;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::world::{Ask, Log, NOW_MS, get, parts};
use crate::{
    Cause, Contract, Directory, Gate, Principal, Verdict,
    counters::{
        Counters,
        redis::{Redis, RedisConfig, Touched, WhenAway, testing::RedisServer},
    },
    directory::{LookUp, Workload},
    key::{self, KeyKind},
    keyring::{KeyRing, Keys},
    limit::Window,
    store::{Actor, Change, ChangeError, Missing, Purpose, Store, StoreError, fixture::Fixture},
};

/// Gates, their store and their Redis.
struct Gates {
    gates: Vec<Arc<Gate>>,
    fixture: Fixture,
    server: RedisServer,
    log: Log,
}

impl Gates {
    async fn new(count: usize) -> Self {
        Self::with(count, |_, _| {}).await
    }

    async fn with(count: usize, change: impl Fn(&mut RedisConfig, &mut Contract)) -> Self {
        let server = RedisServer::start().await;
        let mut contract = Contract::builtin("k8cost").unwrap();
        let mut config = server.config();
        change(&mut config, &mut contract);
        let keys = Keys::from(KeyRing::ephemeral().unwrap());
        let fixture = Fixture::quick(contract.authority.clone()).await;
        let (mut gates, log) = (Vec::new(), Log::default());
        for _ in 0..count {
            let counters = Counters::Redis(Redis::open(&config).await.unwrap());
            let url = format!("sqlite://{}", fixture.path().display());
            let store = Store::open(&url, Purpose::Serve, Missing::Refuse);
            let store = store.await.unwrap();
            let directory = Directory::beside(&counters, store, contract.authority.clone());
            let mut parts = parts(contract.clone(), directory, keys.clone(), counters);
            parts.audit = log.audit();
            gates.push(Arc::new(Gate::new(parts)));
        }
        Self {
            gates,
            fixture,
            server,
            log,
        }
    }

    /// Makes a change through one of the gates.
    async fn change(&self, gate: usize, change: Change) -> Result<bool, ChangeError> {
        let directory = self.gates[gate].directory();
        directory.apply(change, Actor::Machine, NOW_MS).await
    }

    async fn user(&self, role: &str) -> Uuid {
        let email = format!("{}@example.com", Uuid::new_v4());
        self.fixture.user(&email, role).await
    }

    async fn key(&self, owner: Uuid) -> (Uuid, Ask) {
        let minted = key::mint("k8c", KeyKind::Live).unwrap();
        let (mut new, _) = self.fixture.new_key(Some(owner));
        new.hash = minted.hash;
        let (id, _) = self.fixture.mint(new).await;
        let ask = get("/v1/organization").header("x-api-key", minted.secret.expose_secret());
        (id, ask)
    }

    async fn ask(&self, gate: usize, ask: &Ask) -> Result<Arc<Principal>, Cause> {
        match self.gates[gate].check(&ask.request()).await {
            Verdict::Admit(admission) => Ok(Arc::clone(admission.principal.as_ref().unwrap())),
            Verdict::Refuse(refusal) => Err(refusal.cause),
        }
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.gates.len()
    }

    async fn until_all_are_here(&self) {
        for gate in &self.gates {
            let redis = gate.counters.redis().unwrap();
            until("Redis is back", async || redis.is_here()).await;
        }
    }
}

/// Revokes a key on a gate until all are known to know of it.
async fn revoke(gate: &Gate, id: Uuid) {
    let began = Instant::now();
    loop {
        let revoke = Change::Revoke(id);
        match gate.directory().apply(revoke, Actor::Machine, NOW_MS).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error, StoreError::Pending.into()),
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "for ever pending"
        );
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_change_on_one_gate_holds_on_all_when_it_returns() {
    let gates = Gates::new(3).await;
    let owner = gates.user("viewer").await;
    let (key, ask) = gates.key(owner).await;
    for gate in gates.all() {
        assert_eq!(
            gates.ask(gate, &ask).await.unwrap().caller.roles,
            ["viewer"]
        );
        let again = gates.ask(gate, &ask).await.unwrap();
        assert!(
            Arc::ptr_eq(&again, &gates.ask(gate, &ask).await.unwrap()),
            "kept"
        );
    }
    let role = Change::SetRole {
        user: owner,
        role: "admin".to_owned(),
    };
    assert!(gates.change(1, role).await.unwrap());
    for gate in gates.all() {
        assert_eq!(gates.ask(gate, &ask).await.unwrap().caller.roles, ["admin"]);
    }
    let clusters = Change::SetClusters {
        user: owner,
        clusters: Clusters::only(["dev"]),
    };
    assert!(gates.change(2, clusters).await.unwrap());
    let later = gates.fixture.cluster("later");
    assert!(gates.change(0, later).await.unwrap());
    for gate in gates.all() {
        let principal = gates.ask(gate, &ask).await.unwrap();
        assert_eq!(principal.caller.clusters, Clusters::only(["dev"]));
        assert!(principal.registered.contains("later"));
    }
    assert!(gates.change(2, Change::Revoke(key)).await.unwrap());
    for gate in gates.all() {
        assert_eq!(gates.ask(gate, &ask).await.unwrap_err(), Cause::Revoked);
    }
    // Whose key it was is recorded as it would be by the gate that ended it.
    for gate in &gates.gates {
        gate.flush().await;
    }
    let records = gates.log.records();
    let refused = records
        .iter()
        .filter(|record| record["reason"] == "revoked");
    let refused: Vec<_> = refused.map(|record| &record["credential"]).collect();
    assert_eq!(refused, vec![&json!(key); gates.all().len()]);
    // A revocation that another gate made already is no less of one.
    assert!(!gates.change(0, Change::Revoke(key)).await.unwrap());
}

/// What stands behind a workload is its cluster alone, and that is confirmed as keys are: with Redis, and without it.
#[tokio::test(flavor = "multi_thread")]
async fn workloads_are_confirmed_by_their_cluster() {
    let gates = Gates::new(2).await;
    let organization = gates.fixture.organization;
    let workload = Workload {
        organization,
        cluster: "prod",
        account: "system:serviceaccount:monitoring:agent",
        pod: Some("agent-1"),
    };
    let directory = gates.gates[0].directory();
    let LookUp::Found(kept) = directory.by_workload(&workload).await.unwrap() else {
        panic!("its cluster is registered");
    };
    let confirm = || directory.confirmed(Arc::clone(&kept), NOW_MS);
    let by_store = || directory.confirm_by_store(&kept, NOW_MS);
    for now in [confirm().await.unwrap(), by_store().await.unwrap()] {
        assert_eq!(now.caller.agent_cluster.as_deref(), Some("prod"));
    }
    let delete = |id: &str| Change::DeleteCluster {
        organization,
        id: id.to_owned(),
    };
    assert!(gates.change(1, delete("dev")).await.unwrap());
    let now = confirm().await.unwrap();
    assert!(!now.registered.contains("dev"));
    assert!(gates.change(1, delete("prod")).await.unwrap());
    assert_eq!(confirm().await.unwrap_err(), Cause::Revoked);
    assert_eq!(by_store().await.unwrap_err(), Cause::Revoked);
    let LookUp::Revoked(former) = directory.by_workload(&workload).await.unwrap() else {
        panic!("its cluster is deleted");
    };
    assert_eq!(
        (former.name.as_str(), former.key_name.as_deref()),
        (workload.account, workload.pod)
    );
}

#[tokio::test]
async fn all_gates_count_together() {
    let window = Window::of_secs(2).unwrap();
    let gates = Gates::with(3, |config, _| config.window = window).await;
    let (_, ask) = gates.key(gates.user("viewer").await).await;
    for cell in 0..3 {
        // Every other cell, so that each starts from nothing.
        let ask = ask.clone().at(NOW_MS + cell * 2 * window.ms());
        let mut admitted = 0;
        for n in 0..250 {
            match gates.ask(n % 3, &ask).await {
                Ok(_) => admitted += 1,
                Err(cause) => assert_eq!(cause, Cause::RateLimited),
            }
        }
        assert_eq!(admitted, 200);
    }
}

/// Refused guesses count on every gate together.
#[tokio::test]
async fn failures_of_an_address_are_those_on_all_gates() {
    let gates = Gates::new(2).await;
    let wrong = get("/v1/organization").header("x-api-key", "k8c_live_wrong");
    let limit = gates.gates[0].contract().limits.failures as usize;
    for n in 0..limit {
        let cause = gates.ask(n % 2, &wrong).await.unwrap_err();
        assert_eq!(cause, Cause::UnknownCredential, "{n}");
    }
    for gate in gates.all() {
        let cause = gates.ask(gate, &wrong).await.unwrap_err();
        assert_eq!(cause, Cause::TooManyFailures);
    }
}

/// What is under way on the other gates hears of it: by what is told, or by asking, where nothing was heard.
#[tokio::test]
async fn requests_under_way_on_other_gates_end() {
    let gates = Gates::new(2).await;
    let owner = gates.user("viewer").await;
    for is_heard in [true, false] {
        let (key, ask) = gates.key(owner).await;
        let principal = gates.ask(1, &ask).await.unwrap();
        if !is_heard {
            // Nobody listens for a moment, in which it is told.
            gates.server.say("CLIENT KILL TYPE pubsub").await;
        }
        let began = Instant::now();
        gates.change(0, Change::Revoke(key)).await.unwrap();
        let ended = async {
            let mut current = Ok(principal);
            while let Ok(principal) = current {
                current = gates.gates[1].renewed(&principal).await;
            }
            current.unwrap_err()
        };
        let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
        assert_eq!(ended.unwrap(), Cause::Revoked);
        println!("ended after {:?}, heard: {is_heard}", began.elapsed());
    }
}

#[tokio::test]
async fn a_change_of_which_redis_does_not_know_is_pending() {
    let mut gates = Gates::new(2).await;
    let (key, ask) = gates.key(gates.user("viewer").await).await;
    for gate in gates.all() {
        gates.ask(gate, &ask).await.unwrap();
    }
    gates.server.kill();
    let pending = gates.change(0, Change::Revoke(key)).await.unwrap_err();
    assert_eq!(pending, StoreError::Pending.into());
    assert_eq!(Cause::from(StoreError::Pending), Cause::RevocationPending);
    // The store confirms meanwhile, and says what is so.
    for gate in gates.all() {
        assert_eq!(gates.ask(gate, &ask).await.unwrap_err(), Cause::Revoked);
    }
    let again = gates.change(1, Change::Revoke(key)).await.unwrap_err();
    assert_eq!(again, StoreError::Pending.into());
    gates.server.run().await;
    gates.until_all_are_here().await;
    assert!(!gates.change(1, Change::Revoke(key)).await.unwrap());
    for gate in gates.all() {
        assert_eq!(gates.ask(gate, &ask).await.unwrap_err(), Cause::Revoked);
    }
}

/// What was taken away is told by the gate itself as soon as it can.
#[tokio::test]
async fn what_is_pending_is_told_later() {
    let gates = Gates::with(2, |config, _| config.timeout = Duration::from_millis(100)).await;
    let (key, ask) = gates.key(gates.user("viewer").await).await;
    let principal = gates.ask(1, &ask).await.unwrap();
    gates.server.signal(Signal::STOP);
    gates.change(0, Change::Revoke(key)).await.unwrap_err();
    gates.server.signal(Signal::CONT);
    tokio::time::timeout(Duration::from_secs(10), principal.standing.stale())
        .await
        .unwrap();
    assert_eq!(gates.ask(1, &ask).await.unwrap_err(), Cause::Revoked);
}

/// A gate that is killed between committing a change and telling of it has nobody who asks for it again.
#[tokio::test]
async fn what_a_gate_left_untold_is_told_by_another() {
    let gates = Gates::new(2).await;
    let (key, ask) = gates.key(gates.user("viewer").await).await;
    let principal = gates.ask(1, &ask).await.unwrap();
    let change = Change::Revoke(key);
    let touched = Touched {
        organization: gates.fixture.organization,
        touch: change.touches(),
    };
    let store = gates.fixture.directory.store();
    let origin = Actor::Machine.into();
    let applied = store.apply(&change, &origin, NOW_MS, Some(touched)).await;
    assert!(applied.unwrap().untold.is_some());
    assert!(store.is_untold(touched).await.unwrap());
    tokio::time::timeout(Duration::from_secs(10), principal.standing.stale())
        .await
        .unwrap();
    assert_eq!(gates.ask(1, &ask).await.unwrap_err(), Cause::Revoked);
    until("its note is taken away", async || {
        store.list_untold().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn without_redis_the_store_confirms_or_all_are_refused() {
    for when_away in [WhenAway::Confirm, WhenAway::Refuse] {
        let mut gates = Gates::with(2, |config, _| config.when_away = when_away).await;
        let owner = gates.user("viewer").await;
        let (_, ask) = gates.key(owner).await;
        let before = gates.ask(0, &ask).await.unwrap();
        gates.server.kill();
        match when_away {
            WhenAway::Confirm => {
                let during = gates.ask(0, &ask).await.unwrap();
                assert!(Arc::ptr_eq(&before, &during), "nothing has changed");
                // Whoever was never seen as well.
                gates.ask(1, &ask).await.unwrap();
                // Behind the back of both: only the store knows.
                let role = Change::SetRole {
                    user: owner,
                    role: "admin".to_owned(),
                };
                gates.fixture.make(role).await;
                for gate in gates.all() {
                    let principal = gates.ask(gate, &ask).await.unwrap();
                    assert_eq!(principal.caller.roles, ["admin"]);
                }
                assert!(before.standing.is_stale());
            }
            WhenAway::Refuse => {
                for gate in gates.all() {
                    let cause = gates.ask(gate, &ask).await.unwrap_err();
                    assert!(matches!(cause, Cause::Unavailable(_)), "{cause:?}");
                }
            }
        }
        gates.server.run().await;
        gates.until_all_are_here().await;
        for gate in gates.all() {
            gates.ask(gate, &ask).await.unwrap();
        }
    }
}

/// A tenth of the campaign, or all of it.
fn rounds() -> usize {
    match std::env::var_os("SCOPEGATE_SOAK") {
        Some(_) => 1_000,
        None => 60,
    }
}

/// What happens to Redis in a round, at any moment of it.
async fn happen(gates: &Gates, round: usize) {
    match round % 12 {
        3 => drop(gates.server.say("FLUSHALL").await),
        5 => drop(gates.server.say("CLIENT KILL TYPE normal").await),
        7 => drop(gates.server.say("CLIENT KILL TYPE pubsub").await),
        9 => drop(gates.server.say("SCRIPT FLUSH").await),
        _ => {}
    }
}

/// Round after round a key is used on all gates at once and revoked on one: not one request is admitted anywhere that began
/// after that had returned, whatever becomes of Redis meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_gate_admits_what_was_revoked_on_another() {
    let mut gates = Gates::with(3, |_, contract| contract.limits.api_key = 100_000).await;
    let owner = gates.user("viewer").await;
    let (mut before, after) = (0, Arc::new(AtomicU64::new(0)));
    for round in 0..rounds() {
        let (id, ask) = gates.key(owner).await;
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..9)
            .map(|client| {
                let gate = Arc::clone(&gates.gates[client % 3]);
                let (over, after) = (Arc::clone(&over), Arc::clone(&after));
                // What failed in the rounds before counts no more.
                let ask = ask.clone().at(NOW_MS + round as i64 * 180_000);
                tokio::spawn(async move {
                    let (mut admitted, mut refused) = (0, 0);
                    while refused < 3 && admitted < 100 {
                        let is_over = over.load(SeqCst);
                        match gate.check(&ask.request()).await {
                            Verdict::Admit(_) => {
                                assert!(!is_over, "admitted after the revocation had returned");
                                admitted += 1;
                            }
                            Verdict::Refuse(refusal) => match refusal.cause {
                                Cause::Revoked | Cause::TooManyFailures => refused += 1,
                                Cause::Unavailable(_) => {}
                                cause => panic!("{cause:?}"),
                            },
                        }
                        after.fetch_add(u64::from(is_over), SeqCst);
                        tokio::task::yield_now().await;
                    }
                    admitted
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(300 * (round as u64 % 20))).await;
        happen(&gates, round).await;
        if round % 12 == 11 {
            // With what it saved while the key was good.
            gates.server.say("SAVE").await;
            gates.server.kill();
            tokio::join!(revoke(&gates.gates[round % 3], id), gates.server.run());
        } else {
            revoke(&gates.gates[round % 3], id).await;
        }
        over.store(true, SeqCst);
        for client in clients {
            before += client.await.unwrap();
        }
        gates.until_all_are_here().await;
    }
    let after = after.load(SeqCst);
    println!(
        "{} rounds on 3 gates: {before} requests admitted before their key was revoked, none of {after} after",
        rounds()
    );
    assert!(before > 0 && after > 0);
}

//! What the table of `docs/many-gates.md` says, row by row: Redis away, PostgreSQL away, both, for one gate or for all. Nothing is
//! ever admitted that neither confirms, nobody waits for long, and nothing has to be started again afterwards.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::Method;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    network::Cable,
    office::{Answer, Key, STUCK},
    site::{Options, Site},
};

/// Never cut off.
const WHOLE: usize = 0;
/// `away: confirm`.
const CONFIRMING: usize = 1;
/// `away: refuse`.
const REFUSING: usize = 2;
/// Nobody waits longer for an answer, whatever is away.
const WAIT: Duration = Duration::from_secs(10);
/// What is under way for somebody who was revoked ends within a look or two, on a machine that does something else besides.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// Gates, and keys that they have seen or not.
struct Row {
    site: Site,
    /// Seen by all of them.
    known: Key,
    /// As well; somebody ends it.
    ended: Key,
    /// As well; somebody tries to end it.
    pending: Key,
    /// Seen by nobody.
    unknown: Key,
}

impl Row {
    async fn start(is_apart: bool) -> Self {
        let site = Site::start(Options {
            is_apart,
            counters: |node| {
                let away = if node == REFUSING {
                    "refuse"
                } else {
                    "confirm"
                };
                format!("timeout_ms: 300, away: {away}")
            },
            store: |url| format!("{{ url: \"{url}\", statement_timeout: 1s }}"),
            ..Options::default()
        })
        .await;
        let mint = async |name| site.office.mint(site.address(WHOLE), name).await;
        let (known, ended) = (mint("known").await, mint("ended").await);
        let (pending, unknown) = (mint("pending").await, mint("unknown").await);
        for gate in site.addresses() {
            for key in [&known, &ended, &pending] {
                assert_eq!(site.office.ask(gate, key).await.status, 200);
            }
        }
        Self {
            site,
            known,
            ended,
            pending,
            unknown,
        }
    }

    async fn ask(&self, node: usize, key: &Key) -> Answer {
        soon(self.site.office.ask(self.site.address(node), key).await)
    }

    /// Requests that each gate has under way for a key, for longer than anybody waits.
    async fn under_way(&self, key: &Key) -> Vec<JoinHandle<Answer>> {
        let mut arrived = self.site.slow.subscribe();
        let before = *arrived.borrow_and_update();
        let asked = self.site.addresses().into_iter().map(|gate| {
            let (office, key) = (Arc::clone(&self.site.office), key.clone());
            tokio::spawn(async move { office.ask_to(gate, &key, Method::GET, STUCK).await })
        });
        let asked: Vec<_> = asked.collect();
        let all = arrived.wait_for(|count| *count == before + asked.len());
        timeout(WAIT, all).await.expect("soon").expect("an API");
        asked
    }

    async fn revoke(&self, node: usize, key: &Key) -> Answer {
        let gate = self.site.address(node);
        soon(self.site.office.try_revoke(gate, &key.id).await)
    }

    /// On these nodes, more than once: nothing of it is by chance, or only at first.
    async fn always(&self, nodes: &[usize], key: &Key, status: u16) {
        join_all(nodes.iter().map(|node| async move {
            let begun = Instant::now();
            let mut asked = 0;
            while asked < 2 || begun.elapsed() < Duration::from_millis(300) {
                let answer = self.ask(*node, key).await;
                assert_eq!(answer.status, status, "node {node}: {answer:?}");
                if status == 503 {
                    assert_eq!(answer.code, "unavailable");
                }
                asked += 1;
            }
        }))
        .await;
    }

    /// Ended through a gate that nothing is wrong with, until that is confirmed. One that was cut off in the middle of writing
    /// keeps others from it for some seconds.
    async fn end(&self) {
        let gate = self.site.address(WHOLE);
        self.site.office.revoke(gate, &self.ended.id).await;
    }

    /// Nobody is admitted where a server is cut off that does not say so, and nobody waits for long.
    async fn never(&self, node: usize, keys: &[&Key]) {
        join_all(keys.iter().cycle().take(6).map(|key| async move {
            let answer = self.ask(node, key).await;
            assert!(answer.is(503, "unavailable"), "node {node}: {answer:?}");
        }))
        .await;
    }

    /// Without a restart of any gate, everything is as it should be on all of them.
    async fn recovers(&self) {
        for gate in self.site.addresses() {
            for key in [&self.known, &self.unknown] {
                self.site.office.until_asked(gate, key, 200).await;
            }
            self.site.office.until_asked(gate, &self.ended, 401).await;
        }
        // Through whichever gate, ends are confirmed again, and hold everywhere at once.
        for by in [CONFIRMING, REFUSING] {
            let gate = self.site.address(by);
            let key = self.site.office.mint(gate, "afterwards").await;
            for gate in self.site.addresses() {
                self.site.office.until_asked(gate, &key, 200).await;
            }
            for key in [&key, &self.pending] {
                self.site.office.revoke(gate, &key.id).await;
                for node in 0..self.site.addresses().len() {
                    let answer = self.ask(node, key).await;
                    assert_ne!(answer.status, 200, "revoked through {by}, used on {node}");
                    self.site
                        .office
                        .until_asked(self.site.address(node), key, 401)
                        .await;
                }
            }
        }
    }
}

fn soon(answer: Answer) -> Answer {
    assert!(answer.status != 0, "no answer");
    assert!(answer.took < WAIT, "too long: {answer:?}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_cut_from_redis_confirms_by_the_store_or_refuses() {
    let row = Row::start(true).await;
    let remaining = |answer: &Answer| answer.number("x-ratelimit-remaining");
    let before = remaining(&row.ask(CONFIRMING, &row.known).await);
    for node in [CONFIRMING, REFUSING] {
        row.site.cut(node, &[Cable::Redis]);
    }
    // Counted there alone from now on, from where it stood.
    let during = row.ask(CONFIRMING, &row.known).await;
    assert_eq!((during.status, remaining(&during)), (200, before - 1));
    assert_eq!(remaining(&row.ask(WHOLE, &row.known).await), before - 1);
    row.always(&[CONFIRMING], &row.known, 200).await;
    row.always(&[CONFIRMING], &row.unknown, 200).await;
    row.always(&[REFUSING], &row.known, 503).await;
    row.always(&[REFUSING], &row.unknown, 503).await;
    // Changes of others are seen with each request.
    row.end().await;
    assert_eq!(row.ask(CONFIRMING, &row.ended).await.status, 401);
    row.always(&[REFUSING], &row.ended, 503).await;
    // Its own are made and not confirmed, however often.
    for _ in 0..2 {
        let answer = row.revoke(CONFIRMING, &row.pending).await;
        assert!(answer.is(503, "revocation_pending"), "{answer:?}");
    }
    assert_eq!(row.ask(CONFIRMING, &row.pending).await.status, 401);
    // Whoever would make one there is refused as well.
    let answer = row.revoke(REFUSING, &row.known).await;
    assert!(answer.is(503, "unavailable"), "{answer:?}");
    for node in [CONFIRMING, REFUSING] {
        row.site.mend(node, &[Cable::Redis]);
    }
    row.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_cut_from_postgres_admits_whom_redis_confirms_and_nobody_else() {
    let row = Row::start(true).await;
    row.site.cut(CONFIRMING, &[Cable::Postgres]);
    row.always(&[CONFIRMING], &row.known, 200).await;
    row.never(CONFIRMING, &[&row.unknown]).await;
    // It changes nothing, and says so.
    let answer = row.revoke(CONFIRMING, &row.known).await;
    assert!(answer.is(503, "unavailable"), "{answer:?}");
    row.always(&[WHOLE, CONFIRMING], &row.known, 200).await;
    // Redis does not confirm it any more, and who it is now the store alone could say.
    row.end().await;
    row.never(CONFIRMING, &[&row.ended]).await;
    row.always(&[CONFIRMING], &row.known, 200).await;
    row.always(&[WHOLE], &row.ended, 401).await;
    row.site.mend(CONFIRMING, &[Cable::Postgres]);
    row.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_cut_from_both_admits_nobody() {
    let row = Row::start(true).await;
    let both = [Cable::Redis, Cable::Postgres];
    for node in [CONFIRMING, REFUSING] {
        row.site.cut(node, &both);
    }
    row.end().await;
    let keys = [&row.known, &row.unknown, &row.ended];
    tokio::join!(row.never(CONFIRMING, &keys), row.never(REFUSING, &keys));
    row.always(&[WHOLE], &row.known, 200).await;
    for node in [CONFIRMING, REFUSING] {
        row.site.mend(node, &both);
    }
    row.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_redis_confirms_and_without_both_nobody_is_admitted() {
    let mut row = Row::start(false).await;
    row.site.postgres.stop();
    let all = [WHOLE, CONFIRMING, REFUSING];
    row.always(&all, &row.known, 200).await;
    row.always(&all, &row.unknown, 503).await;
    let answer = row.revoke(WHOLE, &row.pending).await;
    assert!(answer.is(503, "unavailable"), "{answer:?}");
    row.site.redis.kill();
    row.always(&all, &row.known, 503).await;
    // One that knows nothing confirms nothing.
    row.site.redis.run();
    row.always(&all, &row.known, 503).await;
    row.site.postgres.run();
    row.end().await;
    row.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_store_confirms_and_whoever_is_told_to_refuses() {
    let mut row = Row::start(false).await;
    let (going, ending) = (
        row.under_way(&row.known).await,
        row.under_way(&row.ended).await,
    );
    row.site.redis.kill();
    for key in [&row.known, &row.unknown] {
        row.always(&[WHOLE], key, 200).await;
        row.always(&[CONFIRMING], key, 200).await;
        row.always(&[REFUSING], key, 503).await;
    }
    let answer = row.revoke(WHOLE, &row.ended).await;
    assert!(answer.is(503, "revocation_pending"), "{answer:?}");
    // Made all the same: who asks the store hears of it.
    row.always(&[WHOLE], &row.ended, 401).await;
    row.always(&[CONFIRMING], &row.ended, 401).await;
    row.always(&[REFUSING], &row.ended, 503).await;
    // What was under way the store confirms on each gate, however new requests are taken there.
    for (node, ending) in ending.into_iter().enumerate() {
        let ended = timeout(UNDER_WAY, ending).await;
        let answer = ended.unwrap_or_else(|_| panic!("node {node} goes on for who was revoked"));
        assert_ne!(answer.expect("it asks").status, 200, "node {node}");
    }
    assert!(going.iter().all(|going| !going.is_finished()));
    // A gate starts without it, too.
    row.site.gates[CONFIRMING].take().expect("it runs").kill();
    row.site.run_again(CONFIRMING).await;
    row.always(&[CONFIRMING], &row.known, 200).await;
    row.always(&[CONFIRMING], &row.ended, 401).await;
    row.site.redis.run();
    row.recovers().await;
}

//! What lasts: through kills, concurrent writers, retention and stores from before there was a chain.

use std::fs;

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::{Chain, lines};
use crate::{
    Directory,
    audit::{Filter, Found},
    contract::Authority,
    store::{
        Actor, Change, Store,
        fixture::{Engine, NOW_MS, behaviours},
    },
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// 2026-04-01
const FIRST_DAY_MS: i64 = 1_775_001_600_000;

fn create(name: &str) -> Change {
    Change::CreateOrganization {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        admin: None,
    }
}

async fn all(store: &Store) -> Vec<Found> {
    store
        .search_audit(&Filter::default(), None, 1000)
        .await
        .unwrap()
        .records
}

/// Copies the files as a kill leaves them, at some moments while records are added, the heads first: what was exported is
/// never ahead of the store.
#[tokio::test]
async fn whenever_it_is_killed_the_chain_is_clean() {
    let chain = Chain::of_three_days(Engine::Sqlite).await;
    for round in 0..10 {
        let writing = async {
            for _ in 0..5 {
                chain.record(3 + round / 5, 3).await;
            }
        };
        let killed = async {
            tokio::task::yield_now().await;
            let copy = tempfile::tempdir().unwrap();
            for name in ["heads.jsonl", "gate.db", "gate.db-wal"] {
                fs::copy(chain.path(name), copy.path().join(name)).unwrap();
            }
            fs::copy(chain.path("key.json"), copy.path().join("key.json")).unwrap();
            copy
        };
        let ((), dir) = tokio::join!(writing, killed);
        let mut copy = Chain {
            url: Engine::Sqlite.url(&dir),
            dir,
            store: None,
        };
        assert_eq!(copy.findings().await, [""; 0]);
        // And it goes on from there.
        copy.open().await.unwrap();
        copy.record(5, 1).await;
        assert_eq!(copy.findings().await, [""; 0]);
    }
}

async fn changes_and_groups_at_once_make_one_chain_and_verifying_may_go_on_meanwhile(
    engine: Engine,
) {
    let mut chain = Chain::on(engine).await;
    chain.record(1, 1).await;
    let directory = Directory::new(chain.store.take().unwrap(), Authority::Owner);
    let writers = (0..4).map(|writer| {
        let directory = directory.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                if writer % 2 == 0 {
                    let change = create(&format!("{writer}-{round}"));
                    directory
                        .apply(change, Actor::Machine, NOW_MS)
                        .await
                        .unwrap();
                } else {
                    let group = lines(1, 1 + round * 7);
                    directory.store().append_audit(&group).await.unwrap();
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..10 {
        assert_eq!(chain.findings().await, [""; 0]);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let report = chain.verify().await;
    assert!(report.is_clean(), "{report:?}");
    let groups: usize = (0..20).map(|round| 1 + round * 7).sum();
    assert_eq!(report.records, 41 + 2 * groups as u64);
    assert_eq!(report.signed_through, Some(report.last_seq));
}

async fn retention_deletes_whole_segments_and_says_so(engine: Engine) {
    let mut chain = Chain::of_three_days(engine).await;
    let now_ms = FIRST_DAY_MS + 3 * DAY_MS;
    // Closed by records of the second and of the third day.
    let pruned = chain
        .store()
        .prune_audit(FIRST_DAY_MS + DAY_MS, now_ms)
        .await
        .unwrap();
    assert_eq!((pruned.segments, pruned.records), (0, 0));
    let pruned = chain
        .store()
        .prune_audit(now_ms - DAY_MS, now_ms)
        .await
        .unwrap();
    assert_eq!((pruned.segments, pruned.records), (1, 5));
    let report = chain.verify().await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(
        (report.records, report.pruned, report.last_seq),
        (11, 1, 16)
    );
    let newest: Value = serde_json::from_str(&all(chain.store()).await[0].line).unwrap();
    assert_eq!(
        (&newest["action"], &newest["actor"]),
        (&"audit.prune".into(), &"gate".into())
    );
    assert_eq!(newest["detail"]["segments"][0]["last_seq"], 5);

    // Until nothing is left but what tells of it; twice, so that the first record of pruning goes as well.
    for day in [4, 5] {
        let now_ms = FIRST_DAY_MS + day * DAY_MS;
        chain
            .store()
            .prune_audit(now_ms + DAY_MS, now_ms)
            .await
            .unwrap();
        assert_eq!(chain.findings().await, [""; 0]);
    }
    chain.close().await;
    chain.open().await.unwrap();
    assert_eq!(chain.findings().await, [""; 0]);
    // More than retention took is missed.
    chain
        .tamper("DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)")
        .await;
    assert_ne!(chain.findings().await, [""; 0]);
}

async fn a_prune_that_was_killed_is_finished_by_the_next(engine: Engine) {
    let chain = Chain::of_three_days(engine).await;
    let now_ms = FIRST_DAY_MS + 3 * DAY_MS;
    assert_eq!(chain.store().mark_pruned(now_ms, now_ms).await.unwrap(), 2);
    assert_eq!(chain.findings().await, [""; 0]);
    let pruned = chain.store().prune_audit(0, now_ms).await.unwrap();
    assert_eq!((pruned.segments, pruned.records), (0, 10));
    assert_eq!(chain.findings().await, [""; 0]);
}

#[tokio::test]
async fn events_of_an_older_store_are_the_first_records() {
    let mut chain = Chain::on(Engine::Sqlite).await;
    chain.close().await;
    let user = Uuid::from_u128(7);
    let events = format!(
        "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, \
         organization TEXT, action TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL) STRICT; \
         CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'kept'); END; \
         INSERT INTO events (at_ms, actor, organization, action, subject, detail) VALUES \
         ({FIRST_DAY_MS}, 'machine', NULL, 'organization.create', 'one', '{{}}'), \
         ({FIRST_DAY_MS} + {DAY_MS}, '{user}', '{user}', 'user.set-role', 'two', '{{\"role\":\"viewer\"}}')"
    );
    chain.tamper(&events).await;
    for _ in 0..2 {
        chain.open().await.unwrap();
        assert_eq!(chain.findings().await, [""; 0]);
        let records = all(chain.store()).await;
        assert_eq!(records.len(), 2);
        let second: Value = serde_json::from_str(&records[0].line).unwrap();
        assert_eq!(second["time"], "2026-04-02T00:00:00Z");
        assert_eq!(
            (&second["user"], &second["actor"]),
            (&user.to_string().into(), &user.to_string().into())
        );
        assert_eq!(second["detail"]["role"], "viewer");
        chain.close().await;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Change,
    Refused,
    Group { day: usize, count: usize },
    Both { count: usize },
    Reopen,
    Prune { day: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Change),
        Just(Step::Refused),
        (1..9_usize, 0..300_usize).prop_map(|(day, count)| Step::Group { day, count }),
        (1..20_usize).prop_map(|count| Step::Both { count }),
        Just(Step::Reopen),
        (1..9_i64).prop_map(|day| Step::Prune { day }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_whatever_order_verifies(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let findings = runtime.block_on(async {
            let mut chain = Chain::on(Engine::Sqlite).await;
            for (number, step) in steps.iter().enumerate() {
                let store = chain.store();
                let at_ms = FIRST_DAY_MS + number as i64 * DAY_MS / 3;
                let name = format!("{number}");
                let origin = Actor::Machine.into();
                match step {
                    Step::Change => assert!(store.apply(&create(&name), &origin, at_ms, None).await.unwrap().changed),
                    Step::Refused => {
                        let unknown = Change::Revoke(Uuid::now_v7());
                        store.apply(&unknown, &origin, at_ms, None).await.unwrap_err();
                    }
                    Step::Group { day, count } => chain.record(*day, (*count).max(1)).await,
                    Step::Both { count } => {
                        let (group, change) = (lines(1, *count), create(&name));
                        let (one, two) = tokio::join!(
                            store.append_audit(&group),
                            store.apply(&change, &origin, at_ms, None)
                        );
                        one.unwrap();
                        two.unwrap();
                    }
                    Step::Reopen => {
                        chain.close().await;
                        chain.open().await.unwrap();
                    }
                    Step::Prune { day } => {
                        store.prune_audit(FIRST_DAY_MS + day * DAY_MS, at_ms).await.unwrap();
                    }
                }
            }
            chain.findings().await
        });
        prop_assert_eq!(findings, [""; 0]);
    }
}

behaviours! {
    changes_and_groups_at_once_make_one_chain_and_verifying_may_go_on_meanwhile,
    retention_deletes_whole_segments_and_says_so,
    a_prune_that_was_killed_is_finished_by_the_next,
}

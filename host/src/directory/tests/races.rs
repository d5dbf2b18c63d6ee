use std::{
    pin::pin,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
    task::{Context, Wake, Waker},
    thread,
};

use super::{found, open_session};
use crate::{
    directory::{facts::session_principal, *},
    store::fixture::{Fixture, NOW_MS},
};

/// How often the race tests change something in a real store.
pub(super) fn rounds() -> i64 {
    let asked = std::env::var("SCOPEGATE_RACE_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    asked.unwrap_or(1_000)
}

/// Looks at the generation at the moment at which a place is emptied.
struct Look {
    directory: Directory,
    seen: AtomicU64,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        self.seen
            .store(*self.directory.inner.generation.lock(), SeqCst);
    }
}

/// Counted up afterwards, a look-up could bring back in between what it read before.
#[tokio::test]
async fn a_change_counts_up_before_it_empties() {
    let fixture = Fixture::new(Authority::Owner).await;
    let directory = &fixture.directory;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let session = open_session(&fixture, ada).await;
    for touch in [Touch::Session(session), Touch::User(ada)] {
        let looked_up = directory.by_session(session, ada, NOW_MS).await.unwrap();
        let LookUp::Found(principal) = looked_up else {
            panic!("{looked_up:?}")
        };
        let look = Arc::new(Look {
            directory: directory.clone(),
            seen: AtomicU64::new(0),
        });
        let waker = Waker::from(Arc::clone(&look));
        let mut stale = pin!(principal.standing.stale());
        assert!(
            stale
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let before = *directory.inner.generation.lock();
        directory.inner.empty(touch);
        assert_eq!(look.seen.load(SeqCst), before + 1, "{touch:?}");
    }
}

/// The cache alone, against a store that answers at once: gaps that a commit to disk is too slow to hit.
#[tokio::test]
async fn what_was_read_before_a_change_is_never_kept_after_it() {
    let fixture = Fixture::new(Authority::Owner).await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let session = open_session(&fixture, ada).await;
    let facts = fixture
        .directory
        .store()
        .find_session(session)
        .await
        .unwrap()
        .unwrap();
    let inner = &fixture.directory.inner;
    let (stored, acknowledged) = (AtomicI64::new(0), AtomicI64::new(0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let at_least = acknowledged.load(SeqCst);
                    let kept = inner.sessions.get(&session);
                    let principal = kept.unwrap_or_else(|| {
                        let generation = *inner.generation.lock();
                        let mut facts = facts.clone();
                        facts.session.auth_time = stored.load(SeqCst);
                        // The way back from the store takes a moment.
                        thread::yield_now();
                        let read = session_principal(facts, &inner.registered).unwrap();
                        inner.keep(&inner.sessions, session, read, generation)
                    });
                    assert!(principal.caller.auth_time.unwrap() >= at_least);
                }
            });
        }
        for change in 1..=rounds() * 2 {
            stored.store(change, SeqCst);
            let touch = if change % 2 == 0 {
                Touch::User(ada)
            } else {
                Touch::Session(session)
            };
            inner.empty(touch);
            acknowledged.store(change, SeqCst);
            // Long enough for whoever was on the way back.
            for _ in 0..change % 4 {
                thread::yield_now();
                let kept = inner
                    .sessions
                    .get(&session)
                    .map(|place| place.caller.auth_time);
                assert!(
                    kept.is_none_or(|read| read == Some(change)),
                    "{kept:?} after {change}"
                );
            }
        }
        done.store(true, SeqCst);
    });
}

/// A look-up that starts after a change has returned sees the change, however look-ups and changes interleave.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_look_up_brings_back_what_a_change_ended() {
    let fixture = Arc::new(Fixture::new(Authority::Owner).await);
    let ada = fixture.user("ada@example.com", "r0").await;
    let (_, hash) = fixture.key(Some(ada)).await;
    let session = open_session(&fixture, ada).await;
    let acknowledged = Arc::new(AtomicI64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let looked_up = Arc::new(AtomicU64::new(0));

    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (fixture, acknowledged) = (Arc::clone(&fixture), Arc::clone(&acknowledged));
            let (done, looked_up) = (Arc::clone(&done), Arc::clone(&looked_up));
            tokio::spawn(async move {
                while !done.load(SeqCst) {
                    let at_least = acknowledged.load(SeqCst);
                    let principal = if reader % 2 == 0 {
                        found(&fixture.directory, &hash).await
                    } else {
                        match fixture
                            .directory
                            .by_session(session, ada, NOW_MS)
                            .await
                            .unwrap()
                        {
                            LookUp::Found(principal) => principal,
                            other => panic!("{other:?}"),
                        }
                    };
                    let role: i64 = principal.caller.roles[0][1..].parse().unwrap();
                    assert!(role >= at_least, "{role} after {at_least} was acknowledged");
                    looked_up.fetch_add(1, SeqCst);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 1..=rounds() {
        fixture
            .make(Change::SetRole {
                user: ada,
                role: format!("r{round}"),
            })
            .await;
        acknowledged.store(round, SeqCst);
    }
    done.store(true, SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    println!(
        "{} look-ups against {} changes",
        looked_up.load(SeqCst),
        rounds()
    );
}

/// The same for an end: once a revocation has returned, the key is never accepted again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revoked_key_stays_revoked() {
    let fixture = Arc::new(Fixture::new(Authority::Scopes).await);
    for round in 0..rounds() / 10 {
        let (id, hash) = fixture.key(None).await;
        let revoked = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (fixture, revoked) = (Arc::clone(&fixture), Arc::clone(&revoked));
                tokio::spawn(async move {
                    let mut refused = 0;
                    // Some look-ups after the first refusal too: nothing may bring it back.
                    while refused < 3 {
                        let over = revoked.load(SeqCst);
                        match fixture.directory.by_key(&hash, NOW_MS).await.unwrap() {
                            LookUp::Found(_) => assert!(!over, "accepted after revocation"),
                            LookUp::Revoked(_) => refused += 1,
                            other => panic!("{other:?}"),
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        fixture.make(Change::Revoke(id)).await;
        revoked.store(true, SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(fixture.directory.cached(&hash, NOW_MS).is_none());
    }
}

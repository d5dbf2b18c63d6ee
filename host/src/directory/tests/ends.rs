//! Every kind of change that ends or shortens something, against look-ups that fill the cache at the same moment: over a
//! real store, thousands of times.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use tokio::task::JoinSet;

use super::{open_session, races::rounds};
use crate::{
    directory::*,
    key::KeyHash,
    password::PasswordHash,
    store::{
        CredentialKind, NewCredential, NewInvitation,
        fixture::{Fixture, NOW_MS},
    },
};

const READERS: usize = 3;

/// Of each kind of change.
fn interleavings() -> i64 {
    rounds() / 2
}

/// Look-ups that found what was there before the change, and what is there after it.
#[derive(Debug, Default)]
struct Counts {
    before: AtomicUsize,
    after: AtomicUsize,
}

/// Makes a change while others look up. `look` tells whether what it found is of before the change: never for a
/// look-up that starts after the change has returned.
async fn race<L, F>(
    fixture: &Arc<Fixture>,
    counts: &Arc<Counts>,
    change: Change,
    spins: i64,
    look: L,
) where
    L: Fn(Arc<Fixture>) -> F + Clone + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (fixture, counts, over) = (Arc::clone(fixture), Arc::clone(counts), Arc::clone(&over));
        let look = look.clone();
        readers.spawn(async move {
            // Some look-ups afterwards too: nothing may bring it back.
            let mut afterwards = 0;
            while afterwards < 3 {
                let is_over = over.load(SeqCst);
                if reader == 0 {
                    // So that the others fill it again and again: while the change is made, too.
                    fixture.directory.inner.keys.remove_all(|_| true);
                    fixture.directory.inner.sessions.remove_all(|_| true);
                }
                if look(Arc::clone(&fixture)).await {
                    assert!(!is_over, "what was before the change is found after it");
                    counts.before.fetch_add(1, SeqCst);
                } else {
                    counts.after.fetch_add(1, SeqCst);
                }
                afterwards += i64::from(is_over);
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..spins {
        tokio::task::yield_now().await;
    }
    fixture.make(change).await;
    over.store(true, SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
}

fn print(what: &str, rounds: i64, counts: &Counts) {
    let (before, after) = (counts.before.load(SeqCst), counts.after.load(SeqCst));
    assert!(before > 0 && after > 0);
    println!("{what}: {rounds} rounds, {before} look-ups before the change, {after} after it");
}

/// Whether a key or agent token is found, and without an end.
async fn is_endless(fixture: Arc<Fixture>, hash: KeyHash) -> bool {
    match fixture.directory.by_key(&hash, NOW_MS).await.unwrap() {
        LookUp::Found(principal) => principal.expires_at.is_none(),
        LookUp::Revoked(_) => false,
        other => panic!("{other:?}"),
    }
}

async fn is_open(fixture: Arc<Fixture>, session: Uuid, user: Uuid) -> bool {
    let found = fixture.directory.by_session(session, user, NOW_MS).await;
    match found.unwrap() {
        LookUp::Found(_) => true,
        LookUp::Revoked(_) => false,
        other => panic!("{other:?}"),
    }
}

/// Many keys in one change.
async fn keys(fixture: &Fixture, owner: Option<Uuid>, count: i64) -> Vec<(Uuid, KeyHash)> {
    let new: Vec<NewCredential> = (0..count).map(|_| fixture.new_key(owner).0).collect();
    let keys = new.iter().map(|new| (new.credential.id, new.hash));
    let keys = keys.collect();
    let import = Change::Import {
        organization: fixture.organization,
        credentials: new,
    };
    fixture.make(import).await;
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revoking() {
    let fixture = Arc::new(Fixture::quick(Authority::Scopes).await);
    let counts = Arc::default();
    for (round, (id, hash)) in (0..).zip(keys(&fixture, None, interleavings()).await) {
        let look = move |fixture| is_endless(fixture, hash);
        race(&fixture, &counts, Change::Revoke(id), round % 11, look).await;
        assert!(fixture.directory.cached(&hash, NOW_MS).is_none());
    }
    print("revoking", interleavings(), &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotating() {
    let fixture = Arc::new(Fixture::quick(Authority::Scopes).await);
    let counts = Arc::default();
    for (round, (id, hash)) in (0..).zip(keys(&fixture, None, interleavings()).await) {
        let (mut new, _) = fixture.new_key(None);
        new.credential.predecessor = Some(id);
        let rotate = Change::Rotate {
            old: id,
            retires_at: NOW_MS / 1000 + 60,
            new: Box::new(new),
        };
        let look = move |fixture| is_endless(fixture, hash);
        race(&fixture, &counts, rotate, round % 11, look).await;
    }
    print("rotating", interleavings(), &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn disabling() {
    let fixture = Arc::new(Fixture::quick(Authority::Owner).await);
    let counts = Arc::default();
    for round in 0..interleavings() {
        let user = fixture
            .user(&format!("{round}@example.com"), "viewer")
            .await;
        let (_, hash) = fixture.key(Some(user)).await;
        let session = open_session(&fixture, user).await;
        // Whether the key or the session: by the round.
        let by_key = round % 2 == 0;
        let look = move |fixture: Arc<Fixture>| async move {
            match by_key {
                true => is_endless(fixture, hash).await,
                false => is_open(fixture, session, user).await,
            }
        };
        let disable = Change::DisableUser(user);
        race(&fixture, &counts, disable, round % 11, look).await;
    }
    print("disabling a user", interleavings(), &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleting_a_cluster() {
    let fixture = Arc::new(Fixture::quick(Authority::Scopes).await);
    let counts = Arc::default();
    let (_, other) = fixture.key(None).await;
    for round in 0..interleavings() {
        let id = format!("c{round}");
        let (mut new, _) = fixture.new_key(None);
        new.credential.kind = CredentialKind::Agent;
        new.credential.cluster = Some(id.clone());
        let hash = new.hash;
        let add = Change::AddCluster {
            organization: fixture.organization,
            id: id.clone(),
            agent: Some(Box::new(new)),
        };
        fixture.make(add).await;
        let delete = Change::DeleteCluster {
            organization: fixture.organization,
            id: id.clone(),
        };
        // The agent ends; every other caller no longer knows of the cluster.
        let of_agent = round % 2 == 0;
        let look = move |fixture: Arc<Fixture>| {
            let id = id.clone();
            async move {
                if of_agent {
                    return is_endless(fixture, hash).await;
                }
                match fixture.directory.by_key(&other, NOW_MS).await.unwrap() {
                    LookUp::Found(principal) => principal.registered.contains(&id),
                    other => panic!("{other:?}"),
                }
            }
        };
        race(&fixture, &counts, delete, round % 11, look).await;
    }
    print("deleting a cluster", interleavings(), &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn taking_an_invitation_up() {
    let fixture = Arc::new(Fixture::quick(Authority::Owner).await);
    let counts = Arc::default();
    let ada = fixture.user("ada@example.com", "viewer").await;
    for round in 0..interleavings() {
        let hash = KeyHash::of(&format!("invitation {round}"));
        let invite = Change::Invite {
            user: ada,
            invitation: NewInvitation {
                hash,
                expires_at: NOW_MS / 1000 + 60,
            },
        };
        fixture.make(invite).await;
        let session = open_session(&fixture, ada).await;
        let accept = Change::AcceptInvitation {
            user: ada,
            hash,
            password: password(),
        };
        let look = move |fixture| is_open(fixture, session, ada);
        race(&fixture, &counts, accept, round % 11, look).await;
    }
    print("taking an invitation up", interleavings(), &counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn signing_out() {
    let fixture = Arc::new(Fixture::quick(Authority::Owner).await);
    let counts = Arc::default();
    let ada = fixture.user("ada@example.com", "viewer").await;
    for round in 0..interleavings() {
        let session = open_session(&fixture, ada).await;
        let sign_out = match round % 3 {
            0 => Change::EndSession(session),
            1 => Change::EndSessions {
                user: ada,
                except: None,
            },
            _ => Change::SetPassword {
                user: ada,
                password: password(),
                replaces: None,
                except: None,
            },
        };
        let look = move |fixture| is_open(fixture, session, ada);
        race(&fixture, &counts, sign_out, round % 11, look).await;
    }
    print("signing out", interleavings(), &counts);
}

/// A hash that nobody's password has; hashing one takes too long for this.
fn password() -> PasswordHash {
    let phc = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";
    PasswordHash::parse(phc.to_owned()).unwrap()
}

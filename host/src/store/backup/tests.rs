use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{
    Directory,
    contract::Authority,
    directory::LookUp,
    store::{
        Store,
        fixture::{Fixture, NOW_MS},
    },
};

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// A store with a key, and a copy of it made while it is open.
async fn copied() -> (Fixture, crate::key::KeyHash, PathBuf) {
    let fixture = Fixture::new(Authority::Scopes).await;
    let (_, hash) = fixture.key(None).await;
    let file = fixture.dir.path().join("copy.db");
    let bytes = back_up(&fixture.path(), Purpose::Serve, &file).await;
    assert_eq!(bytes.unwrap(), file.metadata().unwrap().len());
    (fixture, hash, file)
}

async fn finds(store: &Path, hash: &crate::key::KeyHash) -> bool {
    let store = Store::open(&url(store), Purpose::Serve, Missing::Refuse).await;
    let directory = Directory::new(store.unwrap(), Authority::Scopes);
    let found = directory.by_key(hash, NOW_MS).await.unwrap();
    directory.store().close().await;
    matches!(found, LookUp::Found(_))
}

/// Only what was asked for is there.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_of_an_open_store_is_whole_private_and_final() {
    let (fixture, hash, file) = copied().await;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (_, later) = fixture.key(None).await;
    let again = back_up(&fixture.path(), Purpose::Serve, &file).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");

    let elsewhere = tempfile::tempdir().unwrap();
    let store = elsewhere.path().join("gate.db");
    let lock = StoreLock::take(&store).unwrap();
    let restored = restore(&store, Purpose::Serve, &file, InPlace::Keep, &lock).await;
    assert_eq!(restored.unwrap(), None);
    assert_eq!(names(elsewhere.path()), ["gate.db", "gate.db.lock"]);
    assert_eq!(
        store.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(finds(&store, &hash).await && !finds(&store, &later).await);
}

#[tokio::test]
async fn a_store_in_place_stays_or_is_kept_under_another_name() {
    let (fixture, hash, file) = copied().await;
    let (_, later) = fixture.key(None).await;
    let store = fixture.path();
    let lock = StoreLock::take(&store).unwrap();
    // Not closed: as after a crash, the key is in the journal beside the file.
    let crashed = tempfile::tempdir().unwrap();
    let old = crashed.path().join("gate.db");
    for (from, to) in files_of(&store).iter().zip(files_of(&old)) {
        fs::copy(from, to).unwrap();
    }
    let stays = restore(&old, Purpose::Serve, &file, InPlace::Keep, &lock).await;
    assert!(matches!(stays, Err(BackupError::Exists(_))), "{stays:?}");
    let rename = InPlace::Rename { now_ms: NOW_MS };
    let kept = restore(&old, Purpose::Serve, &file, rename, &lock).await;
    let kept = kept.unwrap().expect("a name");
    assert_eq!(
        kept,
        crashed.path().join(format!("gate.db.replaced-{NOW_MS}"))
    );
    assert!(finds(&old, &hash).await && !finds(&old, &later).await);
    assert!(finds(&kept, &hash).await && finds(&kept, &later).await);

    // A journal alone is a store in place too: read with another store, it would damage it.
    fs::remove_file(&old).unwrap();
    fs::write(with_end(&old, "-wal"), "left over").unwrap();
    let stays = restore(&old, Purpose::Serve, &file, InPlace::Keep, &lock).await;
    assert!(matches!(stays, Err(BackupError::Exists(_))), "{stays:?}");
}

#[tokio::test]
async fn what_is_no_sound_copy_is_refused_and_changes_nothing() {
    let (fixture, _, file) = copied().await;
    let place = tempfile::tempdir().unwrap();
    let store = place.path().join("gate.db");
    let lock = StoreLock::take(&store).unwrap();
    let mut damaged = fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x5a);
    let mut refused = Vec::new();
    for bytes in [
        &b"not a database, but long enough to look like one"[..],
        &damaged,
        b"",
    ] {
        let wrong = fixture.dir.path().join("wrong.db");
        fs::write(&wrong, bytes).unwrap();
        let error = restore(&store, Purpose::Serve, &wrong, InPlace::Keep, &lock).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("wrong.db") && !error.contains("store.db"),
            "{error}"
        );
        refused.push(error);
    }
    assert!(
        refused[0].contains("it is not a database"),
        "{}",
        refused[0]
    );
    assert!(refused[1].contains("damaged"), "{}", refused[1]);
    assert!(refused[2].contains("it is empty"), "{}", refused[2]);
    let demo = restore(&store, Purpose::Demo, &file, InPlace::Keep, &lock).await;
    assert!(
        matches!(demo, Err(BackupError::Open(OpenError::WrongPurpose { .. }))),
        "{demo:?}"
    );
    // The bare file of a store that is in use lacks what is in its journal.
    let in_use = restore(
        &store,
        Purpose::Serve,
        &fixture.path(),
        InPlace::Keep,
        &lock,
    )
    .await;
    assert!(
        matches!(in_use, Err(BackupError::InUse { .. })),
        "{in_use:?}"
    );
    let missing = back_up(&store, Purpose::Serve, &place.path().join("copy.db")).await;
    assert!(
        matches!(missing, Err(BackupError::Open(OpenError::Missing(_)))),
        "{missing:?}"
    );
    assert_eq!(names(place.path()), ["gate.db.lock"]);
}

//! `scopegate store`: a backup beside a server that is at work, and a gate that serves it elsewhere.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use serde_json::Value;

use super::{
    binary::{run, run_ok, text},
    own_gate::{gate, json, serve, status},
};

fn mint(directory: &Path, name: &str) -> Value {
    let owner = "admin@example.com";
    json(
        directory,
        &["key", "mint", "--owner", owner, "--name", name],
    )
}

/// What the API says to this key: 502 where it is admitted, for nobody is at the upstream's address.
fn asked(url: &str, key: &Value) -> String {
    let secret = key["secret"].as_str().expect("a secret");
    status(
        &format!("{url}/v1/organization"),
        &format!("-H 'Authorization: Bearer {secret}'"),
    )
}

/// What a command that fails says.
fn refusal(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    text(&output.stderr)
}

#[test]
fn a_backup_under_load_serves_elsewhere() {
    let gate = gate("scopegate");
    let directory = gate.path().to_owned();
    let (server, url) = serve(&directory);
    let before = mint(&directory, "before");
    let revoked = mint(&directory, "revoked");
    json(
        &directory,
        &["key", "revoke", revoked["id"].as_str().expect("an id")],
    );

    let done = Arc::new(AtomicBool::new(false));
    let minting = {
        let (directory, done) = (directory.clone(), Arc::clone(&done));
        thread::spawn(move || {
            let mut minted = Vec::new();
            while !done.load(SeqCst) {
                minted.push(mint(&directory, &format!("during-{}", minted.len())));
            }
            minted
        })
    };
    let mut backups = Vec::new();
    for round in 0..5 {
        let name = format!("backup-{round}.db");
        let made = json(&directory, &["store", "backup", &name]);
        let path = directory.join(&name);
        let file = path.metadata().expect("a file");
        assert_eq!(made["bytes"], file.len());
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(asked(&url, &before), "502", "the server goes on");
        backups.push(path);
    }
    done.store(true, SeqCst);
    let during = minting.join().expect("it mints");
    let after = mint(&directory, "after");
    let last = backups
        .last()
        .expect("one")
        .to_str()
        .expect("text")
        .to_owned();
    let again = refusal(&directory, &["store", "backup", &last]);
    assert!(again.contains("is there already"), "{again}");

    // Over a server's feet: never.
    let held = refusal(&directory, &["store", "restore", &last, "--replace"]);
    assert!(
        held.contains("in use") && held.contains("end the server first"),
        "{held}"
    );
    server.interrupt();

    // Elsewhere: with the signing keys, and a configuration that is as good as the first.
    let elsewhere = self::gate("scopegate");
    let other = elsewhere.path();
    let keys = "signing-keys.json";
    std::fs::copy(directory.join(keys), other.join(keys)).expect("copied");
    let stays = refusal(other, &["store", "restore", &last]);
    assert!(
        stays.contains("is there already") && stays.contains("--replace"),
        "{stays}"
    );
    let restored = json(other, &["store", "restore", &last, "--replace"]);
    let kept = restored["replaced"].as_str().expect("a name");
    assert!(Path::new(kept).exists());
    // The heads that were exported here are of another audit, and so is the key that signed them.
    std::fs::remove_file(other.join("audit-heads.jsonl")).expect("removed");
    let key = "audit-key.json";
    std::fs::copy(directory.join(key), other.join(key)).expect("copied");
    let (server, url) = serve(other);
    assert_eq!(asked(&url, &before), "502");
    assert_eq!(asked(&url, &revoked), "401");
    assert_eq!(asked(&url, &after), "401", "minted after the backup");
    // As of one moment: all up to some one, none after it.
    let there: Vec<bool> = during.iter().map(|key| asked(&url, key) == "502").collect();
    assert!(there.is_sorted_by(|one, next| one >= next), "{there:?}");
    println!(
        "{} of {} keys minted meanwhile are in it",
        there.iter().filter(|is| **is).count(),
        there.len()
    );
    // And it is a store like any other.
    let further = mint(other, "further");
    assert_eq!(asked(&url, &further), "502");
    server.interrupt();
}

#[test]
fn a_lost_store_is_restored_and_its_audit_says_what_is_missing() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let key = mint(directory, "ci");
    json(directory, &["store", "backup", "backup.db"]);
    let later = mint(directory, "later");
    // The command that minted left a journal; it is a part of what is lost.
    for name in ["scopegate.db", "scopegate.db-wal", "scopegate.db-shm"] {
        let _ = std::fs::remove_file(directory.join(name));
    }
    let wrong = refusal(directory, &["store", "restore", "policy.yaml"]);
    assert!(
        wrong.contains("`policy.yaml` is not a store of the gate"),
        "{wrong}"
    );
    let restored = run(directory, &["store", "restore", "backup.db"]);
    let said = text(&restored.stderr);
    assert!(
        said.contains("audit-heads.jsonl` away and keep it"),
        "{said}"
    );

    // The exported heads know of more: nobody signs over that before somebody has looked.
    let verified = run(directory, &["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let findings = text(&verified.stdout);
    assert!(findings.contains("the end is cut off"), "{findings}");
    let refused = refusal(directory, &["serve"]);
    assert!(refused.contains("move the heads file away"), "{refused}");
    let heads = directory.join("audit-heads.jsonl");
    std::fs::rename(&heads, directory.join("heads-of-the-lost-one.jsonl")).expect("moved");
    let (server, url) = serve(directory);
    assert_eq!(asked(&url, &key), "502");
    assert_eq!(asked(&url, &later), "401");
    server.interrupt();
    run_ok(directory, &["audit", "verify"]);
}

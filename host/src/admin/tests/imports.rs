//! Imports: by the contract's rules, all or nothing. And invitations: taken up once.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Office;
use crate::{
    admin::{ErrorKind, Reply},
    contract::Authority,
    key::KeyHash,
    password,
    store::{Change, ChangeError, Conflict, Origin, fixture::NOW_MS},
};

fn foreign(first: &str, change: Value) -> Value {
    let mut key = json!({
        "name": "old", "sha256": first.repeat(32), "owner": "ada@example.com", "prefix": "k8c_", "last_four": "9xYz",
    });
    key.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    key
}

fn import(keys: Value) -> Value {
    json!({"command": "key-import", "keys": keys})
}

async fn count(office: &Office) -> usize {
    match office.done(json!({"command": "key-list"})).await {
        Reply::Credentials { credentials } => credentials.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn imports_are_whole_or_not_at_all() {
    use ErrorKind::{Conflict, Invalid, Unknown};
    let office = Office::new(Authority::Owner).await;
    let good = || foreign("aa", json!({}));
    for (wrong, kind, text) in [
        (foreign("aa", json!({})), Conflict, "taken"),
        (foreign("zz", json!({})), Invalid, "`sha256` is not a hash"),
        (foreign("b", json!({})), Invalid, "`sha256` is not a hash"),
        (
            foreign("bb", json!({"owner": null})),
            Invalid,
            "a key needs an owner",
        ),
        (
            foreign("bb", json!({"owner": "eda@example.com"})),
            Unknown,
            "there is no user",
        ),
        (
            foreign("bb", json!({"name": ""})),
            Invalid,
            "the name of a key",
        ),
        (
            foreign("bb", json!({"scopes": ["nodes:raed"]})),
            Invalid,
            "there is no scope",
        ),
        (
            foreign("bb", json!({"allowed_cluster_ids": ["x"]})),
            Unknown,
            "there is no cluster",
        ),
        (
            foreign("bb", json!({"expires_at": 1})),
            Invalid,
            "not in the future",
        ),
        (
            foreign("bb", json!({"last_four": "12345"})),
            Invalid,
            "`last_four` at most 4",
        ),
    ] {
        let what = wrong.to_string();
        let (found, message) = office.wrong(import(json!([good(), wrong]))).await;
        assert_eq!(found, kind, "{what}: {message}");
        assert!(
            text == "taken" || message.contains(text),
            "{what}: {message}"
        );
        assert_eq!(count(&office).await, 0, "{what}");
    }
    let (kind, _) = office.wrong(import(json!([]))).await;
    assert_eq!(kind, Invalid);
    let Reply::Imported { keys } = office
        .done(import(json!([good(), foreign("bb", json!({}))])))
        .await
    else {
        panic!()
    };
    assert_eq!((keys.len(), count(&office).await), (2, 2));
    // A hash that is there already, wherever it came from.
    let (kind, _) = office
        .wrong(import(json!([foreign("cc", json!({})), good()])))
        .await;
    assert_eq!((kind, count(&office).await), (Conflict, 2));
}

#[tokio::test]
async fn an_import_needs_an_owner_only_where_keys_act_for_one() {
    let office = Office::new(Authority::Scopes).await;
    let key = |change: Value| import(json!([foreign("aa", change)]));
    let (_, message) = office.wrong(key(json!({"owner": null}))).await;
    assert!(
        message.contains("a key needs at least one scope"),
        "{message}"
    );
    office
        .done(key(json!({"owner": null, "scopes": ["nodes:read"]})))
        .await;
}

#[tokio::test]
async fn an_invitation_is_taken_up_once_and_while_it_is_good() {
    let office = Office::new(Authority::Owner).await;
    let user = office.fixture.user("new@example.com", "viewer").await;
    let invite = || async {
        let reply = office.done(json!({"command": "user-invite", "email": "new@example.com"}));
        match reply.await {
            Reply::Invited {
                invitation,
                expires_at,
                ..
            } => (KeyHash::of(invitation.expose_secret()), expires_at),
            other => panic!("{other:?}"),
        }
    };
    let password = password::hash(&SecretString::from("correct horse battery staple")).unwrap();
    let accept = |hash: KeyHash, now_ms: i64| {
        let change = Change::AcceptInvitation {
            user,
            hash,
            password: password.clone(),
        };
        let origin = Origin::from(crate::store::Actor::User(user));
        let directory = &office.fixture.directory;
        async move { directory.apply(change, origin, now_ms).await }
    };
    let gone = || Err(ChangeError::Conflict(Conflict::UnknownInvitation));
    let (first, _) = invite().await;
    let (second, expires_at) = invite().await;
    assert_eq!(accept(first, NOW_MS).await, gone(), "it was replaced");
    assert_eq!(
        accept(second, expires_at * 1000).await,
        gone(),
        "it is over"
    );
    assert_eq!(accept(second, expires_at * 1000 - 1).await, Ok(true));
    assert_eq!(accept(second, NOW_MS).await, gone(), "it was taken up");
    let (third, _) = invite().await;
    office
        .done(json!({"command": "user-disable", "email": "new@example.com"}))
        .await;
    assert!(
        accept(third, NOW_MS).await.is_err(),
        "nobody invites a disabled user in"
    );
}

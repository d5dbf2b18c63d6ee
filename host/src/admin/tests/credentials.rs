use scopegate_policy::Clusters;
use serde_json::{Value, json};

use secrecy::ExposeSecret;

use super::Office;
use crate::{
    admin::{ErrorKind, Reply},
    audit::Filter,
    contract::Authority,
    directory::LookUp,
    key::KeyHash,
    store::fixture::NOW_MS,
};

#[tokio::test]
async fn a_minted_key_works_and_its_secret_is_shown_once() {
    let office = Office::new(Authority::Owner).await;
    let reply = office
        .done(json!({
            "command": "key-mint", "owner": "ADA@example.com", "name": "ci",
            "scopes": ["nodes:read", "clusters:read", "nodes:read"],
            "allowed_cluster_ids": ["prod", "dev"], "expires_at": NOW_MS / 1000 + 60,
        }))
        .await;
    assert!(!format!("{reply:?}").contains("ka_live_z"), "{reply:?}");
    let written = serde_json::to_string(&reply).unwrap();
    let Reply::Minted { credential, secret } = serde_json::from_str(&written).unwrap() else {
        panic!("{written}")
    };
    let text = secret.expose_secret();
    assert_eq!(written.matches(text).count(), 1);
    assert!(text.starts_with(&credential.prefix) && text.ends_with(&credential.last_four));
    assert_eq!(
        credential.scopes,
        Some(vec!["clusters:read".to_owned(), "nodes:read".to_owned()])
    );
    assert_eq!(credential.allowed_clusters, Clusters::only(["dev", "prod"]));
    let found = office
        .fixture
        .directory
        .by_key(&KeyHash::of(text), NOW_MS)
        .await
        .unwrap();
    let LookUp::Found(principal) = found else {
        panic!("{found:?}")
    };
    assert_eq!(principal.credential, credential.id);

    let Reply::Credentials { credentials } = office.done(json!({"command": "key-list"})).await
    else {
        panic!()
    };
    assert_eq!(credentials, [credential]);
    let lists = serde_json::to_string(&credentials).unwrap();
    assert!(!lists.contains(&text[8..]), "{lists}");
    let store = office.fixture.directory.store();
    let records = store.search_audit(&Filter::default(), None, 100).await;
    assert!(!format!("{:?}", records.unwrap()).contains(&text[8..]));

    for changed in [true, false] {
        let revoke = json!({"command": "key-revoke", "key": credentials[0].id});
        let Reply::Done { changed: did } = office.done(revoke).await else {
            panic!()
        };
        assert_eq!(did, changed);
        let found = office
            .fixture
            .directory
            .by_key(&KeyHash::of(text), NOW_MS)
            .await
            .unwrap();
        assert!(matches!(found, LookUp::Revoked(_)));
    }
}

#[tokio::test]
async fn an_empty_list_is_every_cluster_when_minting() {
    let office = Office::new(Authority::Scopes).await;
    let mint = json!({
        "command": "key-mint", "name": "all", "scopes": ["nodes:read"], "allowed_cluster_ids": [],
    });
    let Reply::Minted { credential, .. } = office.done(mint).await else {
        panic!()
    };
    assert_eq!(credential.allowed_clusters, Clusters::All);
}

/// Changes to a good request, and what is wrong with it then.
fn wrong_keys() -> Vec<(Value, ErrorKind, &'static str)> {
    use ErrorKind::{Conflict, Invalid, Unknown};
    let long = "n".repeat(256);
    vec![
        (
            json!({"name": ""}),
            Invalid,
            "the name of a key must have 1 to 255 characters",
        ),
        (
            json!({"name": long}),
            Invalid,
            "the name of a key must have 1 to 255 characters",
        ),
        (json!({"name": "a\u{0}b"}), Invalid, "no control characters"),
        (
            json!({"scopes": null}),
            Invalid,
            "at least one scope; choose among `clusters:read`, `nodes:read`",
        ),
        (
            json!({"scopes": []}),
            Invalid,
            "a key needs at least one scope",
        ),
        (
            json!({"scopes": ["nodes:raed"]}),
            Invalid,
            "there is no scope `nodes:raed`; did you mean `nodes:read`?",
        ),
        (json!({"scopes": ["*"]}), Invalid, "there is no scope `*`"),
        (
            json!({"scopes": ["metrics:write"]}),
            Invalid,
            "no key can carry the permission `metrics:write`",
        ),
        (
            json!({"allowed_cluster_ids": ["prod", "stagin"]}),
            Unknown,
            "there is no cluster `stagin`; did you mean `staging`?",
        ),
        (
            json!({"expires_at": NOW_MS / 1000}),
            Invalid,
            "the expiry is not in the future",
        ),
        (
            json!({"expires_at": i64::MAX}),
            Invalid,
            "beyond the year 9999",
        ),
        (
            json!({"owner": "eda@example.com"}),
            Unknown,
            "`eda@example.com`; did you mean `ada@example.com`?",
        ),
        (
            json!({"owner": "gone@example.com"}),
            Conflict,
            "the user `gone@example.com` is disabled",
        ),
        (
            json!({"owner": "root@example.com"}),
            Invalid,
            "`root@example.com` is an operator",
        ),
        (
            json!({"organization": "acmee"}),
            Unknown,
            "`acmee`; did you mean `acme`?",
        ),
    ]
}

#[tokio::test]
async fn what_a_contract_does_not_mint() {
    let office = Office::new(Authority::Scopes).await;
    office.fixture.user("gone@example.com", "viewer").await;
    office
        .done(json!({"command": "user-disable", "email": "gone@example.com"}))
        .await;
    office
        .done(json!({"command": "operator-add", "email": "root@example.com"}))
        .await;
    for (change, kind, text) in wrong_keys() {
        let mut command = json!({"command": "key-mint", "name": "ci", "scopes": ["nodes:read"]});
        let what = change.to_string();
        command
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let (found, message) = office.wrong(command).await;
        assert!(message.contains(text), "{what}: {message}");
        assert_eq!(found, kind, "{what}: {message}");
    }
}

#[tokio::test]
async fn what_other_contracts_do_not_mint() {
    let (_, message) = Office::new(Authority::Owner)
        .await
        .wrong(json!({"command": "key-mint", "name": "ci"}))
        .await;
    assert!(message.contains("a key needs an owner"), "{message}");
    let office = Office::new(Authority::Organization(Vec::new())).await;
    for (change, text) in [
        (
            json!({"scopes": ["nodes:read"]}),
            "keys of the contract `kubeadapt` carry no scopes",
        ),
        (
            json!({"expires_at": NOW_MS}),
            "keys of the contract `kubeadapt` have no expiry",
        ),
    ] {
        let mut command = json!({"command": "key-mint", "name": "ci"});
        command
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let (_, message) = office.wrong(command).await;
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn agents_have_one_registered_cluster() {
    let office = Office::new(Authority::Scopes).await;
    let mint = json!({"command": "agent-mint", "cluster": "prod"});
    let Reply::Minted { credential, secret } = office.done(mint.clone()).await else {
        panic!()
    };
    assert!(secret.expose_secret().starts_with("ka_agent_"));
    assert_eq!(
        (credential.name.as_str(), credential.cluster.as_deref()),
        ("prod", Some("prod"))
    );
    office.done(mint).await;

    let (kind, message) = office
        .wrong(json!({"command": "agent-mint", "cluster": "prd"}))
        .await;
    assert_eq!(kind, ErrorKind::Unknown);
    assert!(message.contains("did you mean `prod`?"), "{message}");
    let revoke = json!({"command": "agent-revoke", "agent": "prod"});
    let (_, message) = office.wrong(revoke.clone()).await;
    assert!(
        message.starts_with("several agent tokens are called `prod`; say the id"),
        "{message}"
    );
    let id = credential.id.to_string();
    let (_, message) = office
        .wrong(json!({"command": "key-revoke", "key": id}))
        .await;
    assert!(
        message.starts_with("there is no key"),
        "an agent token is none: {message}"
    );
    office
        .done(json!({"command": "agent-revoke", "agent": id}))
        .await;
    office.done(revoke).await;
    let (_, message) = office
        .wrong(json!({"command": "agent-revoke", "agent": "prod"}))
        .await;
    assert!(
        message.starts_with("there is no active agent token `prod`"),
        "{message}"
    );
}

use uuid::Uuid;

use super::fixture;
use crate::store::{Change, CredentialKind, Expected, StoreError};

/// Each damage to a row, and the table that the error must name.
#[tokio::test]
async fn damaged_rows_are_errors_that_name_them() {
    for (sql, table) in [
        ("UPDATE users SET role = 'Not A Role'", "users"),
        ("UPDATE users SET role = NULL", "users"),
        ("UPDATE users SET clusters = 'prod'", "users"),
        ("UPDATE users SET clusters = '[1]'", "users"),
        ("UPDATE users SET clusters = '[\"a b\"]'", "users"),
        ("UPDATE users SET email = 'x' || char(10) || 'y@z'", "users"),
        ("UPDATE users SET created_at = -1", "users"),
        ("UPDATE users SET disabled_at = 999999999999999", "users"),
        ("UPDATE users SET organization = 'none'", "users"),
        (
            "UPDATE users SET organization = '00000000-0000-0000-0000-000000000000'",
            "credentials",
        ),
        ("UPDATE roles SET permissions = '{}'", "roles"),
        ("UPDATE roles SET permissions = '[\"a\"]'", "roles"),
        (
            "UPDATE clusters SET id = 'a b' WHERE id = 'dev'",
            "credentials",
        ),
        (
            "DROP TRIGGER credentials_are_immutable; UPDATE credentials SET scopes = '*'",
            "credentials",
        ),
        (
            "DROP TRIGGER credentials_are_immutable; UPDATE credentials SET hash = x'00'",
            "-",
        ),
        (
            "DROP TRIGGER credentials_are_immutable; UPDATE credentials SET kind = 'agent'",
            "credentials",
        ),
        (
            "DROP TRIGGER credentials_are_immutable; UPDATE credentials SET id = 'x'",
            "credentials",
        ),
        (
            "DROP TRIGGER credentials_are_immutable; UPDATE credentials SET name = ''",
            "credentials",
        ),
        ("DELETE FROM users", "credentials"),
    ] {
        let fixture = fixture().await;
        let role = Change::SetCustomRole {
            organization: fixture.organization,
            name: "on-call".to_owned(),
            permissions: vec!["*:read".to_owned()],
            expected: Expected::Anything,
        };
        fixture.make(role).await;
        let ada = fixture.user("ada@example.com", "on-call").await;
        let (_, hash) = fixture.key(Some(ada)).await;
        assert!(fixture.meddle(sql).await.unwrap() > 0, "{sql}");
        let found = fixture
            .directory
            .store()
            .find_credential_by_hash(&hash)
            .await;
        match found {
            Err(StoreError::Corrupt {
                table: named,
                id,
                what,
            }) => {
                assert_eq!(named, table, "{sql}: {id} {what}");
                assert!(!id.is_empty() && id != "?", "{sql}");
            }
            // A key whose hash is damaged is nobody's.
            Ok(None) => assert_eq!(table, "-", "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn lists_are_of_one_organization() {
    let fixture = fixture().await;
    let store = fixture.directory.store();
    let ada = fixture.user("ada@example.com", "viewer").await;
    fixture.key(Some(ada)).await;
    fixture.agent("prod").await;
    let other = Uuid::now_v7();
    fixture
        .make(Change::CreateOrganization {
            id: other,
            name: "other".to_owned(),
            admin: None,
        })
        .await;
    for (organization, clusters, users, keys, agents) in
        [(fixture.organization, 3, 1, 1, 1), (other, 0, 0, 0, 0)]
    {
        let list = |kind| store.list_credentials(organization, kind);
        assert_eq!(
            store.list_clusters(organization).await.unwrap().len(),
            clusters
        );
        assert_eq!(
            store.list_users(Some(organization)).await.unwrap().len(),
            users
        );
        assert_eq!(list(CredentialKind::ApiKey).await.unwrap().len(), keys);
        assert_eq!(list(CredentialKind::Agent).await.unwrap().len(), agents);
        assert!(store.list_roles(organization).await.unwrap().is_empty());
    }
    assert_eq!(store.list_organizations().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_that_is_gone_is_unavailable() {
    let fixture = fixture().await;
    fixture.directory.store().close().await;
    let error = fixture
        .directory
        .store()
        .list_organizations()
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

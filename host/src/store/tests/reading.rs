use uuid::Uuid;

use super::fixture_on;
use crate::store::{
    Change, CredentialKind, Expected, StoreError,
    fixture::{Engine, behaviours},
};

/// Each damage to a row, and the table that the error must name.
async fn damaged_rows_are_errors_that_name_them(engine: Engine) {
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
        let fixture = fixture_on(engine).await;
        let role = Change::SetCustomRole {
            organization: fixture.organization,
            name: "on-call".to_owned(),
            permissions: vec!["*:read".to_owned()],
            expected: Expected::Anything,
        };
        fixture.make(role).await;
        let ada = fixture.user("ada@example.com", "on-call").await;
        let (_, hash) = fixture.key(Some(ada)).await;
        let script = worded_for(engine, sql);
        assert!(fixture.meddle(&script).await.unwrap() > 0, "{sql}");
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

/// In the engine's own words. No trigger of PostgreSQL is in the way.
fn worded_for(engine: Engine, sql: &str) -> String {
    match engine {
        Engine::Sqlite => sql.to_owned(),
        Engine::Postgres => {
            let own = sql.rsplit("credentials_are_immutable; ").next().unwrap();
            own.replace("char(10)", "chr(10)")
                .replace("x'00'", "'\\x00'")
        }
    }
}

async fn lists_are_of_one_organization(engine: Engine) {
    let fixture = fixture_on(engine).await;
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

async fn a_store_that_is_gone_is_unavailable(engine: Engine) {
    let fixture = fixture_on(engine).await;
    fixture.directory.store().close().await;
    let error = fixture
        .directory
        .store()
        .list_organizations()
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

behaviours! {
    damaged_rows_are_errors_that_name_them,
    lists_are_of_one_organization,
    a_store_that_is_gone_is_unavailable,
}

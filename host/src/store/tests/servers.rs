//! Schemas of a PostgreSQL server that are stores, and those that are none; and the gates that serve from one.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::fixture_on;
use crate::store::{Beat, Missing, OpenError, Purpose, Store, fixture::Engine};

/// Another program's or version's work on a schema.
async fn raw(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn open(url: &str, missing: Missing) -> Result<Store, OpenError> {
    Store::open(url, Purpose::Serve, missing).await
}

fn url() -> String {
    Engine::Postgres.url(&tempfile::tempdir().unwrap())
}

/// The schema that such a URL names.
fn schema(url: &str) -> &str {
    url.rsplit("%3D").next().unwrap()
}

#[tokio::test]
async fn schemas_that_are_no_store_are_refused_and_left_alone() {
    let empty = url();
    let missing = open(&empty, Missing::Refuse).await;
    assert!(matches!(missing, Err(OpenError::Missing(_))), "{missing:?}");
    let foreign = url();
    let name = schema(&foreign);
    raw(
        &foreign,
        format!("CREATE SCHEMA {name}; CREATE TABLE {name}.orders (id INT)"),
    )
    .await;
    let error = open(&foreign, Missing::Create).await.unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
    raw(&foreign, format!("INSERT INTO {name}.orders VALUES (1)")).await;

    let demo = url();
    Store::open(&demo, Purpose::Demo, Missing::Create)
        .await
        .unwrap();
    let error = open(&demo, Missing::Refuse).await.unwrap_err();
    assert!(matches!(error, OpenError::WrongPurpose { .. }), "{error:?}");
    let nowhere = "postgres://gate@127.0.0.1:1/gate";
    let error = open(nowhere, Missing::Refuse).await.unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
}

/// While gates are replaced one by one, one of the version before may have to start again.
#[tokio::test]
async fn a_newer_schema_is_served_only_where_it_says_so() {
    let fixture = fixture_on(Engine::Postgres).await;
    raw(
        &fixture.url,
        "ALTER TABLE credentials ADD COLUMN note TEXT; \
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'next', TRUE, '', 0)"
            .to_owned(),
    )
    .await;
    let error = open(&fixture.url, Missing::Refuse).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{error:?}"
    );
    let since = |version: i64| {
        format!(
            "INSERT INTO meta VALUES ('serves_since', '{version}') \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
    };
    raw(&fixture.url, since(3)).await;
    let error = open(&fixture.url, Missing::Refuse).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }), "{error:?}");
    raw(&fixture.url, since(2)).await;
    let store = open(&fixture.url, Missing::Refuse).await.unwrap();
    let organization = store.find_organization(fixture.organization).await;
    assert_eq!(organization.unwrap().unwrap().name, "acme");
}

#[tokio::test]
async fn gates_are_listed_with_what_they_said_last() {
    let fixture = fixture_on(Engine::Postgres).await;
    let store = fixture.directory.store();
    let beat = |id, digest, problem| Beat {
        id,
        name: "gate-1",
        version: "1",
        digest,
        problem,
    };
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    store.beat(&beat(one, "a", None)).await.unwrap();
    store.beat(&beat(other, "a", Some("why"))).await.unwrap();
    let before = store.list_nodes().await.unwrap();
    store.beat(&beat(one, "a", None)).await.unwrap();
    let again = store.list_nodes().await.unwrap();
    assert_eq!(again[0].since, before[0].since);
    assert!(again[0].seen_at > before[0].seen_at && again[0].is_here);
    assert_eq!(again[1].problem.as_deref(), Some("why"));
    store.beat(&beat(one, "b", None)).await.unwrap();
    let moved = store.list_nodes().await.unwrap();
    assert_eq!(moved[0].digest, "b");
    assert!(moved[0].since > before[0].since);
    raw(
        &fixture.url,
        format!("UPDATE nodes SET seen_at = seen_at - 11000 WHERE id = '{other}'"),
    )
    .await;
    assert!(!store.list_nodes().await.unwrap()[1].is_here);
    store.leave(one).await.unwrap();
    let left: Vec<_> = store.list_nodes().await.unwrap();
    assert_eq!(left.iter().map(|node| node.id).collect::<Vec<_>>(), [other]);
}

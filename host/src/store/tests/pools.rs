//! Who waits for whom, and that what many wait for is a search of an index.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row, Sqlite};
use tokio::time::timeout;
use uuid::Uuid;

use super::{file, fixture, fixture_on};
use crate::{
    audit::{Evidence, Filter},
    store::{
        Change, ChangeError, Conflict, CredentialFilter, CredentialKind, CredentialOrder,
        CredentialPlace, CredentialValue, Page,
        database::{Dialect, Pools, sqlite::SEARCHERS},
        fixture::{Engine, NOW_MS, behaviours},
        sql::{
            credentials::{Part, piece},
            page,
            write::require::MISSING_CLUSTER,
        },
    },
};

/// Less than a question waits for a connection.
const AT_ONCE: Duration = Duration::from_secs(2);

fn first<K>() -> Page<K> {
    Page {
        after: None,
        limit: 10,
    }
}

#[tokio::test]
async fn look_ups_do_not_wait_for_searches() {
    let fixture = fixture().await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let (key, hash) = fixture.key(Some(ada)).await;
    let store = fixture.directory.store();
    let sqlite = file(store);
    let mut held = Vec::new();
    for _ in 0..SEARCHERS {
        held.push(sqlite.searchers.acquire().await.unwrap());
    }
    let look_ups = async {
        store.ping().await.unwrap();
        let found = store.find_credential_by_hash(&hash).await.unwrap();
        assert_eq!(found.unwrap().credential.id, key);
        assert!(store.find_credential(key).await.unwrap().is_some());
        assert!(store.find_session(key).await.unwrap().is_none());
        let login = store.find_login("ada@example.com").await.unwrap();
        assert_eq!(login.unwrap().user.id, ada);
        assert!(store.find_login_of(ada).await.unwrap().is_some());
        assert!(store.find_user(ada).await.unwrap().is_some());
    };
    timeout(AT_ONCE, look_ups).await.unwrap();
}

#[tokio::test]
async fn lists_and_searches_take_no_connection_of_look_ups() {
    let fixture = fixture().await;
    let (acme, ada) = (
        fixture.organization,
        fixture.user("ada@example.com", "viewer").await,
    );
    fixture.key(Some(ada)).await;
    let store = fixture.directory.store();
    let sqlite = file(store);
    let mut held = Vec::new();
    while let Ok(Ok(one)) = timeout(Duration::from_millis(100), sqlite.readers.acquire()).await {
        held.push(one);
    }
    let keys = CredentialKind::ApiKey;
    let searches = async {
        store.list_organizations().await.unwrap();
        store.list_users(Some(acme)).await.unwrap();
        store.list_roles(acme).await.unwrap();
        store.list_clusters(acme).await.unwrap();
        store.list_credentials(acme, keys).await.unwrap();
        let all = filter(acme, keys, None);
        let page = store.page_credentials(&all, &first()).await.unwrap();
        assert_eq!(page.len(), 1);
        assert_eq!(
            store.page_users(acme, None, &first()).await.unwrap().len(),
            1
        );
        assert_eq!(
            store
                .page_clusters(acme, None, &first())
                .await
                .unwrap()
                .len(),
            3
        );
        assert_eq!(store.page_organizations(&first()).await.unwrap().len(), 1);
        store.open_sessions(ada, 0, &first()).await.unwrap();
        let found = store.search_audit(&Filter::default(), None, 1).await;
        assert_eq!(found.unwrap().records.len(), 1);
        store.audit_after(0, 1).await.unwrap();
        store.verify_audit(Evidence::default()).await.unwrap();
    };
    timeout(AT_ONCE, searches).await.unwrap();
}

fn filter(organization: Uuid, kind: CredentialKind, owner: Option<Uuid>) -> CredentialFilter {
    CredentialFilter {
        organization,
        kind,
        owner,
        state: None,
        clusters: None,
        name: None,
        order: CredentialOrder::default(),
        now: NOW_MS / 1000,
    }
}

async fn pages_of_an_owner_are_of_theirs_alone_and_go_on(engine: Engine) {
    let fixture = fixture_on(engine).await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let bob = fixture.user("bob@example.com", "viewer").await;
    let mut of_ada = Vec::new();
    for _ in 0..3 {
        of_ada.push(fixture.key(Some(ada)).await.0);
        fixture.key(Some(bob)).await;
    }
    of_ada.sort_unstable();
    of_ada.reverse();
    let store = fixture.directory.store();
    let ids = async |organization, owner, after: Option<Uuid>| {
        let filter = filter(organization, CredentialKind::ApiKey, owner);
        let after = after.map(CredentialPlace::of_id);
        let page = Page { after, limit: 10 };
        let found = store.page_credentials(&filter, &page).await.unwrap();
        found.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let acme = fixture.organization;
    assert_eq!(ids(acme, Some(ada), None).await, of_ada);
    assert_eq!(ids(acme, Some(ada), Some(of_ada[0])).await, of_ada[1..]);
    assert!(ids(Uuid::now_v7(), Some(ada), None).await.is_empty());
    assert_eq!(ids(acme, None, None).await.len(), 6);
}

/// The steps of a statement's plan.
async fn plan(sqlite: &Pools<Sqlite>, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = sqlx::query(AssertSqlSafe(explain))
        .fetch_all(&sqlite.searchers)
        .await
        .unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn pages_search_an_index_from_where_they_begin() {
    let fixture = fixture().await;
    let sqlite = file(fixture.directory.store());
    for (statement, expected) in [
        (
            page::USERS[0],
            "SEARCH u USING INDEX users_organization (organization=? AND email>?)",
        ),
        (
            page::CLUSTERS[0],
            "SEARCH clusters USING INDEX sqlite_autoindex_clusters_1 (organization=? AND id>?)",
        ),
        (
            page::ORGANIZATIONS,
            "SEARCH organizations USING INDEX sqlite_autoindex_organizations_2 (name>?)",
        ),
        (
            page::SESSIONS,
            "SEARCH s USING INDEX sessions_user (user=? AND rowid<?)",
        ),
        (
            MISSING_CLUSTER[0],
            "SEARCH k USING INDEX sqlite_autoindex_clusters_1 (organization=? AND id=?)",
        ),
    ] {
        let steps = plan(sqlite, statement).await;
        assert!(steps.iter().any(|step| step == expected), "{steps:#?}");
        let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert_eq!(is_sorted, statement == MISSING_CLUSTER[0], "{steps:#?}");
    }
}

async fn the_first_cluster_that_is_missing_is_named(engine: Engine) {
    let fixture = fixture_on(engine).await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let gone = Change::DeleteCluster {
        organization: fixture.organization,
        id: "dev".to_owned(),
    };
    fixture.make(gone).await;
    for (wanted, missing) in [
        (&["prod"][..], None),
        (&["prod", "zzz", "dev"], Some("dev")),
        (&["PROD"], Some("PROD")),
        (&["9", "prod"], Some("9")),
    ] {
        let (mut new, _) = fixture.new_key(Some(ada));
        new.credential.allowed_clusters = scopegate_policy::Clusters::only(wanted.iter().copied());
        let change = Change::Mint(Box::new(new));
        let made = fixture
            .directory
            .apply(change, crate::store::Actor::Machine, NOW_MS)
            .await;
        match (made, missing) {
            (Ok(_), None) => {}
            (Err(ChangeError::Conflict(Conflict::UnknownCluster(id))), Some(missing)) => {
                assert_eq!(id, missing);
            }
            (other, _) => panic!("{wanted:?}: {other:?}"),
        }
    }
}

/// An order, the part of it that is read, a value in it; the owner's index, the organization's, and from where on each is
/// searched.
type Ordered = (
    &'static str,
    Part,
    CredentialValue,
    &'static str,
    &'static str,
    &'static str,
);

fn orders() -> [Ordered; 8] {
    let time = CredentialValue::Time;
    [
        (
            "-created_at",
            Part::Having,
            CredentialValue::Id,
            "owner",
            "organization",
            " AND id<?",
        ),
        (
            "created_at",
            Part::Having,
            CredentialValue::Id,
            "owner",
            "organization",
            " AND id>?",
        ),
        (
            "name",
            Part::Having,
            CredentialValue::Name("ci".to_owned()),
            "of_owner_by_name",
            "by_name",
            " AND name>?",
        ),
        (
            "-name",
            Part::Having,
            CredentialValue::Name("ci".to_owned()),
            "of_owner_by_name",
            "by_name",
            " AND name<?",
        ),
        (
            "last_used_at",
            Part::Having,
            time(Some(1)),
            "of_owner_by_use",
            "by_use",
            " AND (used_at,id)>(?,?)",
        ),
        (
            "-last_used_at",
            Part::Lacking,
            time(None),
            "of_owner_by_use",
            "by_use",
            " AND used_at=? AND id<?",
        ),
        (
            "expires_at",
            Part::Lacking,
            time(None),
            "of_owner_by_expiry",
            "by_expiry",
            " AND expires_at=? AND id>?",
        ),
        (
            "-expires_at",
            Part::Having,
            time(Some(1)),
            "of_owner_by_expiry",
            "by_expiry",
            " AND (expires_at,id)<(?,?)",
        ),
    ]
}

#[tokio::test]
async fn pages_of_credentials_search_an_index_in_every_order() {
    let fixture = fixture().await;
    let sqlite = file(fixture.directory.store());
    for (order, part, value, owners, all, from) in orders() {
        for (owner, index) in [(Some(Uuid::now_v7()), owners), (None, all)] {
            let order = order.parse().unwrap();
            let filter = CredentialFilter {
                order,
                ..filter(fixture.organization, CredentialKind::ApiKey, owner)
            };
            let place = CredentialPlace {
                order,
                value: value.clone(),
                id: Uuid::now_v7(),
            };
            for after in [Some(&place), None] {
                let statement = piece(Dialect::Sqlite, &filter, part, after, 50)
                    .text()
                    .to_owned();
                let steps = plan(sqlite, &statement).await;
                let start = format!("SEARCH c USING INDEX credentials_{index} (");
                let found = steps.iter().find(|step| step.starts_with(&start));
                let found = found.unwrap_or_else(|| panic!("{statement}: {steps:#?}"));
                let is_begun = after.is_none() || found.contains(from);
                assert!(is_begun, "{found} for {statement}");
                let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
                assert!(!is_sorted, "{steps:#?} for {statement}");
            }
        }
    }
}

behaviours! {
    pages_of_an_owner_are_of_theirs_alone_and_go_on,
    the_first_cluster_that_is_missing_is_named,
}

//! A real store of its own, and short ways to fill it. Tests only.

use std::path::PathBuf;

use scopegate_policy::Clusters;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Actor, Change, ChangeError, Credential, CredentialKind, Missing, NewCredential, NewUser,
    Purpose, Store,
};
use crate::{
    Directory,
    contract::Authority,
    key::{self, KeyHash, KeyKind},
    password::PasswordHash,
};

/// The moment at which fixtures are made, in milliseconds since the epoch.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// What a store is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// The URL of a store that is not there yet. A file is in `dir`.
    pub(crate) fn url(self, dir: &TempDir) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", dir.path().join("gate.db").display()),
            Self::Postgres => {
                let schema = format!("test_{}", Uuid::new_v4().simple());
                scopegate_engines::postgres().url(&schema)
            }
        }
    }
}

/// One list of behaviours: each is a test on every engine.
macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::store::fixture::Engine::Sqlite).await;
                }
            )+
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::store::fixture::Engine::Postgres).await;
                }
            )+
        }
    };
}
pub(crate) use behaviours;

pub(crate) struct Fixture {
    pub(crate) directory: Directory,
    pub(crate) organization: Uuid,
    pub(crate) dir: TempDir,
    pub(crate) url: String,
}

impl Fixture {
    /// An organization with the clusters `prod`, `staging` and `dev`.
    pub(crate) async fn new(authority: Authority) -> Self {
        Self::with(|store| Directory::new(store, authority)).await
    }

    /// The same in memory, where there is such a place, for tests that make thousands of changes: none of them waits
    /// for a disk.
    pub(crate) async fn quick(authority: Authority) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::within(dir.unwrap(), Engine::Sqlite, |store| {
            Directory::new(store, authority)
        })
        .await
    }

    /// The same on an engine.
    pub(crate) async fn on(engine: Engine, authority: Authority) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::within(dir, engine, |store| Directory::new(store, authority)).await
    }

    pub(crate) async fn with(directory: impl FnOnce(Store) -> Directory) -> Self {
        Self::within(tempfile::tempdir().unwrap(), Engine::Sqlite, directory).await
    }

    async fn within(
        dir: TempDir,
        engine: Engine,
        directory: impl FnOnce(Store) -> Directory,
    ) -> Self {
        let url = engine.url(&dir);
        let store = Store::open(&url, Purpose::Serve, Missing::Create)
            .await
            .unwrap();
        let directory = directory(store);
        let fixture = Self {
            directory,
            organization: Uuid::now_v7(),
            dir,
            url,
        };
        let name = "acme".to_owned();
        fixture
            .make(Change::CreateOrganization {
                id: fixture.organization,
                name,
                admin: None,
            })
            .await;
        for id in ["prod", "staging", "dev"] {
            fixture.make(fixture.cluster(id)).await;
        }
        fixture
    }

    /// The store's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("gate.db")
    }

    pub(crate) fn cluster(&self, id: &str) -> Change {
        Change::AddCluster {
            organization: self.organization,
            id: id.to_owned(),
            agent: None,
        }
    }

    pub(crate) async fn try_make(&self, change: Change) -> Result<bool, ChangeError> {
        self.directory.apply(change, Actor::Machine, NOW_MS).await
    }

    pub(crate) async fn make(&self, change: Change) {
        assert!(self.try_make(change).await.unwrap());
    }

    pub(crate) fn new_user(&self, email: &str, role: &str) -> NewUser {
        NewUser {
            id: Uuid::now_v7(),
            place: Some((self.organization, role.to_owned())),
            email: email.to_owned(),
            password: None,
            clusters: Clusters::All,
            invitation: None,
            idempotency: None,
        }
    }

    pub(crate) async fn user(&self, email: &str, role: &str) -> Uuid {
        let user = self.new_user(email, role);
        let id = user.id;
        self.make(Change::AddUser(Box::new(user))).await;
        id
    }

    pub(crate) async fn user_with_password(&self, email: &str, password: PasswordHash) -> Uuid {
        let user = NewUser {
            password: Some(password),
            ..self.new_user(email, "viewer")
        };
        let id = user.id;
        self.make(Change::AddUser(Box::new(user))).await;
        id
    }

    pub(crate) fn new_key(&self, owner: Option<Uuid>) -> (NewCredential, SecretString) {
        let minted = key::mint("sg", KeyKind::Live).unwrap();
        let credential = Credential {
            id: Uuid::now_v7(),
            organization: self.organization,
            kind: CredentialKind::ApiKey,
            name: "ci".to_owned(),
            owner,
            owner_email: None,
            scopes: None,
            allowed_clusters: Clusters::All,
            cluster: None,
            prefix: minted.prefix,
            last_four: minted.last_four,
            created_at: NOW_MS / 1000,
            expires_at: None,
            revoked_at: None,
            predecessor: None,
            successor: None,
            retires_at: None,
            last_used_at: None,
        };
        (
            NewCredential {
                credential,
                hash: minted.hash,
                idempotency: None,
            },
            minted.secret,
        )
    }

    pub(crate) async fn mint(&self, new: NewCredential) -> (Uuid, KeyHash) {
        let (id, hash) = (new.credential.id, new.hash);
        self.make(Change::Mint(Box::new(new))).await;
        (id, hash)
    }

    pub(crate) async fn key(&self, owner: Option<Uuid>) -> (Uuid, KeyHash) {
        let (new, secret) = self.new_key(owner);
        assert_eq!(new.hash, KeyHash::of(secret.expose_secret()));
        self.mint(new).await
    }

    pub(crate) async fn agent(&self, cluster: &str) -> (Uuid, KeyHash) {
        let (mut new, _) = self.new_key(None);
        new.credential.kind = CredentialKind::Agent;
        new.credential.cluster = Some(cluster.to_owned());
        self.mint(new).await
    }

    /// The newest changes, as the audit has them, newest first.
    pub(crate) async fn changes(&self, count: u32) -> Vec<serde_json::Value> {
        let changes = crate::audit::Filter {
            kind: Some(crate::audit::RecordKind::Change),
            ..Default::default()
        };
        let found = self.directory.store().search_audit(&changes, None, count);
        let found = found.await.unwrap().records;
        found
            .iter()
            .map(|found| serde_json::from_str(&found.line).unwrap())
            .collect()
    }

    /// Runs a script behind the store's back: no reference and no check stops it.
    pub(crate) async fn meddle(&self, sql: &str) -> Result<u64, sqlx::Error> {
        meddle(&self.url, sql).await
    }
}

/// What somebody does who has the database: no reference and no check stops them, and in PostgreSQL no trigger.
pub(crate) async fn meddle(url: &str, sql: &str) -> Result<u64, sqlx::Error> {
    if url.starts_with("sqlite://") {
        return run(url, sql).await;
    }
    let unbound = format!("{WITHOUT_CHECKS}{sql}");
    run(url, &unbound).await
}

const WITHOUT_CHECKS: &str = "SET session_replication_role = replica; \
     DO $$ DECLARE one record; BEGIN \
       FOR one IN SELECT conrelid::regclass AS held, conname FROM pg_constraint \
           WHERE contype = 'c' AND coninhcount = 0 AND connamespace = current_schema()::regnamespace \
       LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.held, one.conname); END LOOP; \
     END $$;";

/// Runs a script, which in PostgreSQL is bound by all that binds the gate, and in a file by its triggers.
pub(crate) async fn run(url: &str, sql: &str) -> Result<u64, sqlx::Error> {
    use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, raw_sql};
    let sql = AssertSqlSafe(sql.to_owned());
    if let Some(path) = url.strip_prefix("sqlite://") {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(false)
            .pragma("ignore_check_constraints", "ON");
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let result = raw_sql(sql).execute(&mut connection).await?;
        connection.close().await?;
        return Ok(result.rows_affected());
    }
    let mut connection = PgConnection::connect(url).await?;
    let result = raw_sql(sql).execute(&mut connection).await?;
    connection.close().await?;
    Ok(result.rows_affected())
}

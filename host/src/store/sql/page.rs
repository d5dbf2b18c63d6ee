//! Pages of lists, and single things by their ids. Each is one statement.

use uuid::Uuid;

use super::{
    read::{credential_columns, user_columns},
    row,
};
use crate::{
    key::KeyHash,
    store::{
        Cluster, Credential, CredentialKind, OpenSession, Organization, Page, Role, Store,
        StoreError, User,
        database::{either, query},
    },
};

/// A credential with its owner's address, its last use and its successor.
macro_rules! credentials {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            credential_columns!(),
            ", u.email AS owner_email, c.used_at AS last_used_at, ",
            "(SELECT s.id FROM credentials s WHERE s.predecessor = c.id) AS successor ",
            "FROM credentials c LEFT JOIN users u ON u.id = c.owner ",
            $rest
        )
    };
}
pub(super) use credentials;

macro_rules! users {
    ($address:literal, $place:literal) => {
        concat!(
            "SELECT ",
            user_columns!(),
            " FROM users u WHERE u.organization = $1 AND ",
            $address,
            " > $2 AND ($3 IS NULL OR ",
            $place,
            "(lower(u.email), $3) > 0) ORDER BY ",
            $address,
            " LIMIT $4"
        )
    };
}

macro_rules! clusters {
    ($place:literal) => {
        concat!(
            "SELECT id, created_at, deleted_at FROM clusters WHERE organization = $1 ",
            "AND deleted_at IS NULL AND id > $2 AND ($3 IS NULL OR ",
            $place,
            "(lower(id), $3) > 0) ORDER BY id LIMIT $4"
        )
    };
}

pub(super) const ALL_CREDENTIALS: &str =
    credentials!("WHERE c.organization = $1 AND c.kind = $2 ORDER BY c.created_at, c.id");
/// For SQLite and for PostgreSQL, as those below.
pub(in crate::store) const USERS: [&str; 2] = [
    users!("u.email", "instr"),
    users!("lower(u.email)", "strpos"),
];
pub(in crate::store) const CLUSTERS: [&str; 2] = [clusters!("instr"), clusters!("strpos")];
pub(in crate::store) const ORGANIZATIONS: &str =
    "SELECT id, name, created_at, epoch FROM organizations WHERE name > $1 ORDER BY name LIMIT $2";
pub(in crate::store) const SESSIONS: &str = "SELECT s.rowid AS place, s.id, s.user, s.auth_time, s.mfa, \
     s.created_at, s.expires_at, s.revoked_at, l.used_at AS last_used_at \
     FROM sessions s LEFT JOIN last_uses l ON l.credential = s.id \
     WHERE s.user = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 \
     AND s.rowid < $3 ORDER BY s.rowid DESC LIMIT $4";

impl Store {
    /// The credential with this id alone, revoked or not.
    pub async fn find_credential_row(&self, id: Uuid) -> Result<Option<Credential>, StoreError> {
        let query = query(credentials!("WHERE c.id = $1")).bind(id);
        self.look_up(query, row::credential).await
    }

    /// A page of an organization's users, by e-mail address: those that have `email` in theirs, whatever its case.
    pub async fn page_users(
        &self,
        organization: Uuid,
        email: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<User>, StoreError> {
        let [sqlite, postgres] = USERS;
        let after = page.after.as_deref().unwrap_or_default();
        let query = query(either(sqlite, postgres))
            .bind(organization)
            .bind(after.to_ascii_lowercase())
            .bind(email.map(str::to_ascii_lowercase))
            .bind(page.limit);
        self.search(query, |user| row::user(user, "")).await
    }

    /// The user with this id.
    pub async fn find_user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        let query = query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users u WHERE u.id = $1"
        ));
        self.look_up(query.bind(id), |user| row::user(user, ""))
            .await
    }

    /// Whom an invitation is for, if it is good at `now`, in seconds since the epoch.
    pub async fn find_invitation(
        &self,
        hash: &KeyHash,
        now: i64,
    ) -> Result<Option<Uuid>, StoreError> {
        let query =
            query("SELECT i.user FROM invitations i WHERE i.hash = $1 AND i.expires_at > $2")
                .bind(hash.as_bytes().as_slice())
                .bind(now);
        let found: Option<String> = self.look_up(query, |row| row.get(0)).await?;
        // Whatever is no id names nobody.
        Ok(found.and_then(|id| id.parse().ok()))
    }

    /// A page of an organization's clusters, by id, without deleted ones: those that have `id` in theirs, whatever its
    /// case.
    pub async fn page_clusters(
        &self,
        organization: Uuid,
        id: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<Cluster>, StoreError> {
        let [sqlite, postgres] = CLUSTERS;
        let query = query(either(sqlite, postgres))
            .bind(organization)
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(id.map(str::to_ascii_lowercase))
            .bind(page.limit);
        self.search(query, row::cluster).await
    }

    /// A page of the organizations, by name.
    pub async fn page_organizations(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Organization>, StoreError> {
        let query = query(ORGANIZATIONS)
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(page.limit);
        self.search(query, row::organization).await
    }

    /// The organization with this id.
    pub async fn find_organization(&self, id: Uuid) -> Result<Option<Organization>, StoreError> {
        let query = query("SELECT id, name, created_at, epoch FROM organizations WHERE id = $1");
        self.look_up(query.bind(id), row::organization).await
    }

    /// An organization's custom role.
    pub async fn find_role(
        &self,
        organization: Uuid,
        name: &str,
    ) -> Result<Option<Role>, StoreError> {
        let query = query(
            "SELECT name, permissions, epoch FROM roles WHERE organization = $1 AND name = $2",
        );
        self.look_up(query.bind(organization).bind(name), row::role)
            .await
    }

    /// A page of a user's open sessions, newest first, each with its place in that order.
    pub async fn open_sessions(
        &self,
        user: Uuid,
        now: i64,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, OpenSession)>, StoreError> {
        let query = query(SESSIONS)
            .bind(user)
            .bind(now)
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(page.limit);
        self.search(query, |row| {
            Ok((row.get("place")?, row::open_session(row)?))
        })
        .await
    }
}

pub(super) fn kind_text(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApiKey => "api-key",
        CredentialKind::Agent => "agent",
    }
}

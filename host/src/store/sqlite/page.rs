//! Pages of lists, and single things by their ids. Each is one statement.

use uuid::Uuid;

use super::{Sqlite, row, unavailable};
use crate::key::KeyHash;
use crate::store::{
    Cluster, Credential, CredentialKind, OpenSession, Organization, Page, Role, StoreError, User,
};

/// A credential with its owner's address, its last use and its successor.
macro_rules! credentials {
    ($($rest:expr),+) => {
        concat!(
            "SELECT c.*, u.email AS owner_email, c.used_at AS last_used_at, ",
            "(SELECT s.id FROM credentials s WHERE s.predecessor = c.id) AS successor ",
            "FROM credentials c LEFT JOIN users u ON u.id = c.owner ",
            $($rest),+
        )
    };
}
pub(super) use credentials;

pub(super) const ALL_CREDENTIALS: &str =
    credentials!("WHERE c.organization = ? AND c.kind = ? ORDER BY c.created_at, c.id");
pub(super) const USERS: &str = "SELECT * FROM users WHERE organization = ?1 AND email > ?2 \
     AND (?3 IS NULL OR instr(lower(email), lower(?3)) > 0) ORDER BY email LIMIT ?4";
pub(super) const CLUSTERS: &str = "SELECT * FROM clusters WHERE organization = ?1 \
     AND deleted_at IS NULL AND id > ?2 \
     AND (?3 IS NULL OR instr(lower(id), lower(?3)) > 0) ORDER BY id LIMIT ?4";
pub(super) const ORGANIZATIONS: &str =
    "SELECT * FROM organizations WHERE name > ?1 ORDER BY name LIMIT ?2";
pub(super) const SESSIONS: &str = "SELECT s.rowid AS place, s.*, l.used_at AS last_used_at \
     FROM sessions s LEFT JOIN last_uses l ON l.credential = s.id \
     WHERE s.user = ?1 AND s.revoked_at IS NULL AND s.expires_at > ?2 \
     AND s.rowid < ?3 ORDER BY s.rowid DESC LIMIT ?4";

impl Sqlite {
    pub(in crate::store) async fn find_credential_row(
        &self,
        id: Uuid,
    ) -> Result<Option<Credential>, StoreError> {
        let query = sqlx::query(credentials!("WHERE c.id = ?")).bind(id.to_string());
        self.look_up(query, row::credential).await
    }

    /// By e-mail address.
    pub(in crate::store) async fn page_users(
        &self,
        organization: Uuid,
        email: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<User>, StoreError> {
        let query = sqlx::query(USERS)
            .bind(organization.to_string())
            .bind(page.after.clone().unwrap_or_default())
            .bind(email.map(str::to_owned))
            .bind(page.limit);
        self.search(query, |user| row::user(user, "")).await
    }

    pub(in crate::store) async fn find_user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        let query = sqlx::query("SELECT * FROM users WHERE id = ?").bind(id.to_string());
        self.look_up(query, |user| row::user(user, "")).await
    }

    pub(in crate::store) async fn find_invitation(
        &self,
        hash: &KeyHash,
        now: i64,
    ) -> Result<Option<Uuid>, StoreError> {
        let query =
            sqlx::query_scalar("SELECT user FROM invitations WHERE hash = ? AND expires_at > ?")
                .bind(hash.as_bytes().to_vec())
                .bind(now);
        let found: Option<String> = query
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        // Whatever is no id names nobody.
        Ok(found.and_then(|id| id.parse().ok()))
    }

    /// By id, deleted ones left out.
    pub(in crate::store) async fn page_clusters(
        &self,
        organization: Uuid,
        id: Option<&str>,
        page: &Page<String>,
    ) -> Result<Vec<Cluster>, StoreError> {
        let query = sqlx::query(CLUSTERS)
            .bind(organization.to_string())
            .bind(page.after.clone().unwrap_or_default())
            .bind(id.map(str::to_owned))
            .bind(page.limit);
        self.search(query, row::cluster).await
    }

    /// By name.
    pub(in crate::store) async fn page_organizations(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Organization>, StoreError> {
        let query = sqlx::query(ORGANIZATIONS)
            .bind(page.after.clone().unwrap_or_default())
            .bind(page.limit);
        self.search(query, row::organization).await
    }

    pub(in crate::store) async fn find_organization(
        &self,
        id: Uuid,
    ) -> Result<Option<Organization>, StoreError> {
        let query = sqlx::query("SELECT * FROM organizations WHERE id = ?").bind(id.to_string());
        self.look_up(query, row::organization).await
    }

    pub(in crate::store) async fn find_role(
        &self,
        organization: Uuid,
        name: &str,
    ) -> Result<Option<Role>, StoreError> {
        let query = sqlx::query("SELECT * FROM roles WHERE organization = ? AND name = ?")
            .bind(organization.to_string())
            .bind(name.to_owned());
        self.look_up(query, row::role).await
    }

    /// Newest first, ended ones left out.
    pub(in crate::store) async fn open_sessions(
        &self,
        user: Uuid,
        now: i64,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, OpenSession)>, StoreError> {
        let query = sqlx::query(SESSIONS)
            .bind(user.to_string())
            .bind(now)
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(page.limit);
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let place = sqlx::Row::try_get(row, "place").map_err(unavailable)?;
            Ok((place, row::open_session(row)?))
        };
        self.search(query, read).await
    }
}

pub(super) fn kind_text(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApiKey => "api-key",
        CredentialKind::Agent => "agent",
    }
}

//! Questions. Each is one statement, so that its answer is of one moment.

use sqlx::{
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use super::{
    Sqlite,
    page::{ALL_CREDENTIALS, kind_text},
    row, unavailable,
};
use crate::{
    key::KeyHash,
    store::{
        Cluster, Credential, CredentialFacts, CredentialKind, LoginFacts, Organization,
        PolicyVersion, Role, SessionFacts, ShadowVersion, StoreError, User,
    },
};

/// A credential or session (`c`) with its user (`u`), their custom role and the registered clusters of
/// the organization.
macro_rules! facts {
    ($table:literal, $user:literal, $organization:literal, $more:literal, $where:literal) => {
        concat!(
            "SELECT c.*, ",
            $more,
            "u.email AS owner_email, u.id AS user_id, u.organization AS user_organization, ",
            "u.email AS user_email, u.role AS user_role, u.clusters AS user_clusters, ",
            "u.created_at AS user_created_at, u.disabled_at AS user_disabled_at, ",
            "u.epoch AS user_epoch, NULL AS successor, ",
            "c.epoch || ':' || ifnull(u.epoch, '') || ':' || ifnull(r.epoch, '') AS version, ",
            "r.permissions AS role_permissions, ",
            "(SELECT json_group_array(k.id) FROM clusters k ",
            "WHERE k.organization = ",
            $organization,
            " AND k.deleted_at IS NULL) AS registered ",
            "FROM ",
            $table,
            " c LEFT JOIN users u ON u.id = c.",
            $user,
            " LEFT JOIN roles r ON r.organization = u.organization AND r.name = u.role WHERE ",
            $where
        )
    };
}

/// A user (`u`) and what they log in with.
macro_rules! login {
    ($where:literal) => {
        concat!(
            "SELECT u.*, f.user AS factor_user, f.secret AS factor_secret, ",
            "f.created_at AS factor_created_at, f.confirmed_at AS factor_confirmed_at, ",
            "f.locked_until AS factor_locked_until, ",
            "(SELECT count(*) FROM recovery_codes r WHERE r.user = u.id AND r.used_at IS NULL) ",
            "AS factor_recovery_codes_left ",
            "FROM users u LEFT JOIN factors f ON f.user = u.id WHERE ",
            $where
        )
    };
}

impl Sqlite {
    pub(in crate::store) async fn find_credential_by_hash(
        &self,
        hash: &KeyHash,
    ) -> Result<Option<CredentialFacts>, StoreError> {
        let query = sqlx::query(facts!(
            "credentials",
            "owner",
            "c.organization",
            "",
            "c.hash = ?"
        ));
        let query = query.bind(hash.as_bytes().as_slice());
        let facts = self.look_up(query, row::credential_facts).await?;
        // The database found the row by its index; equality is settled here, in constant time.
        Ok(facts.filter(|facts| facts.hash == *hash))
    }

    pub(in crate::store) async fn find_credential(
        &self,
        id: Uuid,
    ) -> Result<Option<CredentialFacts>, StoreError> {
        let query = sqlx::query(facts!(
            "credentials",
            "owner",
            "c.organization",
            "",
            "c.id = ?"
        ));
        self.look_up(query.bind(id.to_string()), row::credential_facts)
            .await
    }

    pub(in crate::store) async fn find_session(
        &self,
        id: Uuid,
    ) -> Result<Option<SessionFacts>, StoreError> {
        let query = sqlx::query(facts!(
            "sessions",
            "user",
            "u.organization",
            "EXISTS (SELECT 1 FROM factors f WHERE f.user = u.id AND f.confirmed_at IS NOT NULL) AS factor_confirmed, ",
            "c.id = ?"
        ));
        self.look_up(query.bind(id.to_string()), row::session_facts)
            .await
    }

    pub(in crate::store) async fn find_login(
        &self,
        email: &str,
    ) -> Result<Option<LoginFacts>, StoreError> {
        let query = sqlx::query(login!("u.email = ?"));
        self.look_up(query.bind(email.to_owned()), row::login).await
    }

    pub(in crate::store) async fn find_login_of(
        &self,
        user: Uuid,
    ) -> Result<Option<LoginFacts>, StoreError> {
        let query = sqlx::query(login!("u.id = ?"));
        self.look_up(query.bind(user.to_string()), row::login).await
    }

    pub(in crate::store) async fn ping(&self) -> Result<(), StoreError> {
        let answer = sqlx::query("SELECT 1").execute(&self.readers).await;
        answer.map(drop).map_err(unavailable)
    }

    pub(in crate::store) async fn list_organizations(
        &self,
    ) -> Result<Vec<Organization>, StoreError> {
        let query = sqlx::query("SELECT * FROM organizations ORDER BY name");
        self.search(query, row::organization).await
    }

    pub(in crate::store) async fn list_users(
        &self,
        organization: Option<Uuid>,
    ) -> Result<Vec<User>, StoreError> {
        let query = sqlx::query("SELECT * FROM users WHERE organization IS ? ORDER BY email");
        let organization = organization.map(|id| id.to_string());
        self.search(query.bind(organization), |user| row::user(user, ""))
            .await
    }

    pub(in crate::store) async fn list_roles(
        &self,
        organization: Uuid,
    ) -> Result<Vec<Role>, StoreError> {
        let statement = "SELECT * FROM roles WHERE organization = ? ORDER BY name";
        self.of_organization(statement, organization, row::role)
            .await
    }

    pub(in crate::store) async fn list_clusters(
        &self,
        organization: Uuid,
    ) -> Result<Vec<Cluster>, StoreError> {
        let statement = "SELECT * FROM clusters WHERE organization = ? ORDER BY id";
        self.of_organization(statement, organization, row::cluster)
            .await
    }

    pub(in crate::store) async fn list_credentials(
        &self,
        organization: Uuid,
        kind: CredentialKind,
    ) -> Result<Vec<Credential>, StoreError> {
        let query = sqlx::query(ALL_CREDENTIALS)
            .bind(organization.to_string())
            .bind(kind_text(kind));
        self.search(query, row::credential).await
    }

    pub(in crate::store) async fn list_policies(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        let query = sqlx::query(
            "SELECT digest, name, version, bytes, added_at, activated_at, activated_by, source, configured \
             FROM policies ORDER BY activation DESC",
        );
        self.search(query, row::policy).await
    }

    pub(in crate::store) async fn find_component(
        &self,
        digest: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_scalar("SELECT component FROM policy_components WHERE digest = ?");
        let found = query
            .bind(digest.to_owned())
            .fetch_optional(&self.searchers);
        found.await.map_err(unavailable)
    }

    pub(in crate::store) async fn find_shadow(
        &self,
    ) -> Result<Option<(ShadowVersion, Vec<u8>)>, StoreError> {
        let query = sqlx::query(
            "SELECT digest, name, version, bytes, pushed_at, pushed_by, component FROM shadow",
        );
        let found = self.search(query, row::shadow).await?;
        Ok(found.into_iter().next())
    }

    async fn of_organization<T>(
        &self,
        statement: &'static str,
        organization: Uuid,
        read: fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let query = sqlx::query(statement).bind(organization.to_string());
        self.search(query, read).await
    }

    /// One row, from the readers that are kept free for look-ups.
    pub(super) async fn look_up<T>(
        &self,
        query: Query<'_, sqlx::Sqlite, SqliteArguments>,
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let found = query.fetch_optional(&self.readers).await;
        found.map_err(unavailable)?.as_ref().map(read).transpose()
    }

    /// Rows, from the readers of lists and searches.
    pub(super) async fn search<T>(
        &self,
        query: Query<'_, sqlx::Sqlite, SqliteArguments>,
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = query.fetch_all(&self.searchers).await;
        rows.map_err(unavailable)?.iter().map(read).collect()
    }
}

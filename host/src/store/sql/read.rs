//! Questions. Each is one statement, so that its answer is of one moment.
//!
//! Columns are named one by one: a column that a newer version adds changes nothing for the gates that still run.

use uuid::Uuid;

use super::{
    page::{ALL_CREDENTIALS, kind_text},
    row, version,
};
use crate::{
    key::KeyHash,
    store::{
        Cluster, Credential, CredentialFacts, CredentialKind, LoginFacts, Organization,
        PolicyVersion, Role, SessionFacts, ShadowVersion, Store, StoreError, User,
        database::{Kind, Query, Row, either, query},
    },
};

/// Of `users u`.
macro_rules! user_columns {
    () => {
        "u.id, u.organization, u.email, u.role, u.clusters, u.created_at, u.disabled_at, u.epoch"
    };
}

/// Of `credentials c`.
macro_rules! credential_columns {
    () => {
        "c.id, c.organization, c.kind, c.name, c.owner, c.scopes, c.allowed_clusters, c.cluster, c.prefix, \
         c.last_four, c.created_at, c.expires_at, c.revoked_at, c.predecessor, c.retires_at"
    };
}

pub(super) use {credential_columns, user_columns};

/// A credential or session (`c`) with its user (`u`), their custom role and the registered clusters of
/// the organization. `$ids` makes a list of texts, in the engine's own words.
macro_rules! facts {
    ($ids:literal, $columns:expr, $from:literal, $organization:literal, $where:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", u.email AS owner_email, u.id AS user_id, u.organization AS user_organization, ",
            "u.email AS user_email, u.role AS user_role, u.clusters AS user_clusters, ",
            "u.created_at AS user_created_at, u.disabled_at AS user_disabled_at, ",
            "u.epoch AS user_epoch, CAST(NULL AS TEXT) AS successor, ",
            version!(),
            " AS version, r.permissions AS role_permissions, (SELECT ",
            $ids,
            " FROM clusters k WHERE k.organization = ",
            $organization,
            " AND k.deleted_at IS NULL) AS registered FROM ",
            $from,
            " LEFT JOIN roles r ON r.organization = u.organization AND r.name = u.role WHERE ",
            $where
        )
    };
}

macro_rules! credential_facts {
    ($ids:literal, $where:literal) => {
        facts!(
            $ids,
            concat!(credential_columns!(), ", c.hash"),
            "credentials c LEFT JOIN users u ON u.id = c.owner",
            "c.organization",
            $where
        )
    };
}

macro_rules! session_facts {
    ($ids:literal, $where:literal) => {
        facts!(
            $ids,
            "c.id, c.user, c.auth_time, c.mfa, c.expires_at, c.revoked_at, EXISTS (SELECT 1 FROM factors f \
             WHERE f.user = u.id AND f.confirmed_at IS NOT NULL) AS factor_confirmed",
            "sessions c LEFT JOIN users u ON u.id = c.user",
            "u.organization",
            $where
        )
    };
}

/// Facts, in the words of both engines.
macro_rules! facts_query {
    ($facts:ident, $where:literal) => {
        query(either(
            $facts!("json_group_array(k.id)", $where),
            $facts!("CAST(json_agg(k.id) AS TEXT)", $where),
        ))
    };
}

/// A user (`u`) and what they log in with.
macro_rules! login {
    ($where:literal) => {
        concat!(
            "SELECT ",
            user_columns!(),
            ", u.password_hash, f.user AS factor_user, f.secret AS factor_secret, ",
            "f.created_at AS factor_created_at, f.confirmed_at AS factor_confirmed_at, ",
            "f.locked_until AS factor_locked_until, ",
            "(SELECT count(*) FROM recovery_codes r WHERE r.user = u.id AND r.used_at IS NULL) ",
            "AS factor_recovery_codes_left ",
            "FROM users u LEFT JOIN factors f ON f.user = u.id WHERE ",
            $where
        )
    };
}

impl Store {
    /// The credential with this hash, and all that its meaning depends on, as of one moment.
    pub async fn find_credential_by_hash(
        &self,
        hash: &KeyHash,
    ) -> Result<Option<CredentialFacts>, StoreError> {
        let query = facts_query!(credential_facts, "c.hash = $1");
        let query = query.bind(hash.as_bytes().as_slice());
        let facts = self.look_up(query, row::credential_facts).await?;
        // The database found the row by its index; equality is settled here, in constant time.
        Ok(facts.filter(|facts| facts.hash == *hash))
    }

    /// The credential with this id, and all that its meaning depends on, as of one moment.
    pub async fn find_credential(&self, id: Uuid) -> Result<Option<CredentialFacts>, StoreError> {
        let query = facts_query!(credential_facts, "c.id = $1");
        self.look_up(query.bind(id), row::credential_facts).await
    }

    /// The session with this id, and all that its meaning depends on, as of one moment.
    pub async fn find_session(&self, id: Uuid) -> Result<Option<SessionFacts>, StoreError> {
        let query = facts_query!(session_facts, "c.id = $1");
        self.look_up(query.bind(id), row::session_facts).await
    }

    /// Who logs in with this e-mail address, in whatever case it is written.
    pub async fn find_login(&self, email: &str) -> Result<Option<LoginFacts>, StoreError> {
        let query = query(either(
            login!("u.email = $1"),
            login!("lower(u.email) = $1"),
        ));
        let email = email.to_ascii_lowercase();
        self.look_up(query.bind(email), row::login).await
    }

    /// What this user logs in with.
    pub async fn find_login_of(&self, user: Uuid) -> Result<Option<LoginFacts>, StoreError> {
        let query = query(login!("u.id = $1"));
        self.look_up(query.bind(user), row::login).await
    }

    /// Whether the store answers at all.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answer = self
            .database
            .fetch_optional(Kind::LookUp, query("SELECT 1"));
        answer.await.map(drop)
    }

    /// All organizations, by name.
    pub async fn list_organizations(&self) -> Result<Vec<Organization>, StoreError> {
        let query = query("SELECT id, name, created_at, epoch FROM organizations ORDER BY name");
        self.search(query, row::organization).await
    }

    /// The users of an organization, or the operators, by e-mail address.
    pub async fn list_users(&self, organization: Option<Uuid>) -> Result<Vec<User>, StoreError> {
        macro_rules! users {
            ($order:literal) => {
                concat!(
                    "SELECT ",
                    user_columns!(),
                    " FROM users u WHERE u.organization IS NOT DISTINCT FROM $1 ORDER BY ",
                    $order
                )
            };
        }
        let query = query(either(users!("u.email"), users!("lower(u.email)")));
        self.search(query.bind(organization), |user| row::user(user, ""))
            .await
    }

    /// The custom roles of an organization, by name.
    pub async fn list_roles(&self, organization: Uuid) -> Result<Vec<Role>, StoreError> {
        let query = query(
            "SELECT name, permissions, epoch FROM roles WHERE organization = $1 ORDER BY name",
        );
        self.search(query.bind(organization), row::role).await
    }

    /// The clusters of an organization by id, deleted ones too.
    pub async fn list_clusters(&self, organization: Uuid) -> Result<Vec<Cluster>, StoreError> {
        let query = query(
            "SELECT id, created_at, deleted_at FROM clusters WHERE organization = $1 ORDER BY id",
        );
        self.search(query.bind(organization), row::cluster).await
    }

    /// The credentials of one kind in an organization, oldest first, revoked ones too.
    pub async fn list_credentials(
        &self,
        organization: Uuid,
        kind: CredentialKind,
    ) -> Result<Vec<Credential>, StoreError> {
        let query = query(ALL_CREDENTIALS)
            .bind(organization)
            .bind(kind_text(kind));
        self.search(query, row::credential).await
    }

    /// The policies that are kept, the active one first and then by when each was last active.
    pub async fn list_policies(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        let query = query(
            "SELECT digest, name, version, bytes, added_at, activated_at, activated_by, source, configured \
             FROM policies ORDER BY activation DESC",
        );
        self.search(query, row::policy).await
    }

    /// The component of a policy that is kept.
    pub async fn find_component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let query = query("SELECT component FROM policy_components WHERE digest = $1").bind(digest);
        let found = self.search(query, |row| row.get(0)).await?;
        Ok(found.into_iter().next())
    }

    /// The policy in the shadow of the active one, and its component.
    pub async fn find_shadow(&self) -> Result<Option<(ShadowVersion, Vec<u8>)>, StoreError> {
        let query = query(
            "SELECT digest, name, version, bytes, pushed_at, pushed_by, component FROM shadow",
        );
        let found = self.search(query, row::shadow).await?;
        Ok(found.into_iter().next())
    }

    /// One row, from the connections that are kept free for look-ups.
    pub(super) async fn look_up<T>(
        &self,
        query: Query,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let found = self.database.fetch_optional(Kind::LookUp, query).await?;
        found.as_ref().map(read).transpose()
    }

    /// Rows, from the connections of lists and searches.
    pub(super) async fn search<T>(
        &self,
        query: Query,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.database.fetch_all(Kind::Search, query).await?;
        rows.iter().map(read).collect()
    }
}

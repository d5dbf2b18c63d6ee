//! Changes: each one transaction, its audit record included. What a change needs is checked inside it, so that nothing
//! can come between check and change.

mod require;

use scopegate_policy::Clusters;
use sqlx::{Row, Sqlite as Db, Transaction, query::Query, sqlite::SqliteArguments};
use uuid::Uuid;

use require::parse_id;

use super::{Sqlite, unavailable};
use crate::{
    audit::line::ChangeLine,
    store::{
        Change, ChangeError, Conflict, CredentialKind, NewCredential, NewUser, Origin, Session,
        StoreError,
    },
};

/// How long an ended session is kept, in seconds: its tokens expired long before.
const ENDED_SESSIONS_KEPT_SECS: i64 = 30 * 24 * 3600;

/// What a change did, and where.
struct Done {
    changed: bool,
    organization: Option<Uuid>,
}

impl Done {
    fn new(organization: Option<Uuid>) -> Self {
        Self {
            changed: true,
            organization,
        }
    }
}

struct Tx<'t> {
    tx: Transaction<'t, Db>,
    now: i64,
}

impl Sqlite {
    pub(in crate::store) async fn apply(
        &self,
        change: &Change,
        origin: &Origin,
        now_ms: i64,
    ) -> Result<bool, ChangeError> {
        let tx = self
            .writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(unavailable)?;
        let mut tx = Tx {
            tx,
            now: now_ms.div_euclid(1000),
        };
        let done = tx.make(change).await?;
        if !done.changed {
            return Ok(false);
        }
        let record = ChangeLine {
            at_ms: now_ms,
            origin,
            organization: done.organization,
            action: change.action(),
            subject: &change.subject(),
            detail: &change.detail(),
        };
        let appended = self.ledger.append(&mut tx.tx, [record.text()]).await?;
        tx.tx.commit().await.map_err(unavailable)?;
        self.ledger.committed(&appended);
        Ok(true)
    }
}

type Statement<'q> = Query<'q, Db, SqliteArguments>;

impl Tx<'_> {
    async fn make(&mut self, change: &Change) -> Result<Done, ChangeError> {
        match change {
            Change::CreateOrganization { id, name } => self.create_organization(*id, name).await,
            Change::AddUser(user) => self.add_user(user).await,
            Change::DisableUser(user) => self.disable_user(*user).await,
            Change::SetRole { user, role } => self.set_role(*user, role).await,
            Change::SetClusters { user, clusters } => self.set_clusters(*user, clusters).await,
            Change::SetCustomRole {
                organization,
                name,
                permissions,
            } => self.set_custom_role(*organization, name, permissions).await,
            Change::AddCluster { organization, id } => self.add_cluster(*organization, id).await,
            Change::DeleteCluster { organization, id } => {
                self.delete_cluster(*organization, id).await
            }
            Change::Mint(new) => self.mint(new).await,
            Change::Revoke(id) => self.revoke(*id).await,
            Change::OpenSession(session) => self.open_session(session).await,
            Change::EndSession(id) => self.end_session(*id).await,
        }
    }

    /// Runs a statement; tells how many rows it changed.
    async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let result = statement
            .execute(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        Ok(result.rows_affected())
    }

    /// Runs an insertion; a value that must be unique and is not, is the given conflict.
    async fn insert(
        &mut self,
        statement: Statement<'_>,
        taken: impl FnOnce() -> Conflict,
    ) -> Result<(), ChangeError> {
        match statement.execute(&mut *self.tx).await {
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(taken().into()),
            Err(error) => Err(unavailable(error).into()),
        }
    }

    async fn create_organization(&mut self, id: Uuid, name: &str) -> Result<Done, ChangeError> {
        let insert =
            sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES (?, ?, ?)")
                .bind(id.to_string())
                .bind(name.to_owned())
                .bind(self.now);
        self.insert(insert, || Conflict::OrganizationExists(name.to_owned()))
            .await?;
        Ok(Done::new(Some(id)))
    }

    async fn add_user(&mut self, user: &NewUser) -> Result<Done, ChangeError> {
        let organization = user.place.as_ref().map(|(organization, _)| *organization);
        if let Some(organization) = organization {
            self.require_organization(organization).await?;
            self.require_clusters(organization, &user.clusters).await?;
        }
        let insert = sqlx::query(
            "INSERT INTO users (id, organization, email, password_hash, role, clusters, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(user.id.to_string())
        .bind(organization.map(|id| id.to_string()))
        .bind(user.email.clone())
        .bind(user.password.as_ref().map(|hash| hash.phc().to_owned()))
        .bind(user.place.as_ref().map(|(_, role)| role.clone()))
        .bind(clusters_text(&user.clusters))
        .bind(self.now);
        self.insert(insert, || Conflict::EmailTaken(user.email.clone()))
            .await?;
        Ok(Done::new(organization))
    }

    async fn disable_user(&mut self, user: Uuid) -> Result<Done, ChangeError> {
        let (organization, disabled) = self.require_user(user).await?;
        if disabled {
            return Ok(Done {
                changed: false,
                organization,
            });
        }
        let disable =
            sqlx::query("UPDATE users SET disabled_at = ?, epoch = epoch + 1 WHERE id = ?")
                .bind(self.now)
                .bind(user.to_string());
        self.run(disable).await?;
        // Whatever becomes of the user later, nobody who was signed in stays so.
        let end = sqlx::query(
            "UPDATE sessions SET revoked_at = ?, epoch = epoch + 1 WHERE user = ? AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(user.to_string());
        self.run(end).await?;
        Ok(Done::new(organization))
    }

    async fn set_role(&mut self, user: Uuid, role: &str) -> Result<Done, ChangeError> {
        let organization = self.require_member(user).await?;
        let update = sqlx::query("UPDATE users SET role = ?, epoch = epoch + 1 WHERE id = ?")
            .bind(role.to_owned())
            .bind(user.to_string());
        self.run(update).await?;
        Ok(Done::new(Some(organization)))
    }

    async fn set_clusters(&mut self, user: Uuid, clusters: &Clusters) -> Result<Done, ChangeError> {
        let organization = self.require_member(user).await?;
        self.require_clusters(organization, clusters).await?;
        let update = sqlx::query("UPDATE users SET clusters = ?, epoch = epoch + 1 WHERE id = ?")
            .bind(clusters_text(clusters))
            .bind(user.to_string());
        self.run(update).await?;
        Ok(Done::new(Some(organization)))
    }

    async fn set_custom_role(
        &mut self,
        organization: Uuid,
        name: &str,
        permissions: &[String],
    ) -> Result<Done, ChangeError> {
        self.require_organization(organization).await?;
        let upsert = sqlx::query(
            "INSERT INTO roles (organization, name, permissions, created_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT DO UPDATE SET permissions = excluded.permissions, epoch = epoch + 1",
        )
        .bind(organization.to_string())
        .bind(name.to_owned())
        .bind(list_text(permissions))
        .bind(self.now);
        self.run(upsert).await?;
        Ok(Done::new(Some(organization)))
    }

    async fn add_cluster(&mut self, organization: Uuid, id: &str) -> Result<Done, ChangeError> {
        self.require_organization(organization).await?;
        match self.clusters(organization).await?.get(id) {
            Some(true) => return Err(Conflict::ClusterDeleted(id.to_owned()).into()),
            Some(false) => return Err(Conflict::ClusterExists(id.to_owned()).into()),
            None => {}
        }
        let insert =
            sqlx::query("INSERT INTO clusters (organization, id, created_at) VALUES (?, ?, ?)")
                .bind(organization.to_string())
                .bind(id.to_owned())
                .bind(self.now);
        self.run(insert).await?;
        Ok(Done::new(Some(organization)))
    }

    async fn delete_cluster(&mut self, organization: Uuid, id: &str) -> Result<Done, ChangeError> {
        let delete = sqlx::query(
            "UPDATE clusters SET deleted_at = ?, epoch = epoch + 1 \
             WHERE organization = ? AND id = ? AND deleted_at IS NULL",
        )
        .bind(self.now)
        .bind(organization.to_string())
        .bind(id.to_owned());
        if self.run(delete).await? == 0 {
            return Err(Conflict::UnknownCluster(id.to_owned()).into());
        }
        let revoke = sqlx::query(
            "UPDATE credentials SET revoked_at = ?, epoch = epoch + 1 \
             WHERE organization = ? AND cluster = ? AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(organization.to_string())
        .bind(id.to_owned());
        self.run(revoke).await?;
        Ok(Done::new(Some(organization)))
    }

    async fn mint(&mut self, new: &NewCredential) -> Result<Done, ChangeError> {
        let NewCredential {
            credential: new,
            hash,
        } = new;
        self.require_organization(new.organization).await?;
        if let Some(owner) = new.owner {
            let (organization, disabled) = self.require_user(owner).await?;
            if organization != Some(new.organization) {
                return Err(Conflict::UnknownUser.into());
            }
            if disabled {
                return Err(Conflict::UserDisabled.into());
            }
        }
        self.require_clusters(new.organization, &new.allowed_clusters)
            .await?;
        if let Some(cluster) = &new.cluster {
            self.require_clusters(new.organization, &Clusters::only([cluster.as_str()]))
                .await?;
        }
        let insert = sqlx::query(
            "INSERT INTO credentials (id, organization, kind, name, owner, scopes, allowed_clusters, cluster, hash, \
             prefix, last_four, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.id.to_string())
        .bind(new.organization.to_string())
        .bind(match new.kind {
            CredentialKind::Agent => "agent",
            CredentialKind::ApiKey => "api-key",
        })
        .bind(new.name.clone())
        .bind(new.owner.map(|id| id.to_string()))
        .bind(new.scopes.as_deref().map(list_text))
        .bind(clusters_text(&new.allowed_clusters))
        .bind(new.cluster.clone())
        .bind(hash.as_bytes().to_vec())
        .bind(new.prefix.clone())
        .bind(new.last_four.clone())
        .bind(self.now)
        .bind(new.expires_at);
        self.run(insert).await?;
        Ok(Done::new(Some(new.organization)))
    }

    async fn revoke(&mut self, id: Uuid) -> Result<Done, ChangeError> {
        let found = sqlx::query("SELECT organization FROM credentials WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(unavailable)?
            .ok_or(Conflict::UnknownCredential)?;
        let organization = parse_id(found.try_get(0).map_err(unavailable)?, "credentials", id)?;
        let revoke = sqlx::query(
            "UPDATE credentials SET revoked_at = ?, epoch = epoch + 1 WHERE id = ? AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(id.to_string());
        Ok(Done {
            changed: self.run(revoke).await? > 0,
            organization,
        })
    }

    async fn open_session(&mut self, session: &Session) -> Result<Done, ChangeError> {
        let (organization, disabled) = self.require_user(session.user).await?;
        if disabled {
            return Err(Conflict::UserDisabled.into());
        }
        let insert = sqlx::query(
            "INSERT INTO sessions (id, user, auth_time, mfa, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(session.id.to_string())
        .bind(session.user.to_string())
        .bind(session.auth_time)
        .bind(session.mfa)
        .bind(self.now)
        .bind(session.expires_at);
        self.run(insert).await?;
        // A few at a time, so that the table stays in proportion to the sessions that are open.
        let forget = sqlx::query(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < ? LIMIT 100)",
        )
        .bind(self.now - ENDED_SESSIONS_KEPT_SECS);
        self.run(forget).await?;
        Ok(Done::new(organization))
    }

    async fn end_session(&mut self, id: Uuid) -> Result<Done, ChangeError> {
        let found = sqlx::query(
            "SELECT u.organization FROM sessions s JOIN users u ON u.id = s.user WHERE s.id = ?",
        )
        .bind(id.to_string())
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(unavailable)?
        .ok_or(Conflict::UnknownSession)?;
        let organization = parse_id(found.try_get(0).map_err(unavailable)?, "sessions", id)?;
        let end = sqlx::query(
            "UPDATE sessions SET revoked_at = ?, epoch = epoch + 1 WHERE id = ? AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(id.to_string());
        Ok(Done {
            changed: self.run(end).await? > 0,
            organization,
        })
    }
}

fn clusters_text(clusters: &Clusters) -> Option<String> {
    match clusters {
        Clusters::All => None,
        Clusters::Only(ids) => Some(list_text(ids)),
    }
}

fn list_text(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

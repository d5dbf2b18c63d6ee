//! Sessions: opening and ending them.

use sqlx::Row;
use uuid::Uuid;

use super::{Done, ENDED_SESSIONS_KEPT_SECS, Tx, require::parse_id};
use crate::store::{ChangeError, Conflict, Session, StoreError, sqlite::unavailable};

impl Tx<'_> {
    pub(super) async fn open_session(&mut self, session: &Session) -> Result<Done, ChangeError> {
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

    pub(super) async fn end_session(&mut self, id: Uuid) -> Result<Done, ChangeError> {
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

    /// Signs a user out everywhere.
    pub(super) async fn end_sessions_of(&mut self, user: Uuid) -> Result<u64, StoreError> {
        let end = sqlx::query(
            "UPDATE sessions SET revoked_at = ?, epoch = epoch + 1 WHERE user = ? AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(user.to_string());
        self.run(end).await
    }
}

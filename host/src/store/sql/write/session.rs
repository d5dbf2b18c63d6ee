//! Sessions: opened, ended one by one or all at once; and passwords, whose change ends them.

use uuid::Uuid;

use super::{Done, Tx, require::parse_id};
use crate::{
    password::PasswordHash,
    store::{ChangeError, Conflict, LogIn, Session, database::query},
};

/// How long an ended session is kept, in seconds: its tokens expired long before.
const ENDED_SESSIONS_KEPT_SECS: i64 = 30 * 24 * 3600;

impl Tx<'_> {
    /// Everything that was checked outside is checked again: password and factor may have been changed meanwhile.
    pub(super) async fn log_in(&mut self, log_in: &LogIn) -> Result<Done, ChangeError> {
        let user = log_in.session.user;
        self.require_active(user).await?;
        self.require_password(user, &log_in.password).await?;
        self.use_code(user, log_in.code.as_ref()).await?;
        self.open_session(&log_in.session).await
    }

    pub(super) async fn open_session(&mut self, session: &Session) -> Result<Done, ChangeError> {
        let organization = self.require_active(session.user).await?;
        let insert = query(
            "INSERT INTO sessions (id, \"user\", auth_time, mfa, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(session.id.to_string())
        .bind(session.user.to_string())
        .bind(session.auth_time)
        .bind(session.mfa)
        .bind(self.now)
        .bind(session.expires_at);
        self.run(insert).await?;
        // A few at a time, so that the table stays in proportion to the sessions that are open.
        let forget = query(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT 100)",
        )
        .bind(self.now - ENDED_SESSIONS_KEPT_SECS);
        self.run(forget).await?;
        Ok(Done::new(organization))
    }

    pub(super) async fn end_session(&mut self, id: Uuid) -> Result<Done, ChangeError> {
        let found = query(
            "SELECT u.organization FROM sessions s JOIN users u ON u.id = s.user WHERE s.id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&mut self.tx)
        .await?
        .ok_or(Conflict::UnknownSession)?;
        let organization = parse_id(found.get(0)?, "sessions", id)?;
        let end = query(
            "UPDATE sessions SET revoked_at = $1, epoch = epoch + 1 WHERE id = $2 AND revoked_at IS NULL",
        )
        .bind(self.now)
        .bind(id.to_string());
        Ok(Done {
            changed: self.run(end).await? > 0,
            organization,
        })
    }

    pub(super) async fn end_sessions(
        &mut self,
        user: Uuid,
        except: Option<Uuid>,
    ) -> Result<Done, ChangeError> {
        let (organization, _) = self.require_user(user).await?;
        let changed = self.end_all(user, except).await? > 0;
        Ok(Done {
            changed,
            organization,
        })
    }

    pub(super) async fn set_password(
        &mut self,
        user: Uuid,
        password: &PasswordHash,
        replaces: Option<&PasswordHash>,
        except: Option<Uuid>,
    ) -> Result<Done, ChangeError> {
        let organization = self.require_active(user).await?;
        if let Some(replaces) = replaces {
            self.require_password(user, replaces).await?;
        }
        let set = query("UPDATE users SET password_hash = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(password.phc().to_owned())
            .bind(user.to_string());
        self.run(set).await?;
        self.end_all(user, except).await?;
        self.withdraw_invitation(user).await?;
        Ok(Done::new(organization))
    }

    /// Ends a user's sessions but one; tells how many.
    pub(super) async fn end_all(
        &mut self,
        user: Uuid,
        except: Option<Uuid>,
    ) -> Result<u64, ChangeError> {
        let end = query(
            "UPDATE sessions SET revoked_at = $1, epoch = epoch + 1 \
             WHERE \"user\" = $2 AND revoked_at IS NULL AND ($3 IS NULL OR id <> $3)",
        )
        .bind(self.now)
        .bind(user.to_string())
        .bind(except.map(|id| id.to_string()));
        Ok(self.run(end).await?)
    }
}

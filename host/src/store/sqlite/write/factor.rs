//! Second factors: enrolled, confirmed, used, removed.

use sqlx::Row;
use uuid::Uuid;

use super::{Done, Tx};
use crate::{
    factor::Sealed,
    key::KeyHash,
    store::{ChangeError, Code, Confirmation, Conflict, sqlite::unavailable},
};

/// Every so many wrong codes in a row, none is looked at for a while.
const FAILURES_TO_LOCK: i64 = 10;
/// For how long at first, in seconds. Twice as long every further time.
const LOCK_SECS: i64 = 15 * 60;
/// And at most: ten guesses a day find one of the three codes that are good at a time once in a hundred years.
const LOCK_SECS_MAX: i64 = 24 * 3600;

impl Tx<'_> {
    pub(super) async fn begin_factor(
        &mut self,
        user: Uuid,
        secret: &Sealed,
    ) -> Result<Done, ChangeError> {
        let organization = self.require_active(user).await?;
        let begin = sqlx::query(
            "INSERT INTO factors (user, secret, created_at) VALUES (?, ?, ?) \
             ON CONFLICT (user) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at, last_step = 0 \
             WHERE factors.confirmed_at IS NULL",
        )
        .bind(user.to_string())
        .bind(secret.as_bytes().to_vec())
        .bind(self.now);
        if self.run(begin).await? == 0 {
            return Err(Conflict::FactorExists.into());
        }
        Ok(Done::new(organization))
    }

    pub(super) async fn confirm_factor(
        &mut self,
        confirmation: &Confirmation,
    ) -> Result<Done, ChangeError> {
        let Confirmation {
            user,
            session,
            secret,
            step,
            recovery_codes,
        } = confirmation;
        let organization = self.require_active(*user).await?;
        let confirm = sqlx::query(
            "UPDATE factors SET confirmed_at = ?, last_step = ? \
             WHERE user = ? AND secret = ? AND confirmed_at IS NULL",
        )
        .bind(self.now)
        .bind(*step)
        .bind(user.to_string())
        .bind(secret.as_bytes().to_vec());
        if self.run(confirm).await? == 0 {
            return Err(Conflict::NoFactor.into());
        }
        self.put_recovery_codes(*user, recovery_codes).await?;
        let raise = sqlx::query(
            "UPDATE sessions SET mfa = 1, epoch = epoch + 1 \
             WHERE id = ? AND user = ? AND revoked_at IS NULL AND expires_at > ?",
        )
        .bind(session.to_string())
        .bind(user.to_string())
        .bind(self.now);
        if self.run(raise).await? == 0 {
            return Err(Conflict::UnknownSession.into());
        }
        self.end_all(*user, Some(*session)).await?;
        Ok(Done::new(organization))
    }

    pub(super) async fn remove_factor(&mut self, user: Uuid) -> Result<Done, ChangeError> {
        let (organization, _) = self.require_user(user).await?;
        let remove = sqlx::query("DELETE FROM factors WHERE user = ?").bind(user.to_string());
        Ok(Done {
            changed: self.run(remove).await? > 0,
            organization,
        })
    }

    pub(super) async fn set_recovery_codes(
        &mut self,
        user: Uuid,
        codes: &[KeyHash],
    ) -> Result<Done, ChangeError> {
        let organization = self.require_active(user).await?;
        let confirmed =
            sqlx::query("SELECT 1 FROM factors WHERE user = ? AND confirmed_at IS NOT NULL")
                .bind(user.to_string())
                .fetch_optional(&mut *self.tx)
                .await
                .map_err(unavailable)?;
        confirmed.ok_or(Conflict::NoFactor)?;
        self.put_recovery_codes(user, codes).await?;
        Ok(Done::new(organization))
    }

    /// Codes that come while the factor is locked are not looked at, so they do not count either.
    pub(super) async fn fail_factor(&mut self, user: Uuid) -> Result<Done, ChangeError> {
        let (organization, _) = self.require_user(user).await?;
        let count = sqlx::query(
            "UPDATE factors SET failures = failures + 1 \
             WHERE user = ? AND confirmed_at IS NOT NULL AND (locked_until IS NULL OR locked_until <= ?) \
             RETURNING failures",
        )
        .bind(user.to_string())
        .bind(self.now);
        let counted = count
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        let failures: i64 = match &counted {
            Some(row) => row.try_get(0).map_err(unavailable)?,
            None => 0,
        };
        if failures > 0 && failures % FAILURES_TO_LOCK == 0 {
            let lock = sqlx::query("UPDATE factors SET locked_until = ? WHERE user = ?")
                .bind(self.now + lock_secs(failures))
                .bind(user.to_string());
            self.run(lock).await?;
        }
        Ok(Done {
            changed: counted.is_some(),
            organization,
        })
    }

    /// Uses up the code that a log-in needs, if it needs one.
    pub(super) async fn use_code(
        &mut self,
        user: Uuid,
        code: Option<&Code>,
    ) -> Result<(), ChangeError> {
        let factor = sqlx::query(
            "SELECT locked_until FROM factors WHERE user = ? AND confirmed_at IS NOT NULL",
        )
        .bind(user.to_string())
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(unavailable)?;
        let (factor, code) = match (factor, code) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(Conflict::NoFactor.into()),
            (Some(_), None) => return Err(Conflict::FactorRequired.into()),
            (Some(factor), Some(code)) => (factor, code),
        };
        let used = match code {
            Code::Step { step, secret } => {
                let locked_until: Option<i64> = factor.try_get(0).map_err(unavailable)?;
                if locked_until.is_some_and(|until| until > self.now) {
                    return Err(Conflict::FactorLocked.into());
                }
                sqlx::query(
                    "UPDATE factors SET last_step = ?, failures = 0, locked_until = NULL \
                     WHERE user = ? AND secret = ? AND last_step < ?",
                )
                .bind(*step)
                .bind(user.to_string())
                .bind(secret.as_bytes().to_vec())
                .bind(*step)
            }
            // Nobody guesses 80 bits, so these open a locked factor's account as well.
            Code::Recovery(hash) => sqlx::query(
                "UPDATE recovery_codes SET used_at = ? WHERE user = ? AND hash = ? AND used_at IS NULL",
            )
            .bind(self.now)
            .bind(user.to_string())
            .bind(hash.as_bytes().to_vec()),
        };
        match self.run(used).await? {
            0 => Err(Conflict::CodeUsed.into()),
            _ => Ok(()),
        }
    }

    async fn put_recovery_codes(
        &mut self,
        user: Uuid,
        codes: &[KeyHash],
    ) -> Result<(), ChangeError> {
        let forget =
            sqlx::query("DELETE FROM recovery_codes WHERE user = ?").bind(user.to_string());
        self.run(forget).await?;
        for code in codes {
            let put = sqlx::query("INSERT INTO recovery_codes (user, hash) VALUES (?, ?)")
                .bind(user.to_string())
                .bind(code.as_bytes().to_vec());
            self.run(put).await?;
        }
        Ok(())
    }
}

fn lock_secs(failures: i64) -> i64 {
    let times = (failures / FAILURES_TO_LOCK).clamp(1, 16);
    (LOCK_SECS << (times - 1)).min(LOCK_SECS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_become_longer_up_to_a_day() {
        let after = [10, 20, 30, 80, 1_000_000, i64::MAX].map(lock_secs);
        assert_eq!(after, [900, 1800, 3600, 86_400, 86_400, 86_400]);
    }
}

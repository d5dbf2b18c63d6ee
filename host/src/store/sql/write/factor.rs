//! Second factors: enrolled, confirmed, used, removed.

use uuid::Uuid;

use super::{Done, Tx};
use crate::{
    factor::Sealed,
    key::KeyHash,
    store::{ChangeError, Code, Confirmation, Conflict, database::query},
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
        let begin = query(
            "INSERT INTO factors (\"user\", secret, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (\"user\") DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at, last_step = 0 \
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
        let confirm = query(
            "UPDATE factors SET confirmed_at = $1, last_step = $2 \
             WHERE \"user\" = $3 AND secret = $4 AND confirmed_at IS NULL",
        )
        .bind(self.now)
        .bind(*step)
        .bind(user.to_string())
        .bind(secret.as_bytes().to_vec());
        if self.run(confirm).await? == 0 {
            return Err(Conflict::NoFactor.into());
        }
        self.put_recovery_codes(*user, recovery_codes).await?;
        let raise = query(
            "UPDATE sessions SET mfa = TRUE, epoch = epoch + 1 \
             WHERE id = $1 AND \"user\" = $2 AND revoked_at IS NULL AND expires_at > $3",
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
        let remove = query("DELETE FROM factors WHERE \"user\" = $1").bind(user.to_string());
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
            query("SELECT 1 FROM factors WHERE \"user\" = $1 AND confirmed_at IS NOT NULL")
                .bind(user.to_string())
                .fetch_optional(&mut self.tx)
                .await?;
        confirmed.ok_or(Conflict::NoFactor)?;
        self.put_recovery_codes(user, codes).await?;
        Ok(Done::new(organization))
    }

    /// Codes that come while the factor is locked are not looked at, so they do not count either.
    pub(super) async fn fail_factor(&mut self, user: Uuid) -> Result<Done, ChangeError> {
        let (organization, _) = self.require_user(user).await?;
        let count = query(
            "UPDATE factors SET failures = failures + 1 \
             WHERE \"user\" = $1 AND confirmed_at IS NOT NULL AND (locked_until IS NULL OR locked_until <= $2) \
             RETURNING failures",
        )
        .bind(user.to_string())
        .bind(self.now);
        let counted = count.fetch_optional(&mut self.tx).await?;
        let failures: i64 = match &counted {
            Some(row) => row.get(0)?,
            None => 0,
        };
        if failures > 0 && failures % FAILURES_TO_LOCK == 0 {
            let lock = query("UPDATE factors SET locked_until = $1 WHERE \"user\" = $2")
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
        let factor = query(
            "SELECT locked_until FROM factors WHERE \"user\" = $1 AND confirmed_at IS NOT NULL",
        )
        .bind(user.to_string())
        .fetch_optional(&mut self.tx)
        .await?;
        let (factor, code) = match (factor, code) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(Conflict::NoFactor.into()),
            (Some(_), None) => return Err(Conflict::FactorRequired.into()),
            (Some(factor), Some(code)) => (factor, code),
        };
        let used = match code {
            Code::Step { step, secret } => {
                let locked_until: Option<i64> = factor.get(0)?;
                if locked_until.is_some_and(|until| until > self.now) {
                    return Err(Conflict::FactorLocked.into());
                }
                query(
                    "UPDATE factors SET last_step = $1, failures = 0, locked_until = NULL \
                     WHERE \"user\" = $2 AND secret = $3 AND last_step < $4",
                )
                .bind(*step)
                .bind(user.to_string())
                .bind(secret.as_bytes().to_vec())
                .bind(*step)
            }
            // Nobody guesses 80 bits, so these open a locked factor's account as well.
            Code::Recovery(hash) => query(
                "UPDATE recovery_codes SET used_at = $1 WHERE \"user\" = $2 AND hash = $3 AND used_at IS NULL",
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
        let forget = query("DELETE FROM recovery_codes WHERE \"user\" = $1").bind(user.to_string());
        self.run(forget).await?;
        for code in codes {
            let put = query("INSERT INTO recovery_codes (\"user\", hash) VALUES ($1, $2)")
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

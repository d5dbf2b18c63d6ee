//! Counting requests. Where gates share a Redis, the round trip that counts a caller's request also confirms what is kept of
//! the caller; otherwise both are a matter of this process.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use super::{Gate, Stop};
use crate::{
    Cause,
    authenticate::Authenticated,
    counters::{
        Away, Bucket, Counters,
        redis::{Answer, Asked, Redis, WhenAway},
    },
    limit::Taken,
};

/// How often a caller is looked up again who was changed each time meanwhile.
const LOOK_UPS_MAX: usize = 4;

impl Gate {
    /// Takes one call of whoever is counted without being known.
    pub(super) async fn take(
        &self,
        bucket: Bucket,
        limit: u32,
        now_ms: i64,
    ) -> ControlFlow<Stop, Taken> {
        match self.counters.take(bucket, limit, now_ms).await {
            Ok(taken) => Continue(taken),
            Err(away) => Break(Stop::at(away.into())),
        }
    }

    /// Counts a request of a caller, who is looked up again if what is kept of them does not stand any more.
    pub(super) async fn count_caller(
        &self,
        authenticated: &mut Authenticated,
        takes: bool,
        now_ms: i64,
    ) -> Result<Taken, Cause> {
        match &self.counters {
            Counters::Memory(_) => {
                let (bucket, limit) = self.bucket(authenticated);
                match takes {
                    true => Ok(self.counters.take(bucket, limit, now_ms).await?),
                    false => Ok(self.counters.look(bucket, limit, now_ms)),
                }
            }
            // Boxed: every request would carry room for it.
            Counters::Redis(redis) => {
                Box::pin(self.count_confirmed(redis, authenticated, takes, now_ms)).await
            }
        }
    }

    /// A caller of whom somebody else asks, confirmed without counting anything.
    pub(super) async fn confirmed(
        &self,
        mut found: Authenticated,
        now_ms: i64,
    ) -> Result<Authenticated, Cause> {
        let kept = Arc::clone(&found.principal);
        found.renew(self.directory().confirmed(kept, now_ms).await?);
        Ok(found)
    }

    async fn count_confirmed(
        &self,
        redis: &Redis,
        authenticated: &mut Authenticated,
        takes: bool,
        now_ms: i64,
    ) -> Result<Taken, Cause> {
        let directory = self.directory();
        for _ in 0..LOOK_UPS_MAX {
            let (bucket, limit) = self.bucket(authenticated);
            let kept = &authenticated.principal;
            let asked = Asked {
                bucket,
                organization: kept.organization,
                limit,
                now_ms,
                takes,
            };
            let (now, taken) = match redis.take_confirmed(&asked, &kept.filled).await {
                Ok(Answer::Taken(taken)) => return Ok(taken),
                Ok(Answer::Stale) => (directory.look_up_again(kept, now_ms).await?, None),
                Err(Away) if redis.when_away() == WhenAway::Refuse => return Err(Away.into()),
                Err(Away) => {
                    let now = directory.confirm_by_store(kept, now_ms).await?;
                    (now, Some(redis.take_here(&asked)))
                }
            };
            authenticated.renew(now);
            if let Some(taken) = taken {
                return Ok(taken);
            }
        }
        Err(Cause::Unavailable(
            "what is known of the caller changes faster than it is looked up".to_owned(),
        ))
    }
}

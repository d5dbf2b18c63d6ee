//! Who is calling, and whether they may still call: failures of the address, the credential, its limit.

use std::{
    net::IpAddr,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use scopegate_policy::CallerKind;

use super::{Counted, Gate, Stop, Trail, trail::Counting};
use crate::{
    Cause, Principal, Request,
    authenticate::{Authenticated, Authentication, Effort, Rejected},
    counters::Bucket,
    limit::Taken,
};

/// The buckets of who comes without a credential and with something to guess.
pub(super) struct Stranger {
    /// Their address's failures so far.
    pub failures: Taken,
    /// What is left of their requests.
    pub limit: Taken,
}

impl Gate {
    /// Failures of the address, then the credential, then its limit.
    pub(super) async fn identify(
        &self,
        request: &Request<'_>,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Counted> {
        let now_ms = request.now_ms;
        let limits = &self.contract.limits;
        let failures = self
            .counters
            .look(Bucket::failures(trail.client), limits.failures, now_ms);
        let effort = if failures.admitted {
            Effort::Full
        } else {
            Effort::CachedOnly
        };
        let authentication = self
            .authenticator
            .authenticate(&self.contract, trail.door, request.headers, effort, now_ms)
            .await;
        match authentication {
            Authentication::Authenticated(mut authenticated) => {
                let takes = trail.counting == Counting::Takes;
                let counted = self.count_caller(&mut authenticated, takes, now_ms).await;
                let taken = match counted {
                    Ok(taken) => taken,
                    // Another gate ended it.
                    Err(cause) => {
                        let Authenticated { principal, .. } = authenticated;
                        trail.principal = cause.is_an_end().then_some(principal);
                        return Break(self.reject(cause, failures, trail, now_ms).await);
                    }
                };
                trail.principal = Some(Arc::clone(&authenticated.principal));
                // The one that it is a part of may have been the last.
                if takes && !taken.admitted {
                    return Break(Stop::with(Cause::RateLimited, taken));
                }
                Continue(Counted {
                    authenticated: Some(authenticated),
                    limit: Taken {
                        admitted: true,
                        ..taken
                    },
                })
            }
            // Nothing was presented, but of this address only cached credentials are let in.
            Authentication::NotPresented if !failures.admitted => {
                Break(Stop::with(Cause::TooManyFailures, failures))
            }
            Authentication::NotPresented => self.count_anonymous(trail.client, now_ms).await,
            Authentication::Rejected(Rejected { cause, former }) => {
                trail.principal = former;
                Break(self.reject(cause, failures, trail, now_ms).await)
            }
        }
    }

    /// Requests without a credential count by address.
    pub(super) async fn count_anonymous(
        &self,
        client: IpAddr,
        now_ms: i64,
    ) -> ControlFlow<Stop, Counted> {
        let limit = self.contract.limits.anonymous;
        let taken = self.take(Bucket::anonymous(client), limit, now_ms).await?;
        if !taken.admitted {
            return Break(Stop::with(Cause::RateLimited, taken));
        }
        Continue(Counted {
            authenticated: None,
            limit: taken,
        })
    }

    /// Who comes without a credential and with something to guess, a password say: refused while their address has too many
    /// failures, and counted like any request without a credential.
    pub(super) async fn count_stranger(
        &self,
        client: IpAddr,
        now_ms: i64,
    ) -> ControlFlow<Stop, Stranger> {
        let limit = self.contract.limits.failures;
        let failures = self.counters.look(Bucket::failures(client), limit, now_ms);
        if !failures.admitted {
            return Break(Stop::with(Cause::TooManyFailures, failures));
        }
        let limit = self.count_anonymous(client, now_ms).await?.limit;
        Continue(Stranger { failures, limit })
    }

    /// A rejected credential counts against its address, which sees that bucket.
    pub(super) async fn reject(
        &self,
        cause: Cause,
        failures: Taken,
        trail: &Trail<'_>,
        now_ms: i64,
    ) -> Stop {
        match cause {
            // Nobody's fault but the gate's own.
            Cause::Unavailable(_) => return Stop::at(cause),
            // A matter of shape, refused before any look-up.
            Cause::SeveralCredentials if !self.errors(trail.door).several_credentials_401 => {
                return Stop::at(cause);
            }
            _ if !failures.admitted => return Stop::with(Cause::TooManyFailures, failures),
            _ => {}
        }
        self.meters.rejected(&cause);
        let (bucket, limit) = (
            Bucket::failures(trail.client),
            self.contract.limits.failures,
        );
        match self.take(bucket, limit, now_ms).await {
            Continue(taken) if taken.admitted => Stop::with(cause, taken),
            Continue(taken) => Stop::with(Cause::TooManyFailures, taken),
            Break(stop) => stop,
        }
    }

    /// Resolves when something behind the caller of an admitted request has changed, with what it is now. Not at its expiry,
    /// which is in the principal; and never for tokens of external issuers, of which nobody tells.
    ///
    /// # Errors
    /// Why the request may not go on: its credential is no longer good, or nobody can tell.
    pub async fn renewed(&self, principal: &Principal) -> Result<Arc<Principal>, Cause> {
        self.authenticator.directory.renewed(principal).await
    }

    /// What a caller is counted by, and how much they may.
    pub(super) fn bucket(&self, authenticated: &Authenticated) -> (Bucket, u32) {
        let limits = &self.contract.limits;
        let principal = &authenticated.principal;
        if let (true, Some(user)) = (limits.per_user, principal.user) {
            return (Bucket::User(user), limits.session);
        }
        let limit = match principal.kind {
            CallerKind::ApiKey => limits.api_key,
            CallerKind::Agent => limits.agent,
            CallerKind::Session | CallerKind::Anonymous => limits.session,
        };
        (Bucket::Credential(authenticated.counted_as), limit)
    }
}

//! Logging in, refreshing and logging out, with their limits: what a server's handlers call.

use std::{
    fmt,
    net::IpAddr,
    ops::ControlFlow::{self, Break, Continue},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use scopegate_policy::Reason;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Counted, Gate, Stop, Trail, identify::Stranger};
use crate::{
    Cause, Refusal, Request,
    authenticate::Door,
    client,
    contract::{self, Login},
    counters::Bucket,
    directory::LookUp,
    factor::CODE_BYTES_MAX,
    headers::{self, REQUEST_ID},
    keyring::SessionClaims,
    limit::Taken,
    password::PASSWORD_BYTES_MAX,
    refusal::{limit_headers, uuid_value},
    session::{Attempt, Grant, LoginOutcome, PasswordOutcome, RefreshOutcome},
    store::{Actor, Origin, StoreError},
};

/// Longest e-mail address that is looked up (RFC 5321, section 4.5.3.1), in bytes.
const EMAIL_BYTES_MAX: usize = 254;
/// How many addresses may log in to one account as often as one address may.
const ADDRESSES_OF_ACCOUNT: u32 = 5;

/// What a session endpoint answers.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Reply(Box<Reply>),
    /// It is refused.
    Refuse(Box<Refusal>),
}

/// A reply in the contract's words, ready to send.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; it may hold a token.
    pub body: String,
}

/// Without the body.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What was done, and the bucket that it counted against.
pub(super) struct Done {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) limit: Taken,
}

impl Gate {
    /// Signs a user in, by the contract's log-in reply, or by the gate's own where the request's path is. Counts against
    /// the address and the account.
    pub async fn login(&self, request: &Request<'_>, attempt: Attempt) -> Answer {
        let mut trail = self.trail(request);
        let outcome = self.try_login(request, attempt, &mut trail).await;
        self.answer(request, &trail, outcome).await
    }

    /// Gives the session behind the request's token a further token.
    pub async fn refresh(&self, request: &Request<'_>) -> Answer {
        let mut trail = self.trail(request);
        let outcome = self.try_refresh(request, &mut trail).await;
        self.answer(request, &trail, outcome).await
    }

    /// Ends the session behind the request's token.
    pub async fn logout(&self, request: &Request<'_>) -> Answer {
        let mut trail = self.trail(request);
        let outcome = self.try_logout(request, &mut trail).await;
        self.answer(request, &trail, outcome).await
    }

    pub(super) async fn answer(
        &self,
        request: &Request<'_>,
        trail: &Trail<'_>,
        outcome: ControlFlow<Stop, Done>,
    ) -> Answer {
        let done = match self.record(trail, None, outcome).await {
            Continue((done, _)) => done,
            Break(stop) => {
                return Answer::Refuse(Box::new(self.refusal(stop, trail, request.now_ms)));
            }
        };
        let mut headers = HeaderMap::with_capacity(6);
        headers.extend(limit_headers(&done.limit));
        headers.insert(REQUEST_ID, uuid_value(trail.request_id));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if done.status != StatusCode::NO_CONTENT {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        trail.span.answered(done.status);
        Answer::Reply(Box::new(Reply {
            status: done.status,
            headers,
            body: done.body,
        }))
    }

    async fn try_login(
        &self,
        request: &Request<'_>,
        attempt: Attempt,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Done> {
        let login = match (trail.door, &self.contract.login) {
            (Door::Own, _) => &self.own.login,
            (Door::Api, Some(login)) => login,
            (Door::Api, None) => return Break(Stop::at(Cause::Denied(Reason::NoRoute))),
        };
        let now_ms = request.now_ms;
        if let Err(cause) = headers::check_shape(request) {
            return Break(Stop::at(cause));
        }
        let otp_bytes = attempt
            .otp
            .as_ref()
            .map_or(0, |otp| otp.expose_secret().len());
        if attempt.email.len() > EMAIL_BYTES_MAX
            || attempt.password.expose_secret().len() > PASSWORD_BYTES_MAX
            || otp_bytes > CODE_BYTES_MAX
        {
            return Break(Stop::at(Cause::InvalidRequest(
                "the e-mail address, the password or the code is too long".to_owned(),
            )));
        }
        let Stranger { failures, .. } = self.count_stranger(trail.client, now_ms).await?;
        let taken = self
            .count_login(&attempt.email, trail.client, now_ms)
            .await?;
        // Whoever it turns out to be.
        let origin = trail.origin(Actor::Gate);
        match self.sessions.login(attempt, origin, now_ms).await {
            Ok(LoginOutcome::Granted(grant)) => {
                // Looked up now, so that the session is known however the address behaves; and for the record.
                let found = self
                    .directory()
                    .by_session(grant.session, grant.user.id, now_ms)
                    .await;
                if let Ok(LookUp::Found(principal)) = found {
                    trail.principal = Some(principal);
                }
                self.granted(login, &grant, taken)
            }
            Ok(LoginOutcome::Refused) => {
                Break(self.reject(Cause::BadLogin, failures, trail, now_ms).await)
            }
            // No failure: the password is right, and this is how one learns what else is needed.
            Ok(LoginOutcome::OtpRequired) => Break(Stop::with(Cause::OtpRequired, taken)),
            Ok(LoginOutcome::FactorLocked(until)) => Break(Stop::with(
                Cause::TooManyFailures,
                Taken {
                    admitted: false,
                    remaining: 0,
                    reset_at: until,
                    retry_after_ms: until.saturating_mul(1000).saturating_sub(now_ms),
                    ..taken
                },
            )),
            Ok(LoginOutcome::Overloaded) => Break(Stop::with(Cause::Overloaded, taken)),
            Err(error) => Break(Stop::with(error.into(), taken)),
        }
    }

    /// Counts a log-in by its account and address, and only then by its account alone, which takes several addresses'
    /// worth: a stranger cannot use up what the account's owner has elsewhere from one address.
    async fn count_login(
        &self,
        email: &str,
        client: IpAddr,
        now_ms: i64,
    ) -> ControlFlow<Stop, Taken> {
        let limit = self.contract.limits.logins;
        let email = email.to_ascii_lowercase();
        let address = client::bucket(client).to_string();
        let both = digested(&["address", &address, &email]);
        let taken = self.take(both, limit, now_ms).await?;
        if !taken.admitted {
            return Break(Stop::with(Cause::TooManyFailures, taken));
        }
        let everywhere = limit.saturating_mul(ADDRESSES_OF_ACCOUNT);
        let account = digested(&["account", &email]);
        let of_account = self.take(account, everywhere, now_ms).await?;
        if !of_account.admitted {
            return Break(Stop::with(Cause::TooManyFailures, of_account));
        }
        Continue(taken)
    }

    async fn try_refresh(
        &self,
        request: &Request<'_>,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Done> {
        let (Some(login), Some(_)) = (&self.contract.login, &self.contract.refresh_path) else {
            return Break(Stop::at(Cause::Denied(Reason::NoRoute)));
        };
        let (session, user, limit) = self.own_session(request, trail).await?;
        match self.sessions.refresh(session, user, request.now_ms).await {
            Ok(RefreshOutcome::Granted(grant)) => self.granted(login, &grant, limit),
            Ok(RefreshOutcome::Revoked) => Break(Stop::with(Cause::Revoked, limit)),
            Ok(RefreshOutcome::Expired) => Break(Stop::with(Cause::Expired, limit)),
            Err(error) => Break(Stop::with(error.into(), limit)),
        }
    }

    async fn try_logout(
        &self,
        request: &Request<'_>,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Done> {
        let (session, user, limit) = self.own_session(request, trail).await?;
        let origin = trail.origin(Actor::User(user));
        let ended = self.sessions.logout(session, origin, request.now_ms);
        match ended.await {
            Ok(()) => Continue(Done {
                status: StatusCode::NO_CONTENT,
                body: String::new(),
                limit,
            }),
            Err(error) => Break(Stop::with(error.into(), limit)),
        }
    }

    /// The session of this gate behind the request's token. Keys and tokens of others have none.
    async fn own_session(
        &self,
        request: &Request<'_>,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, (Uuid, Uuid, Taken)> {
        if let Err(cause) = headers::check_shape(request) {
            return Break(Stop::at(cause));
        }
        let Counted {
            authenticated,
            limit,
        } = self.identify(request, trail).await?;
        let Some(authenticated) = authenticated else {
            return Break(Stop::with(Cause::NotAuthenticated, limit));
        };
        match authenticated.principal.user {
            Some(user) if authenticated.is_own_session => {
                Continue((authenticated.principal.credential, user, limit))
            }
            _ => Break(Stop::with(Cause::UnknownCredential, limit)),
        }
    }

    /// Gives a signed-in user another password, and ends their sessions but this one. As many attempts as log-ins, in a
    /// bucket of the user's own, which no stranger can use up; it is given back where it is used up.
    pub async fn change_password(
        &self,
        session: Uuid,
        user: Uuid,
        current: SecretString,
        new: SecretString,
        origin: Origin,
        now_ms: i64,
    ) -> Result<Result<PasswordOutcome, Taken>, StoreError> {
        let bucket = digested(&["password", &user.to_string()]);
        let limit = self.contract.limits.logins;
        let taken = self.counters.take(bucket, limit, now_ms).await;
        let taken = taken.map_err(|away| StoreError::Unavailable(away.to_string()))?;
        if !taken.admitted {
            return Ok(Err(taken));
        }
        let outcome = self
            .sessions
            .change_password(session, user, current, new, origin, now_ms);
        outcome.await.map(Ok)
    }

    /// Signs the token and fills in the contract's reply.
    fn granted(&self, login: &Login, grant: &Grant, limit: Taken) -> ControlFlow<Stop, Done> {
        let keyring = self.keys().current();
        let claims = SessionClaims {
            iss: keyring.issuer().to_owned(),
            aud: self.contract.name.clone(),
            sub: grant.user.id,
            sid: grant.session,
            // Operators are in no organization: the nil UUID, as their principal has it.
            org_id: grant.user.organization.unwrap_or_default(),
            iat: grant.issued_at,
            exp: grant.expires_at,
            auth_time: grant.auth_time,
            jti: Uuid::new_v4(),
        };
        let token = match keyring.sign(&claims) {
            Ok(token) => token,
            Err(error) => return Break(Stop::with(Cause::Unavailable(error.to_string()), limit)),
        };
        let body = reply(login, grant, &token);
        Continue(Done {
            status: StatusCode::OK,
            body,
            limit,
        })
    }
}

fn reply(login: &Login, grant: &Grant, token: &SecretString) -> String {
    let user = &grant.user;
    let value_of = |name: &str| -> Option<Value> {
        Some(match name {
            "token" => token.expose_secret().into(),
            "expires_at" => Timestamp::from_second(grant.expires_at)
                .unwrap_or_default()
                .to_string()
                .into(),
            "user_id" => user.id.to_string().into(),
            "email" => user.email.as_str().into(),
            "role" => user.role.as_deref().into(),
            "organization_id" => user.organization.map(|id| id.to_string()).into(),
            _ => return None,
        })
    };
    contract::fill(&login.reply, &value_of).to_string()
}

/// An account's bucket, whether or not there is such an account: by a digest, so that names of any length cost the same.
/// The first part says what is counted.
fn digested(parts: &[&str]) -> Bucket {
    let digest = Sha256::digest(parts.join("\n"));
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(digest.iter())
        .for_each(|(byte, from)| *byte = *from);
    Bucket::Account(bytes)
}

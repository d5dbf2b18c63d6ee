//! Signing in, staying signed in, and signing out. What is signed into a token is a [`Grant`]; the signing itself is
//! the key ring's.

use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    Directory,
    contract::SessionRules,
    name,
    password::{Passwords, Unverified},
    store::{Actor, Change, ChangeError, Conflict, Session, StoreError, User},
};

/// A token to be signed. Times are in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The session's id, the same through every refresh.
    pub session: Uuid,
    /// The user: id, organization (none for an operator), e-mail address, role.
    pub user: User,
    /// When the user signed in, the same through every refresh.
    pub auth_time: i64,
    /// Whether with a second factor.
    pub mfa: bool,
    /// When the token begins.
    pub issued_at: i64,
    /// When the token ends: its own life, but not beyond the session's.
    pub expires_at: i64,
}

/// What became of a log-in.
#[derive(Debug)]
pub enum LoginOutcome {
    /// Signed in.
    Granted(Box<Grant>),
    /// Wrong address or password, a disabled user, or one without a password: the caller is not told which, and each
    /// takes as long.
    Refused,
    /// Too many log-ins at once.
    Overloaded,
}

/// What became of a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// A further token for the same session.
    Granted(Box<Grant>),
    /// There is no such session of this user, or it was ended.
    Revoked,
    /// The session's whole life is over: a new log-in is needed.
    Expired,
}

/// Sessions of the gate's own users.
#[derive(Debug)]
pub struct Sessions {
    directory: Directory,
    passwords: Passwords,
    rules: SessionRules,
}

impl Sessions {
    /// Sessions by the contract's rules.
    pub fn new(directory: Directory, passwords: Passwords, rules: SessionRules) -> Self {
        Self {
            directory,
            passwords,
            rules,
        }
    }

    /// Signs a user in. Attempts are limited by whoever calls this, by account and by address.
    pub async fn login(
        &self,
        email: &str,
        password: SecretString,
        now_ms: i64,
    ) -> Result<LoginOutcome, StoreError> {
        let found = match name::is_email(email) {
            true => self.directory.store().find_login(email).await?,
            false => None,
        };
        let (user, hash) = match found {
            Some(facts) => (Some(facts.user), facts.password),
            None => (None, None),
        };
        let right = match self.passwords.verify(password, hash.as_ref()).await {
            Ok(right) => right,
            Err(Unverified::Overloaded) => return Ok(LoginOutcome::Overloaded),
            Err(Unverified::Failed(what)) => return Err(StoreError::Unavailable(what)),
        };
        match user {
            Some(user) if right && user.disabled_at.is_none() => self.open(user, now_ms).await,
            _ => Ok(LoginOutcome::Refused),
        }
    }

    async fn open(&self, user: User, now_ms: i64) -> Result<LoginOutcome, StoreError> {
        let now = now_ms.div_euclid(1000);
        let session = Session {
            id: Uuid::new_v4(),
            user: user.id,
            auth_time: now,
            mfa: false,
            expires_at: now.saturating_add(self.rules.life_secs_max),
            revoked_at: None,
        };
        let grant = self.grant(&session, user, now);
        let actor = Actor::User(session.user);
        match self
            .directory
            .apply(Change::OpenSession(session), actor, now_ms)
            .await
        {
            Ok(_) => Ok(LoginOutcome::Granted(Box::new(grant))),
            // Disabled or gone while the password was verified.
            Err(ChangeError::Conflict(_)) => Ok(LoginOutcome::Refused),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    /// A further token for a session, whose present token was verified.
    pub async fn refresh(
        &self,
        session: Uuid,
        user: Uuid,
        now_ms: i64,
    ) -> Result<RefreshOutcome, StoreError> {
        let now = now_ms.div_euclid(1000);
        let Some(facts) = self.directory.store().find_session(session).await? else {
            return Ok(RefreshOutcome::Revoked);
        };
        let ended = facts.session.revoked_at.is_some() || facts.owner.user.disabled_at.is_some();
        if ended || facts.session.user != user {
            return Ok(RefreshOutcome::Revoked);
        }
        if facts.session.expires_at <= now {
            return Ok(RefreshOutcome::Expired);
        }
        let grant = self.grant(&facts.session, facts.owner.user, now);
        Ok(RefreshOutcome::Granted(Box::new(grant)))
    }

    /// Ends a session, whose token was verified. At its next request, the token is refused.
    pub async fn logout(&self, session: Uuid, user: Uuid, now_ms: i64) -> Result<(), StoreError> {
        let change = Change::EndSession(session);
        match self
            .directory
            .apply(change, Actor::User(user), now_ms)
            .await
        {
            Ok(_) | Err(ChangeError::Conflict(Conflict::UnknownSession)) => Ok(()),
            Err(ChangeError::Conflict(conflict)) => {
                Err(StoreError::Unavailable(conflict.to_string()))
            }
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    fn grant(&self, session: &Session, user: User, now: i64) -> Grant {
        Grant {
            session: session.id,
            user,
            auth_time: session.auth_time,
            mfa: session.mfa,
            issued_at: now,
            expires_at: now
                .saturating_add(self.rules.ttl_secs)
                .min(session.expires_at),
        }
    }
}

#[cfg(test)]
mod tests;

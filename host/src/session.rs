//! Signing in, staying signed in, and signing out. What is signed into a token is a [`Grant`]; the signing itself is
//! the key ring's.

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    Contract, Directory,
    contract::SessionRules,
    factor::{FactorError, Typed, step_of},
    key::KeyHash,
    keyring::Keys,
    name,
    password::{BadPassword, PasswordHash, Passwords, Unverified},
    store::{
        Actor, Change, ChangeError, Code, Conflict, Factor, LogIn, Origin, Session, StoreError,
        User,
    },
};

/// What somebody logs in with. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Attempt {
    /// Their e-mail address, in any case.
    pub email: String,
    /// Their password.
    pub password: SecretString,
    /// A code of their second factor or a recovery code; not looked at where they have none.
    pub otp: Option<SecretString>,
}

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
    /// takes as long. Or the right password with a wrong code.
    Refused,
    /// The right password; the user has a second factor, and no code was given.
    OtpRequired,
    /// The right password; after too many wrong codes none is looked at until then, in seconds since the epoch.
    /// Recovery codes are.
    FactorLocked(i64),
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

/// What became of a change of one's own password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordOutcome {
    /// It is changed, and the user's other sessions have ended.
    Changed,
    /// The current one is another, or was changed meanwhile.
    WrongPassword,
    /// The new one cannot be chosen.
    BadPassword(BadPassword),
    /// Too many passwords are being verified at once.
    Overloaded,
    /// There is no such user any more, or they are disabled.
    Gone,
}

/// What became of an invitation that somebody presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitationOutcome {
    /// Its user can log in.
    Accepted,
    /// It is none, was taken up or replaced, or is past its end.
    Unknown,
    /// The password cannot be chosen.
    BadPassword(BadPassword),
    /// Too many passwords are being hashed at once.
    Overloaded,
}

/// Sessions of the gate's own users, and what those log in with.
#[derive(Debug)]
pub struct Sessions {
    pub(crate) directory: Directory,
    passwords: Passwords,
    rules: SessionRules,
    /// The contract's name: whom tokens are for, and what authenticator apps call the account.
    pub(crate) audience: String,
    pub(crate) keys: Keys,
}

impl Sessions {
    /// Sessions by the contract's rules.
    pub fn new(
        directory: Directory,
        passwords: Passwords,
        contract: &Contract,
        keys: Keys,
    ) -> Self {
        Self {
            directory,
            passwords,
            rules: contract.session,
            audience: contract.name.clone(),
            keys,
        }
    }

    /// Signs a user in. Attempts are limited by whoever calls this, by account and by address. The origin's actor becomes
    /// the user.
    pub async fn login(
        &self,
        attempt: Attempt,
        origin: Origin,
        now_ms: i64,
    ) -> Result<LoginOutcome, StoreError> {
        let found = match name::is_email(&attempt.email) {
            true => self.directory.store().find_login(&attempt.email).await?,
            false => None,
        };
        let (known, hash) = match found {
            Some(facts) => (Some((facts.user, facts.factor)), facts.password),
            None => (None, None),
        };
        let right = match self.passwords.verify(attempt.password, hash.as_ref()).await {
            Ok(right) => right,
            Err(Unverified::Overloaded) => return Ok(LoginOutcome::Overloaded),
            Err(Unverified::Failed(what)) => return Err(StoreError::Unavailable(what)),
        };
        // Whoever comes further has given the right password: only they learn whether there is a second factor.
        match (known, hash) {
            (Some((user, factor)), Some(hash)) if right && user.disabled_at.is_none() => {
                let origin = Origin {
                    actor: Actor::User(user.id),
                    ..origin
                };
                let factor = factor.filter(|factor| factor.confirmed_at.is_some());
                let code = match self.code(&user, factor, attempt.otp, now_ms)? {
                    Given::Code(code) => code,
                    Given::Wrong => return self.wrong_code(&user, origin, now_ms).await,
                    Given::Missing => return Ok(LoginOutcome::OtpRequired),
                    Given::Locked(until) => return Ok(LoginOutcome::FactorLocked(until)),
                };
                self.open(user, hash, code, origin, now_ms).await
            }
            _ => Ok(LoginOutcome::Refused),
        }
    }

    /// What was given for the second factor, compared but not yet used up.
    fn code(
        &self,
        user: &User,
        factor: Option<Factor>,
        otp: Option<SecretString>,
        now_ms: i64,
    ) -> Result<Given, StoreError> {
        let Some(factor) = factor else {
            return Ok(Given::Code(None));
        };
        let Some(otp) = otp else {
            return Ok(Given::Missing);
        };
        let locked = factor
            .locked_until
            .filter(|until| until.saturating_mul(1000) > now_ms);
        let digits = match (Typed::read(otp.expose_secret()), locked) {
            (Some(Typed::Recovery(hash)), _) => return Ok(Given::Code(Some(Code::Recovery(hash)))),
            (_, Some(until)) => return Ok(Given::Locked(until)),
            (None, None) => return Ok(Given::Wrong),
            (Some(Typed::Digits(digits)), None) => digits,
        };
        let secret = self
            .open_secret(user.id, &factor.secret)
            .map_err(|error| match error {
                FactorError::NoSealing => StoreError::Unavailable(
                    "the key file lacks the `sealing` secret that the second factors were sealed with"
                        .to_owned(),
                ),
                other => StoreError::Unavailable(other.to_string()),
            })?;
        Ok(match step_of(&secret, &digits, now_ms) {
            Some(step) => Given::Code(Some(Code::Step {
                step,
                secret: factor.secret,
            })),
            None => Given::Wrong,
        })
    }

    async fn wrong_code(
        &self,
        user: &User,
        origin: Origin,
        now_ms: i64,
    ) -> Result<LoginOutcome, StoreError> {
        let change = Change::FailFactor(user.id);
        match self.directory.apply(change, origin, now_ms).await {
            Ok(_) | Err(ChangeError::Conflict(_)) => Ok(LoginOutcome::Refused),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    async fn open(
        &self,
        user: User,
        password: PasswordHash,
        code: Option<Code>,
        origin: Origin,
        now_ms: i64,
    ) -> Result<LoginOutcome, StoreError> {
        let now = now_ms.div_euclid(1000);
        let session = Session {
            id: Uuid::new_v4(),
            user: user.id,
            auth_time: now,
            mfa: code.is_some(),
            expires_at: now.saturating_add(self.rules.life_secs_max),
            revoked_at: None,
        };
        let grant = self.grant(&session, user.clone(), now);
        let change = Change::LogIn(Box::new(LogIn {
            session,
            password,
            code,
        }));
        match self.directory.apply(change, origin.clone(), now_ms).await {
            Ok(_) => Ok(LoginOutcome::Granted(Box::new(grant))),
            Err(ChangeError::Conflict(Conflict::CodeUsed)) => {
                self.wrong_code(&user, origin, now_ms).await
            }
            Err(ChangeError::Conflict(Conflict::FactorRequired)) => Ok(LoginOutcome::OtpRequired),
            // Disabled, gone, or with another password or factor than a moment ago.
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
        let is_short_of_a_factor = facts.factor_confirmed && !facts.session.mfa;
        let ended = facts.session.revoked_at.is_some()
            || facts.owner.user.disabled_at.is_some()
            || is_short_of_a_factor;
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
    pub async fn logout(
        &self,
        session: Uuid,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let change = Change::EndSession(session);
        match self.directory.apply(change, origin, now_ms).await {
            Ok(_) | Err(ChangeError::Conflict(Conflict::UnknownSession)) => Ok(()),
            Err(ChangeError::Conflict(conflict)) => {
                Err(StoreError::Unavailable(conflict.to_string()))
            }
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    /// Ends all sessions of a user but one, or all of them. Keys stay. `false`: there was none to end.
    ///
    /// # Errors
    /// A conflict where there is no such user.
    pub async fn end_all(
        &self,
        user: Uuid,
        except: Option<Uuid>,
        origin: Origin,
        now_ms: i64,
    ) -> Result<bool, ChangeError> {
        let change = Change::EndSessions { user, except };
        self.directory.apply(change, origin, now_ms).await
    }

    /// Gives a user another password, if they know the current one, and ends their sessions but this one. Attempts are
    /// limited by whoever calls this: [`crate::Gate::change_password`] does.
    pub async fn change_password(
        &self,
        session: Uuid,
        user: Uuid,
        current: SecretString,
        new: SecretString,
        origin: Origin,
        now_ms: i64,
    ) -> Result<PasswordOutcome, StoreError> {
        let found = self.directory.store().find_login_of(user).await?;
        let replaces = found.and_then(|facts| facts.password);
        match self.passwords.verify(current, replaces.as_ref()).await {
            Ok(true) => {}
            Ok(false) => return Ok(PasswordOutcome::WrongPassword),
            Err(Unverified::Overloaded) => return Ok(PasswordOutcome::Overloaded),
            Err(Unverified::Failed(what)) => return Err(StoreError::Unavailable(what)),
        }
        let password = match self.passwords.hash(new).await {
            Ok(Ok(password)) => password,
            Ok(Err(bad)) => return Ok(PasswordOutcome::BadPassword(bad)),
            Err(Unverified::Overloaded) => return Ok(PasswordOutcome::Overloaded),
            Err(Unverified::Failed(what)) => return Err(StoreError::Unavailable(what)),
        };
        let change = Change::SetPassword {
            user,
            password,
            replaces,
            except: Some(session),
        };
        match self.directory.apply(change, origin, now_ms).await {
            Ok(_) => Ok(PasswordOutcome::Changed),
            Err(ChangeError::Conflict(Conflict::PasswordChanged)) => {
                Ok(PasswordOutcome::WrongPassword)
            }
            Err(ChangeError::Conflict(_)) => Ok(PasswordOutcome::Gone),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }

    /// Takes an invitation up: its user has this password from now on, and nobody stays signed in as them.
    pub async fn accept_invitation(
        &self,
        invitation: &SecretString,
        password: SecretString,
        origin: Origin,
        now_ms: i64,
    ) -> Result<InvitationOutcome, StoreError> {
        let hash = KeyHash::of(invitation.expose_secret());
        let store = self.directory.store();
        let Some(user) = store
            .find_invitation(&hash, now_ms.div_euclid(1000))
            .await?
        else {
            return Ok(InvitationOutcome::Unknown);
        };
        let password = match self.passwords.hash(password).await {
            Ok(Ok(password)) => password,
            Ok(Err(bad)) => return Ok(InvitationOutcome::BadPassword(bad)),
            Err(Unverified::Overloaded) => return Ok(InvitationOutcome::Overloaded),
            Err(Unverified::Failed(what)) => return Err(StoreError::Unavailable(what)),
        };
        let change = Change::AcceptInvitation {
            user,
            hash,
            password,
        };
        let origin = Origin {
            actor: Actor::User(user),
            ..origin
        };
        match self.directory.apply(change, origin, now_ms).await {
            Ok(_) => Ok(InvitationOutcome::Accepted),
            // Taken up or replaced while the password was hashed, or the user is disabled.
            Err(ChangeError::Conflict(_)) => Ok(InvitationOutcome::Unknown),
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

/// What came of the code of a log-in whose password is right.
enum Given {
    /// It fits; `None` where none is needed.
    Code(Option<Code>),
    /// It does not.
    Wrong,
    /// There was none.
    Missing,
    /// It was not looked at.
    Locked(i64),
}

#[cfg(test)]
mod tests;

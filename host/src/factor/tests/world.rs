//! A user, and what they do about their second factor.

use secrecy::{ExposeSecret, SecretString};
use totp_rs::Secret;
use uuid::Uuid;

use crate::{
    Contract, KeyRing, Sessions,
    contract::Authority,
    directory::LookUp,
    factor::{FactorError, totp},
    password::{self, Passwords},
    session::{Attempt, Grant, LoginOutcome},
    store::{
        Actor, Origin,
        fixture::{Fixture, NOW_MS},
    },
};

pub(super) const PASSWORD: &str = "correct horse";
pub(super) const STEP_MS: i64 = 30_000;

pub(super) struct World {
    pub(super) fixture: Fixture,
    pub(super) sessions: Sessions,
    pub(super) ada: Uuid,
}

/// What an authenticator app has, and what was written down.
pub(super) struct Enrolled {
    pub(super) secret: Vec<u8>,
    pub(super) recovery: Vec<SecretString>,
    pub(super) session: Grant,
}

impl World {
    pub(super) async fn new() -> Self {
        let fixture = Fixture::new(Authority::Owner).await;
        let hash = password::hash(&PASSWORD.into()).unwrap();
        let ada = fixture.user_with_password("ada@example.com", hash).await;
        let sessions = Sessions::new(
            fixture.directory.clone(),
            Passwords::new().unwrap(),
            &Contract::builtin("scopegate").unwrap(),
            KeyRing::ephemeral().unwrap().into(),
        );
        Self {
            fixture,
            sessions,
            ada,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        Actor::User(self.ada).into()
    }

    pub(super) async fn login(
        &self,
        password: &str,
        otp: Option<&str>,
        now_ms: i64,
    ) -> LoginOutcome {
        let attempt = Attempt {
            email: "ada@example.com".to_owned(),
            password: password.into(),
            otp: otp.map(SecretString::from),
        };
        let outcome = self.sessions.login(attempt, Actor::Gate.into(), now_ms);
        outcome.await.unwrap()
    }

    pub(super) async fn enter(&self, otp: Option<&str>, now_ms: i64) -> Grant {
        match self.login(PASSWORD, otp, now_ms).await {
            LoginOutcome::Granted(grant) => *grant,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn begin(&self) -> Vec<u8> {
        let begun = self.sessions.begin_factor(self.ada, self.origin(), NOW_MS);
        let begun = begun.await.unwrap();
        let read = Secret::try_from_base32(begun.secret.expose_secret()).unwrap();
        read.as_bytes().to_vec()
    }

    pub(super) async fn enrolled(&self) -> Enrolled {
        let session = self.enter(None, NOW_MS).await;
        let secret = self.begin().await;
        let code = code(&secret, NOW_MS);
        let recovery = self.confirm(&session, &code).await.unwrap();
        Enrolled {
            secret,
            recovery,
            session,
        }
    }

    pub(super) async fn confirm(
        &self,
        session: &Grant,
        code: &str,
    ) -> Result<Vec<SecretString>, FactorError> {
        let (code, origin) = (code.into(), self.origin());
        self.sessions
            .confirm_factor(session.session, self.ada, &code, origin, NOW_MS)
            .await
    }

    pub(super) async fn is_open(&self, grant: &Grant) -> bool {
        let found = self
            .fixture
            .directory
            .by_session(grant.session, self.ada, NOW_MS)
            .await;
        matches!(found.unwrap(), LookUp::Found(_))
    }
}

pub(super) fn code(secret: &[u8], now_ms: i64) -> String {
    let now = now_ms.unsigned_abs() / 1000;
    totp(secret, "", None).generate(now).to_string()
}

/// A code that is not good at this moment.
pub(super) fn wrong(secret: &[u8], now_ms: i64) -> String {
    let good = [-STEP_MS, 0, STEP_MS].map(|apart| code(secret, now_ms + apart));
    let mut all = (0..10).map(|n| format!("{n:06}"));
    all.find(|code| !good.contains(code)).unwrap()
}

//! Enrolling a second factor, confirming it, and taking it away.

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use uuid::Uuid;

use super::{SECRET_BYTES, Sealed, Typed, base32, random, recovery_codes, step_of, totp};
use crate::{
    Sessions,
    store::{Change, ChangeError, Confirmation, Conflict, Factor, LoginFacts, Origin, StoreError},
};

/// A secret for an authenticator app: shown this once.
#[derive(Debug)]
pub struct Enrolment {
    /// In base32, to type in.
    pub secret: SecretString,
    /// As an `otpauth://` URL, to be shown as a QR code.
    pub url: SecretString,
}

/// How a user's second factor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorStatus {
    /// When enrolment began, in seconds since the epoch.
    pub created_at: i64,
    /// When it was confirmed; `None`: it was begun, and log-ins go without.
    pub confirmed_at: Option<i64>,
    /// How many recovery codes are left.
    pub recovery_codes_left: u32,
}

/// Why a second factor was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactorError {
    /// The key file is of an older version. For the operator.
    #[error(
        "second factors cannot be enrolled: the key file has no `sealing` secret; `scopegate signing-key rotate` adds one"
    )]
    NoSealing,
    /// The code does not fit.
    #[error("the code is wrong")]
    WrongCode,
    /// Things are not as it takes.
    #[error(transparent)]
    Conflict(Conflict),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes, or the sealed secret is damaged or of another key file. The text is for the log.
    #[error("{0}")]
    Failed(String),
}

impl From<ChangeError> for FactorError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Conflict(conflict) => Self::Conflict(conflict),
            ChangeError::Store(error) => Self::Store(error),
        }
    }
}

impl Sessions {
    /// Begins the enrolment of a second factor, in place of one that was begun and not confirmed. Log-ins go on
    /// without it until it is confirmed.
    ///
    /// # Errors
    /// [`FactorError::NoSealing`]; a conflict where a factor is confirmed already, or the user is gone.
    pub async fn begin_factor(
        &self,
        user: Uuid,
        origin: Origin,
        now_ms: i64,
    ) -> Result<Enrolment, FactorError> {
        let email = self.login_of(user).await?.user.email;
        let secret = random::<SECRET_BYTES>()?;
        let ring = self.keys.current();
        let sealed = ring
            .sealing()
            .ok_or(FactorError::NoSealing)?
            .seal(user, secret.as_slice())?;
        let change = Change::BeginFactor {
            user,
            secret: sealed,
        };
        self.directory.apply(change, origin, now_ms).await?;
        // A colon would end the issuer's part of the label.
        let account = email.replace(':', "_");
        let url = totp(secret.as_slice(), &account, Some(&self.audience))
            .to_url()
            .map_err(|error| FactorError::Failed(error.to_string()))?;
        Ok(Enrolment {
            secret: base32(secret.as_slice()).into(),
            url: url.into(),
        })
    }

    /// Completes an enrolment with a first code: this session has its second factor from now on, the user's others end.
    /// Gives the recovery codes, this once.
    ///
    /// # Errors
    /// [`FactorError::WrongCode`]; a conflict where none is being enrolled, or the session is not the user's or ended.
    pub async fn confirm_factor(
        &self,
        session: Uuid,
        user: Uuid,
        code: &SecretString,
        origin: Origin,
        now_ms: i64,
    ) -> Result<Vec<SecretString>, FactorError> {
        use secrecy::ExposeSecret;
        let factor = self.login_of(user).await?.factor;
        let secret = match factor {
            Some(Factor {
                secret,
                confirmed_at: None,
                ..
            }) => secret,
            Some(_) => return Err(FactorError::Conflict(Conflict::FactorExists)),
            None => return Err(FactorError::Conflict(Conflict::NoFactor)),
        };
        let Some(Typed::Digits(digits)) = Typed::read(code.expose_secret()) else {
            return Err(FactorError::WrongCode);
        };
        let opened = self.open_secret(user, &secret)?;
        let step = step_of(&opened, &digits, now_ms).ok_or(FactorError::WrongCode)?;
        let (shown, recovery_codes) = recovery_codes()?;
        let change = Change::ConfirmFactor(Box::new(Confirmation {
            user,
            session,
            secret,
            step,
            recovery_codes,
        }));
        self.directory.apply(change, origin, now_ms).await?;
        Ok(shown)
    }

    /// Takes a user's second factor and recovery codes away. `false`: there was none.
    ///
    /// # Errors
    /// A conflict where there is no such user.
    pub async fn remove_factor(
        &self,
        user: Uuid,
        origin: Origin,
        now_ms: i64,
    ) -> Result<bool, FactorError> {
        let change = Change::RemoveFactor(user);
        Ok(self.directory.apply(change, origin, now_ms).await?)
    }

    /// New recovery codes, shown this once; those from before work no more.
    ///
    /// # Errors
    /// A conflict where there is no confirmed factor.
    pub async fn new_recovery_codes(
        &self,
        user: Uuid,
        origin: Origin,
        now_ms: i64,
    ) -> Result<Vec<SecretString>, FactorError> {
        let (shown, codes) = recovery_codes()?;
        let change = Change::SetRecoveryCodes { user, codes };
        self.directory.apply(change, origin, now_ms).await?;
        Ok(shown)
    }

    /// How a user's second factor stands; `None`: there is none.
    ///
    /// # Errors
    /// A conflict where there is no such user.
    pub async fn factor_status(&self, user: Uuid) -> Result<Option<FactorStatus>, FactorError> {
        let factor = self.login_of(user).await?.factor;
        Ok(factor.map(|factor| FactorStatus {
            created_at: factor.created_at,
            confirmed_at: factor.confirmed_at,
            recovery_codes_left: factor.recovery_codes_left,
        }))
    }

    async fn login_of(&self, user: Uuid) -> Result<LoginFacts, FactorError> {
        let found = self.directory.store().find_login_of(user).await?;
        found.ok_or(FactorError::Conflict(Conflict::UnknownUser))
    }

    pub(crate) fn open_secret(
        &self,
        user: Uuid,
        secret: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, FactorError> {
        let ring = self.keys.current();
        let sealing = ring.sealing().ok_or(FactorError::NoSealing)?;
        sealing.open(user, secret)
    }
}

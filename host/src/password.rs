//! Passwords: argon2id in PHC strings, computed off the async threads and as many at once as there are cores.

use std::{fmt, sync::Arc, thread::available_parallelism, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Longest password that is looked at, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Shortest password that may be chosen, in characters (NIST SP 800-63B).
pub const PASSWORD_CHARS_MIN: usize = 8;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a log-in waits for its turn.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is kept of a password: a PHC string of argon2id, with bounded costs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

/// Why a PHC string is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    /// Not a PHC string with salt and hash.
    #[error("is not a password hash in PHC format")]
    Format,
    /// Another algorithm.
    #[error("is not an argon2id hash")]
    Algorithm,
    /// Costs that would let one log-in take the machine.
    #[error("has costs beyond 256 MiB, 16 passes or 16 lanes")]
    Costs,
}

impl PasswordHash {
    /// Takes a PHC string.
    pub fn parse(phc: String) -> Result<Self, BadHash> {
        let parsed = phc::PasswordHash::new(&phc).map_err(|_| BadHash::Format)?;
        if parsed.salt.is_none() || parsed.hash.is_none() {
            return Err(BadHash::Format);
        }
        if parsed.algorithm.as_str() != "argon2id" {
            return Err(BadHash::Algorithm);
        }
        let params = Params::try_from(&parsed).map_err(|_| BadHash::Format)?;
        if params.m_cost() > 256 * 1024 || params.t_cost() > 16 || params.p_cost() > 16 {
            return Err(BadHash::Costs);
        }
        Ok(Self(phc))
    }

    /// The PHC string.
    pub fn phc(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = BadHash;

    fn try_from(phc: String) -> Result<Self, BadHash> {
        Self::parse(phc)
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Why a password cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Too short to be safe.
    #[error("the password has fewer than {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Too long to be hashed for everyone who asks.
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The machine gave no memory or no randomness for it.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// Hashes a chosen password. Takes tens of milliseconds: not for async threads.
pub fn hash(password: &SecretString) -> Result<PasswordHash, BadPassword> {
    let text = password.expose_secret();
    if text.len() > PASSWORD_BYTES_MAX {
        return Err(BadPassword::TooLong);
    }
    if text.chars().count() < PASSWORD_CHARS_MIN {
        return Err(BadPassword::TooShort);
    }
    let failed = |error: String| BadPassword::Failed(error);
    let hasher = hasher().map_err(|error| failed(error.to_string()))?;
    let hash: phc::PasswordHash = hasher
        .hash_password(text.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    Ok(PasswordHash(hash.to_string()))
}

fn hasher() -> Result<Argon2<'static>, argon2::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Verifies passwords, a bounded number at once.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    patience: Duration,
    /// Nobody's: what an unknown user's password is compared with, so that the answer takes as long.
    nobody: PasswordHash,
}

/// Why a password was neither right nor wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// Too many are being verified.
    #[error("too many passwords are being verified")]
    Overloaded,
    /// The machine gave no memory for it.
    #[error("the password could not be verified: {0}")]
    Failed(String),
}

impl Passwords {
    /// As many at once as there are cores.
    pub fn new() -> Result<Self, BadPassword> {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::with_turns(cores, PATIENCE)
    }

    fn with_turns(turns: usize, patience: Duration) -> Result<Self, BadPassword> {
        let unguessable = crate::key::random_base62::<43>()
            .map_err(|error| BadPassword::Failed(error.to_string()))?;
        let nobody = hash(&SecretString::from(unguessable.as_str()))?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(turns)),
            patience,
            nobody,
        })
    }

    /// Whether the password is the one of the hash. `None` is nobody's hash: `false`, after the same work.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, Unverified> {
        // Nobody could have chosen it, whoever it is for.
        if password.expose_secret().len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let (known, hash) = match hash {
            Some(hash) => (true, hash.clone()),
            None => (false, self.nobody.clone()),
        };
        let right = self.in_turn(move || matches(&password, &hash)).await??;
        Ok(known && right)
    }

    /// Hashes a chosen password, as [`hash`] does, in its turn.
    pub async fn hash(
        &self,
        password: SecretString,
    ) -> Result<Result<PasswordHash, BadPassword>, Unverified> {
        self.in_turn(move || hash(&password)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unverified> {
        let turn = match timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => return Err(Unverified::Overloaded),
        };
        let done = spawn_blocking(move || {
            // The turn ends with the work, not with the request that may have gone away meanwhile.
            let _turn = turn;
            work()
        });
        done.await
            .map_err(|error| Unverified::Failed(error.to_string()))
    }
}

fn matches(password: &SecretString, hash: &PasswordHash) -> Result<bool, Unverified> {
    let failed = |error: &dyn fmt::Display| Unverified::Failed(error.to_string());
    let parsed = phc::PasswordHash::new(hash.phc()).map_err(|error| failed(&error))?;
    let hasher = hasher().map_err(|error| failed(&error))?;
    match hasher.verify_password(password.expose_secret().as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let passwords = Passwords::new().unwrap();
        let hash = hash(&secret("correct horse")).unwrap();
        assert!(hash.phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(
            passwords.verify(secret("correct horse"), Some(&hash)).await,
            Ok(true)
        );
        for wrong in ["correct hors", "correct horse ", "Correct horse", "", "\0"] {
            assert_eq!(
                passwords.verify(secret(wrong), Some(&hash)).await,
                Ok(false)
            );
        }
        assert_eq!(
            passwords.verify(secret("correct horse"), None).await,
            Ok(false)
        );
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert_eq!(
            passwords.verify(secret(&long), Some(&hash)).await,
            Ok(false)
        );
    }

    #[test]
    fn passwords_that_cannot_be_chosen() {
        assert_eq!(hash(&secret("seven77")), Err(BadPassword::TooShort));
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert_eq!(hash(&secret(&long)), Err(BadPassword::TooLong));
        let salted = [
            hash(&secret("same password")),
            hash(&secret("same password")),
        ];
        assert_ne!(salted[0], salted[1]);
    }

    #[test]
    fn stored_hashes_are_checked() {
        let salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
        let parse = |start: &str| PasswordHash::parse(format!("{start}${salt_and_hash}"));
        assert!(parse("$argon2id$v=19$m=19456,t=2,p=1").is_ok());
        assert_eq!(
            parse("$argon2i$v=19$m=19456,t=2,p=1"),
            Err(BadHash::Algorithm)
        );
        assert_eq!(
            parse("$argon2id$v=19$m=4194304,t=2,p=1"),
            Err(BadHash::Costs)
        );
        assert_eq!(
            parse("$argon2id$v=19$m=19456,t=99,p=1"),
            Err(BadHash::Costs)
        );
        for bad in [
            "",
            "password",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=x,t=2,p=1$a$b",
        ] {
            assert_eq!(
                PasswordHash::parse(bad.to_owned()),
                Err(BadHash::Format),
                "{bad}"
            );
        }
        let shown = format!("{:?}", parse("$argon2id$v=19$m=19456,t=2,p=1"));
        assert!(!shown.contains("c29t"), "{shown}");
    }

    #[tokio::test]
    async fn too_many_at_once_are_turned_away() {
        let passwords = Passwords::with_turns(1, Duration::ZERO).unwrap();
        let turn = Arc::clone(&passwords.turns).acquire_owned().await.unwrap();
        let overloaded = passwords.verify(secret("whatever it is"), None).await;
        assert_eq!(overloaded, Err(Unverified::Overloaded));
        drop(turn);
        assert_eq!(
            passwords.verify(secret("whatever it is"), None).await,
            Ok(false)
        );
    }
}

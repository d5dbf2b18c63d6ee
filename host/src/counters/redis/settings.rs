//! How Redis is reached, and what is done without it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;

use super::RedisUrl;
use crate::{limit::Window, private_file};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(100);

/// What is done with requests while Redis does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAway {
    /// The store confirms each caller, and limits are counted in this process.
    #[default]
    Confirm,
    /// They are refused.
    Refuse,
}

/// Whose clock counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// That of Redis: those of the gates don't matter.
    #[default]
    Redis,
    /// That of whoever asks: tests move it.
    Caller,
}

/// A configured Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is.
    pub url: RedisUrl,
    /// The file of its password.
    pub password: Option<PathBuf>,
    /// The file of the password of the sentinels that name it.
    pub sentinel_password: Option<PathBuf>,
    /// The certificates of whoever signed its own, in PEM; without them, the web's roots.
    pub ca: Option<PathBuf>,
    /// What is done without it.
    pub when_away: WhenAway,
    /// For how long a limit of requests is.
    pub window: Window,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whose clock counts.
    pub clock: Clock,
}

impl RedisConfig {
    /// What is meant where nothing else is said.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            password: None,
            sentinel_password: None,
            ca: None,
            when_away: WhenAway::default(),
            window: Window::default(),
            timeout: TIMEOUT,
            clock: Clock::default(),
        }
    }
}

/// What stands in files.
pub(super) struct Secrets {
    pub(super) password: Option<SecretString>,
    pub(super) sentinel_password: Option<SecretString>,
    pub(super) ca: Option<Vec<u8>>,
}

/// Why a Redis cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum BadRedis {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Others can read the password.
    #[error("`{}` has mode {mode:o}: only its owner may read the password of Redis; run `chmod 600`", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is another one, or does not let this gate in.
    #[error("Redis cannot be used: {0}")]
    Refused(String),
}

impl RedisConfig {
    /// Reads the files.
    pub(super) fn secrets(&self) -> Result<Secrets, BadRedis> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(password).transpose();
        let (password, sentinel_password) = (read(&self.password)?, read(&self.sentinel_password)?);
        let ca = self.ca.as_ref().map(|path| {
            std::fs::read(path).map_err(|error| BadRedis::File {
                path: path.clone(),
                error,
            })
        });
        Ok(Secrets {
            password,
            sentinel_password,
            ca: ca.transpose()?,
        })
    }
}

fn password(path: &Path) -> Result<SecretString, BadRedis> {
    let text = private_file::read(path).map_err(|error| match error {
        private_file::ReadError::File(error) => BadRedis::File {
            path: path.to_owned(),
            error,
        },
        private_file::ReadError::Exposed(mode) => BadRedis::Exposed {
            path: path.to_owned(),
            mode,
        },
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned().into())
}

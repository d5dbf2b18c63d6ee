//! Where a password comes from: a file, an environment variable, or chance.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, Result};
use scopegate_host::password::{self, PasswordHash};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::failure::Failure;

/// The variable that is looked at where no file is named.
pub(crate) const VARIABLE: &str = "SCOPEGATE_PASSWORD";

/// A password that was chosen, or made up here and to be shown once.
pub(crate) struct Password {
    secret: SecretString,
    is_generated: bool,
}

impl Password {
    /// The password in the file (`-`: standard input), else the one in [`VARIABLE`], else a new random one.
    pub(crate) fn choose(file: Option<&Path>) -> Result<Self> {
        Ok(match given(file)? {
            Some(secret) => Self {
                secret,
                is_generated: false,
            },
            None => Self::generate(),
        })
    }

    /// 122 random bits.
    pub(crate) fn generate() -> Self {
        Self {
            secret: Uuid::new_v4().simple().to_string().into(),
            is_generated: true,
        }
    }

    /// What the store keeps of it.
    pub(crate) fn hash(&self) -> Result<PasswordHash> {
        password::hash(&self.secret).map_err(|error| Failure::new(error.to_string()).into())
    }

    /// The password, if nobody knows it yet.
    pub(crate) fn generated(&self) -> Option<&str> {
        self.is_generated.then(|| self.secret.expose_secret())
    }
}

/// The password in the file (`-`: standard input), else the one in [`VARIABLE`], if there is one.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<SecretString>> {
    match file {
        Some(file) => Ok(Some(read(file)?)),
        None => Ok(std::env::var(VARIABLE).ok().map(SecretString::from)),
    }
}

/// The first line, so that an editor's newline is no part of the password.
fn read(file: &Path) -> Result<SecretString> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin()
            .read_to_string(&mut text)
            .context("the password cannot be read from standard input")?;
    } else {
        text = fs::read_to_string(file)
            .with_context(|| format!("the password file `{}` cannot be read", file.display()))?;
    }
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(
            Failure::new(format!("the password file `{}` is empty", file.display())).into(),
        );
    }
    Ok(line.to_owned().into())
}

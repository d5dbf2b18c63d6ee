//! The policy that the configuration names: read at the start, and again whenever its file changes.

mod read;
mod watch;

use std::path::Path;

use bytes::Bytes;
use scopegate_host::{bundle, engine::BuildError};
use scopegate_policy::{documents, yaml::limits::TEXT_BYTES_MAX};
use sha2::{Digest, Sha256};

use crate::{assemble::AssembleError, config::PolicySource};

/// The largest component that is read, in bytes, signatures and all: a little more than any sandbox takes, so that it is
/// the sandbox that says what is too large.
pub(crate) const COMPONENT_BYTES_MAX: usize = 33 << 20;

/// What the configuration names as its policy.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    source: PolicySource,
    /// The built-in policy that goes with the contract.
    of_contract: String,
}

/// What was found there.
#[derive(Debug)]
pub struct Found {
    /// What to call it.
    pub name: String,
    /// Differs when the configuration names something else. A built-in policy is the same in every version of this
    /// program, and a document whatever this version makes of it.
    pub key: String,
    /// The component.
    pub component: Bytes,
}

impl PolicyFile {
    /// What the configuration names, beside a contract whose policy is called `of_contract`.
    pub fn new(source: PolicySource, of_contract: String) -> Self {
        Self {
            source,
            of_contract,
        }
    }

    /// Reads it, and builds it where it is a document.
    ///
    /// # Errors
    /// When its file cannot be read, is no regular file or too large, or the document is wrong.
    pub fn read(&self) -> Result<Found, AssembleError> {
        let (name, key, text) = match &self.source {
            PolicySource::Component(path) => {
                let bytes = read::regular(path, COMPONENT_BYTES_MAX);
                let bytes = bytes.map_err(|error| unread(path, error))?;
                return Ok(Found {
                    name: path.display().to_string(),
                    key: format!("component:{}", hash(&bytes)),
                    component: bytes.into(),
                });
            }
            PolicySource::Document(path) => {
                let text = read::text(path, TEXT_BYTES_MAX);
                let text = text.map_err(|error| unread(path, error))?;
                let key = format!("document:{}", hash(text.as_bytes()));
                (path.display().to_string(), key, text)
            }
            PolicySource::OfContract => builtin(&self.of_contract)?,
            PolicySource::Builtin(name) => builtin(name)?,
        };
        match bundle::build(&name, &text) {
            Ok(component) => Ok(Found {
                name,
                key,
                component: component.into(),
            }),
            Err(BuildError::Document(report)) => Err(AssembleError::Text(Box::new(report))),
            Err(error) => Err(AssembleError::Broken(error.to_string())),
        }
    }

    /// Whether it is a part of this program.
    pub fn is_builtin(&self) -> bool {
        self.path().is_none()
    }

    /// Where it is, if it is a document, which nobody can sign.
    pub(crate) fn document(&self) -> Option<&Path> {
        match &self.source {
            PolicySource::Document(path) => Some(path),
            _ => None,
        }
    }

    fn path(&self) -> Option<&Path> {
        match &self.source {
            PolicySource::Document(path) | PolicySource::Component(path) => Some(path),
            PolicySource::OfContract | PolicySource::Builtin(_) => None,
        }
    }
}

fn builtin(name: &str) -> Result<(String, String, String), AssembleError> {
    let text = documents::builtin(name)
        .ok_or_else(|| AssembleError::Broken(format!("there is no built-in policy `{name}`")))?;
    let key = format!("builtin:{name}");
    Ok((format!("{name}.yaml"), key, text.to_owned()))
}

fn unread(path: &Path, error: std::io::Error) -> AssembleError {
    AssembleError::File {
        path: path.to_owned(),
        error,
    }
}

/// In hex; of a file that nobody keeps secret.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

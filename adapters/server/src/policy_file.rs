//! The policy that the configuration names: read at the start, and again whenever its file changes.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use scopegate_axum::Clock;
use scopegate_host::{Policies, admin::AdminError, bundle, engine::BuildError};
use scopegate_policy::documents;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{assemble::AssembleError, config::PolicySource};

/// How often the file is looked at.
const LOOKED_AT: Duration = Duration::from_secs(1);

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

/// What tells a changed file from an unchanged one, at the price of a system call: time, size and inode.
type Look = (i64, i64, u64, u64);

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
    /// When its file cannot be read, or the document is wrong.
    pub fn read(&self) -> Result<Found, AssembleError> {
        let (name, key, text) = match &self.source {
            PolicySource::Component(path) => {
                let bytes = std::fs::read(path).map_err(|error| unread(path, error))?;
                return Ok(Found {
                    name: path.display().to_string(),
                    key: format!("component:{}", hash(&bytes)),
                    component: bytes.into(),
                });
            }
            PolicySource::Document(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| unread(path, error))?;
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

    fn path(&self) -> Option<&Path> {
        match &self.source {
            PolicySource::Document(path) | PolicySource::Component(path) => Some(path),
            PolicySource::OfContract | PolicySource::Builtin(_) => None,
        }
    }

    /// Makes what becomes of the file the active policy, within a second or so. A broken one leaves the policy before,
    /// and is looked at again when its bytes change. `key` is that of what was found at the start.
    pub(crate) async fn watch(
        self,
        mut key: String,
        policies: Policies,
        clock: Clock,
        stopping: CancellationToken,
    ) {
        let Some(path) = self.path().map(PathBuf::from) else {
            return;
        };
        // What was found at the start may be older than the file is now.
        let mut seen = None;
        while tokio::time::timeout(LOOKED_AT, stopping.cancelled())
            .await
            .is_err()
        {
            let now = look(&path);
            if now == seen {
                continue;
            }
            seen = now;
            let file = self.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || file.read()).await else {
                continue;
            };
            match read {
                Ok(found) if found.key == key => {}
                Ok(found) => {
                    key.clone_from(&found.key);
                    take_over(found, &policies, clock.now_ms()).await;
                }
                Err(error) => {
                    // Put back, the file before is nothing new.
                    tracing::error!(path = %path.display(), "the policy's file has changed and is refused, and the policy before goes on: {error}");
                }
            }
        }
    }
}

async fn take_over(found: Found, policies: &Policies, now_ms: i64) {
    let Found {
        name,
        key,
        component,
    } = found;
    match policies.reconfigure(key, component, now_ms).await {
        Ok((_, true)) => tracing::info!(name, "the policy's file has changed and is served"),
        Ok((_, false)) => tracing::info!(name, "the policy's file has changed to what is served"),
        Err(error) => {
            let AdminError { message, help, .. } = error.into();
            let help = help.unwrap_or_default();
            tracing::error!(name, help, "the policy's file has changed: {message}");
        }
    }
}

fn look(path: &Path) -> Option<Look> {
    let of = |file: Metadata| (file.mtime(), file.mtime_nsec(), file.size(), file.ino());
    std::fs::metadata(path).ok().map(of)
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

//! Looking at the policy's file while the server runs.

use std::{fs::Metadata, os::unix::fs::MetadataExt, path::Path, time::Duration};

use scopegate_axum::Clock;
use scopegate_host::{Policies, admin::AdminError};
use tokio_util::sync::CancellationToken;

use super::{Found, PolicyFile, read};
use crate::assemble::AssembleError;

/// How often the file is looked at.
const LOOKED_AT: Duration = Duration::from_secs(1);
/// Of so many tries that fail in a row, one is logged: of one each second, one in ten seconds.
const TRIES_PER_LINE: u32 = 10;

/// What tells a changed file from an unchanged one, at the price of a system call: when it was written and when anything
/// of it changed, which nobody can set, its size, and which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    written: (i64, i64),
    changed: (i64, i64),
    bytes: u64,
    file: (u64, u64),
}

impl Look {
    fn at(path: &Path) -> Option<Self> {
        let of = |file: Metadata| Self {
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            bytes: file.size(),
            file: (file.dev(), file.ino()),
        };
        std::fs::metadata(path).ok().map(of)
    }
}

/// Why what the file is now is not served.
struct Failure {
    message: String,
    help: String,
    /// It is the file's own fault: only another one can be served.
    is_for_good: bool,
}

impl PolicyFile {
    /// Makes what becomes of the file the active policy, within two seconds or so: once two looks have found it the same,
    /// so that nobody writes it just now. A broken one leaves the policy before, and is looked at again when its bytes
    /// change; whatever else fails is tried again. `key` is that of what was found at the start.
    pub(crate) async fn watch(
        self,
        mut key: String,
        policies: Policies,
        clock: Clock,
        stopping: CancellationToken,
    ) {
        let Some(path) = self.path() else {
            return;
        };
        // What was found at the start may be older than the file is now.
        let (mut before, mut done) = (None, None);
        let mut failures = 0;
        while tokio::time::timeout(LOOKED_AT, stopping.cancelled())
            .await
            .is_err()
        {
            let now = Look::at(path);
            let is_being_written = now != before;
            before = now;
            if is_being_written {
                failures = 0;
            }
            if is_being_written || now == done {
                continue;
            }
            let file = self.clone();
            let read = tokio::task::spawn_blocking(move || file.read()).await;
            // What was read of it may be neither what it was nor what it is.
            if Look::at(path) != now {
                continue;
            }
            let taken = match read {
                Ok(Ok(found)) if found.key == key => Ok(key.clone()),
                Ok(Ok(found)) => take_over(found, &policies, clock.now_ms()).await,
                Ok(Err(error)) => Err(error.into()),
                // The panic is in the log.
                Err(_) => Ok(key.clone()),
            };
            match taken {
                Ok(taken) => (key, done) = (taken, now),
                // The key stays: put back, the file before is nothing new.
                Err(failure) => {
                    failure.log(path, failures);
                    failures = failures.saturating_add(1);
                    if failure.is_for_good {
                        done = now;
                    }
                }
            }
        }
    }
}

/// Makes it the active policy. Gives its key.
async fn take_over(found: Found, policies: &Policies, now_ms: i64) -> Result<String, Failure> {
    let Found {
        name,
        key,
        component,
    } = found;
    match policies.reconfigure(key.clone(), component, now_ms).await {
        Ok((_, true)) => tracing::info!(name, "the policy's file has changed and is served"),
        Ok((_, false)) => tracing::info!(name, "the policy's file has changed to what is served"),
        Err(error) => {
            let is_for_good = error.is_for_good();
            let AdminError { message, help, .. } = error.into();
            return Err(Failure {
                message,
                help: help.unwrap_or_default(),
                is_for_good,
            });
        }
    }
    Ok(key)
}

impl From<AssembleError> for Failure {
    fn from(error: AssembleError) -> Self {
        let is_for_good = match &error {
            AssembleError::File { error, .. } => read::is_for_good(error),
            _ => true,
        };
        Self {
            message: error.to_string(),
            help: String::new(),
            is_for_good,
        }
    }
}

impl Failure {
    fn log(&self, path: &Path, failures: u32) {
        if !failures.is_multiple_of(TRIES_PER_LINE) {
            return;
        }
        let Self {
            message,
            help,
            is_for_good,
        } = self;
        let path = path.display();
        match is_for_good {
            true => {
                tracing::error!(%path, help, "the policy's file has changed and is refused, and the policy before goes on: {message}");
            }
            false => {
                tracing::error!(%path, help, "the policy's file has changed and cannot be served yet; it is tried again, and the policy before goes on: {message}");
            }
        }
    }
}

//! One process at a time changes a store: a lock file and a socket beside it. A running server holds the lock and
//! listens on the socket; whoever finds the lock held asks there instead.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// An exclusive lock on a store, which ends with this value or with the process.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// A lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the store `{}` is in use by another process{}", path.display(), process(*pid))]
    Held {
        /// The store.
        path: PathBuf,
        /// The process, if it left its id.
        pid: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("the lock `{}` cannot be taken: {error}", path.display())]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
}

impl StoreLock {
    /// Takes the lock of the store at this path, or tells who has it. Never waits.
    pub fn take(store: &Path) -> Result<Self, LockError> {
        let path = lock_path(store);
        let failed = |error| LockError::Failed {
            path: path.clone(),
            error,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(LockError::Held {
                    path: store.to_owned(),
                    pid,
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        // The file stays when the lock ends: removing it would let two processes lock two files of one name.
        sign(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Leaves the process's id in the lock file.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Where the lock of a store is: `<store>.lock`.
pub fn lock_path(store: &Path) -> PathBuf {
    beside(store, ".lock")
}

/// Where the socket of a server on a store is: `<store>.sock`.
pub fn socket_path(store: &Path) -> PathBuf {
    beside(store, ".sock")
}

fn beside(store: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(store);
    path.push(end);
    PathBuf::from(path)
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("gate.db");
        let lock = StoreLock::take(&store).unwrap();
        let refused = StoreLock::take(&store).unwrap_err();
        let LockError::Held { pid, .. } = &refused else {
            panic!("{refused}")
        };
        assert_eq!(*pid, Some(std::process::id()));
        assert!(
            refused
                .to_string()
                .contains("is in use by another process ("),
            "{refused}"
        );
        drop(lock);
        StoreLock::take(&store).unwrap();
        assert_eq!(socket_path(&store), dir.path().join("gate.db.sock"));
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let error = StoreLock::take(&dir.path().join("none/gate.db")).unwrap_err();
        assert!(matches!(error, LockError::Failed { .. }), "{error}");
    }
}

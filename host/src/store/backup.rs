//! Copies of a store: one of a store that a server may be using, and the way back.
//!
//! A copy is made within one read transaction (SQLite's `VACUUM INTO`), so it is the store as of one moment, and nobody
//! waits for it. The way back needs the store's [`StoreLock`]. Both make a file under another name, write it to the
//! disk and give it its name only then: a crash leaves a whole file or none.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use super::{Missing, OpenError, Purpose, database::sqlite};
use crate::lock::StoreLock;

/// A copy was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store or the copy cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is a file of this name, and it stays.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// The copy was itself in use when it was copied, so a part of it may be in another file.
    #[error("`{}` was copied while it was in use: `{}` belongs to it", file.display(), beside.display())]
    InUse {
        /// The copy.
        file: PathBuf,
        /// What it leaves beside it while it is in use.
        beside: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("`{}`: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
}

/// What becomes of a store that is in the way of one that is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InPlace {
    /// It stays, and nothing is restored.
    Keep,
    /// It goes on existing under another name.
    Rename {
        /// Milliseconds since the epoch, which are in that name.
        now_ms: i64,
    },
}

/// Copies the store in the file `store` to `file`, which must not be there yet and is readable by its owner alone. Gives its size
/// in bytes.
///
/// # Errors
/// When there is no such store, `file` is there, or it cannot be written. Nothing is left behind then.
pub async fn back_up(store: &Path, purpose: Purpose, file: &Path) -> Result<u64, BackupError> {
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let place = Place::beside(file)?;
    sqlite::copy(store, purpose, &place.path).await?;
    place.become_file(file)
}

/// Puts the copy `file` where the store in the file `store` is, brought to the schema of this version. Gives the name under which
/// the store that was there is kept.
///
/// # Errors
/// When `file` is no sound store for this purpose, or there is a store already and it is to stay. Nothing is changed
/// then.
pub async fn restore(
    store: &Path,
    purpose: Purpose,
    file: &Path,
    in_place: InPlace,
    _lock: &StoreLock,
) -> Result<Option<PathBuf>, BackupError> {
    let there = files_of(store).into_iter().find(|path| path.exists());
    if let (Some(there), InPlace::Keep) = (&there, in_place) {
        return Err(BackupError::Exists(there.clone()));
    }
    let [_, journals @ ..] = files_of(file);
    if let Some(beside) = journals.into_iter().find(|path| path.exists()) {
        let file = file.to_owned();
        return Err(BackupError::InUse { file, beside });
    }
    let place = Place::beside(store)?;
    let copied =
        File::open(file).and_then(|mut from| std::io::copy(&mut from, &mut place.create()?));
    copied.map_err(|error| failed(file, error))?;
    // Opened as a server would, and looked through to its end.
    let named = |error: OpenError| error.about(file);
    sqlite::require(&place.path, purpose).await.map_err(named)?;
    let copy = sqlite::open(&place.path, purpose, Missing::Refuse).await;
    let copy = copy.map_err(named)?;
    let sound = sqlite::check(&copy, &place.path).await;
    copy.close().await;
    sound.map_err(named)?;

    let kept = match (there, in_place) {
        (Some(_), InPlace::Rename { now_ms }) => Some(set_aside(store, now_ms)?),
        _ => None,
    };
    place.become_file(store)?;
    Ok(kept)
}

/// A store's file and those that SQLite keeps beside it while it is in use.
fn files_of(store: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| with_end(store, end))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// Gives a store another name. Its journal, where a crash left one, goes with it and is found under that name.
fn set_aside(store: &Path, now_ms: i64) -> Result<PathBuf, BackupError> {
    let kept = with_end(store, &format!(".replaced-{now_ms}"));
    for (from, to) in files_of(store).iter().zip(files_of(&kept)) {
        match fs::rename(from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(from, error)),
        }
    }
    Ok(kept)
}

/// A name in a private directory beside a file, for what shall become that file.
struct Place {
    path: PathBuf,
    /// Removed with everything that is left in it.
    _directory: tempfile::TempDir,
}

impl Place {
    fn beside(file: &Path) -> Result<Self, BackupError> {
        let directory = tempfile::Builder::new()
            .prefix(".scopegate-")
            .tempdir_in(directory_of(file))
            .map_err(|error| failed(file, error))?;
        Ok(Self {
            path: directory.path().join("store.db"),
            _directory: directory,
        })
    }

    fn create(&self) -> std::io::Result<File> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }

    /// Writes what is here to the disk and gives it its name; never that of a file that is there. Gives its size.
    fn become_file(self, file: &Path) -> Result<u64, BackupError> {
        let written = File::open(&self.path).and_then(|copy| {
            copy.sync_all()?;
            Ok(copy.metadata()?.len())
        });
        let bytes = written.map_err(|error| failed(file, error))?;
        let named = TempPath::try_from_path(&self.path)
            .and_then(|path| path.persist_noclobber(file).map_err(|failed| failed.error));
        match named {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(file.to_owned()));
            }
            Err(error) => return Err(failed(file, error)),
        }
        let synced = File::open(directory_of(file)).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(file, error))?;
        Ok(bytes)
    }
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn failed(path: &Path, error: std::io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;

//! Compiled code that is kept in files, so that a start need not compile again.
//!
//! Running code trusts it, so a file is used only if it carries a tag that nobody without the gate's key file can make, over
//! the component's digest, the engine and the code. Whatever is wrong with a file, the component is compiled again: a
//! cache is never a reason not to start.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, futimens};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use super::{code::Code, limits::Limits};
use crate::keyring::{DerivedKey, Sealing, TAG_BYTES};

/// What the key is for, and what every tag is over first.
const PURPOSE: &str = "scopegate compiled policy 1";
const EXTENSION: &str = "cwasm";
/// What a file is called while it is written.
const UNFINISHED: &str = ".unfinished-";
/// The largest file that is looked into. No code that a gate takes is as large.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// A directory with compiled code.
#[derive(Clone, Debug)]
pub struct CodeCache {
    directory: PathBuf,
    key: DerivedKey,
    /// Files at most.
    kept_max: usize,
}

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The operating system says so.
    #[error("cannot keep compiled policies in `{}`: {error}", path.display())]
    File {
        /// The directory.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// It is no directory of this user alone.
    #[error("compiled policies are not kept in `{}`: {what}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key file has no secret to derive a key from.
    #[error("compiled policies are not kept: the key file has no `sealing` secret")]
    NoKey,
}

/// What code was made from, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    component: [u8; 32],
    engine: [u8; 32],
}

/// Why a file is not used.
#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Missing,
    Unreadable(String),
    /// It is not what the gate wrote there.
    Forged,
    /// It does not fit this engine.
    Unfit(String),
}

impl CodeCache {
    /// The directory, which is made if its parent is there. Files are tagged by a key of this secret; the newest `kept_max`
    /// are kept.
    ///
    /// # Errors
    /// When it cannot be used. Then nothing is kept, and all is well otherwise.
    pub fn open(
        directory: PathBuf,
        secret: Option<&Sealing>,
        kept_max: usize,
    ) -> Result<Self, CacheError> {
        let key = secret.and_then(|secret| secret.derive(PURPOSE));
        let key = key.ok_or(CacheError::NoKey)?;
        match ours(&directory) {
            Ok(None) => Ok(Self {
                directory,
                key,
                kept_max,
            }),
            Ok(Some(what)) => Err(CacheError::NotOurs {
                path: directory,
                what,
            }),
            Err(error) => Err(CacheError::File {
                path: directory,
                error,
            }),
        }
    }

    /// The component, if its code is there as the gate wrote it.
    pub(super) fn component(&self, entry: &Entry, engine: &Engine) -> Option<Component> {
        let path = self.path(entry);
        let unfit = |error: wasmtime::Error| Unusable::Unfit(format!("{error:#}"));
        let found = self
            .read(&path, entry)
            .and_then(|code| code.load(engine).map_err(unfit));
        match found {
            Ok(component) => Some(component),
            Err(Unusable::Missing) => None,
            Err(why) => {
                let path = path.display();
                tracing::warn!(%path, "a compiled policy is not used, and is compiled again: {why}");
                None
            }
        }
    }

    /// Keeps code, in one step.
    pub(super) fn keep(&self, entry: &Entry, code: &Code) {
        let path = self.path(entry);
        if let Err(error) = self.write(&path, entry, code) {
            let path = path.display();
            tracing::warn!(%path, "a compiled policy is not kept, and is compiled again next time: {error}");
        }
        if let Err(error) = self.sweep(entry) {
            let path = self.directory.display();
            tracing::warn!(%path, "old compiled policies are not removed: {error}");
        }
    }

    fn read(&self, path: &Path, entry: &Entry) -> Result<Code, Unusable> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::Missing,
            _ => Unusable::Unreadable(error.to_string()),
        };
        // Neither a link to elsewhere is followed, nor a pipe waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = file.map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if !found.is_file() || found.len() > FILE_BYTES_MAX {
            return Err(Unusable::Unreadable("it is no file of ours".to_owned()));
        }
        let mut bytes = Vec::new();
        (&file)
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let code = bytes.split_off(bytes.len().min(TAG_BYTES));
        if !self.key.verifies(&bytes, &entry.tagged(&code)) {
            return Err(Unusable::Forged);
        }
        in_use(&file);
        Ok(Code::of_verified(code))
    }

    fn write(&self, path: &Path, entry: &Entry, code: &Code) -> io::Result<()> {
        let tag = self.key.tag(&entry.tagged(code.bytes()));
        // Its owner's alone.
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&self.directory)?;
        file.write_all(&tag)?;
        file.write_all(code.bytes())?;
        file.persist(path)?;
        Ok(())
    }

    /// Removes what another version made, what was never finished, and what was not used for longest where there are too
    /// many.
    fn sweep(&self, current: &Entry) -> io::Result<()> {
        let of_this_engine = current.suffix();
        let mut usable = Vec::new();
        for file in fs::read_dir(&self.directory)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(&of_this_engine) {
                let at = file.metadata()?;
                usable.push(((at.mtime(), at.mtime_nsec()), file.path()));
            } else if name.ends_with(EXTENSION) || name.starts_with(UNFINISHED) {
                fs::remove_file(file.path())?;
            }
        }
        usable.sort_unstable();
        let too_many = usable.len().saturating_sub(self.kept_max);
        let mut old = usable.into_iter().take(too_many);
        old.try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        let component = hex::encode(entry.component);
        self.directory
            .join(format!("{component}{}", entry.suffix()))
    }
}

impl Entry {
    /// The code of the component with this digest, for this engine under these limits.
    pub(super) fn new(component: [u8; 32], engine: &Engine, limits: &Limits) -> Self {
        let mut hasher = Sha(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        let Limits {
            component_bytes_max,
            memory_bytes_max,
            table_elements_max,
            stack_bytes_max,
            ..
        } = limits;
        for limit in [
            component_bytes_max,
            memory_bytes_max,
            table_elements_max,
            stack_bytes_max,
        ] {
            limit.hash(&mut hasher);
        }
        Self {
            component,
            engine: hasher.0.finalize().into(),
        }
    }

    /// How the names of files for this engine end.
    fn suffix(&self) -> String {
        let engine = hex::encode(self.engine.get(..8).unwrap_or_default());
        format!("-{engine}.{EXTENSION}")
    }

    /// What the tag is over. All parts but the last are always equally long.
    fn tagged<'b>(&'b self, code: &'b [u8]) -> [&'b [u8]; 4] {
        [PURPOSE.as_bytes(), &self.component, &self.engine, code]
    }
}

/// Sees to a directory that only this user writes; what is wrong with it otherwise.
fn ours(directory: &Path) -> io::Result<Option<String>> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    let mode = found.mode() & 0o777;
    Ok(if !found.is_dir() {
        Some("it is no directory".to_owned())
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        Some("it belongs to somebody else".to_owned())
    } else if mode & 0o022 != 0 {
        Some(format!(
            "others can write it (mode {mode:o}); it must be 700"
        ))
    } else {
        None
    })
}

/// Says that it is used, so that others are removed first. No harm, where that cannot be said.
fn in_use(file: &File) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    let _ = futimens(file, &times);
}

/// SHA-256 of what wasmtime says of an engine.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Unreadable(why) | Self::Unfit(why) => f.write_str(why),
            Self::Forged => f.write_str("it is damaged, or this gate did not write it"),
        }
    }
}

#[cfg(test)]
mod tests;

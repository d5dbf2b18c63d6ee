//! The key ring of a running gate, which is read again when its file changes.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;

use super::{KeyRing, KeyRingError, file::malformed};

/// The key ring as it is now. Clones share it.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: ArcSwap<KeyRing>,
    /// How often another ring took the place of the one before.
    reloads: AtomicU64,
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    algorithm: Option<Algorithm>,
    /// The file as it was when it was last read, whatever came of it.
    seen: Mutex<Option<Stamp>>,
}

/// By what a changed file shows: a rename gives another inode, an edit another time or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl From<KeyRing> for Keys {
    /// A ring that stays as it is.
    fn from(ring: KeyRing) -> Self {
        Self(Arc::new(Inner {
            ring: ArcSwap::from_pointee(ring),
            reloads: AtomicU64::new(0),
            source: None,
        }))
    }
}

impl Keys {
    /// Reads a key file, which can be read again. `algorithm`: the one that must sign, where the contract names one.
    ///
    /// # Errors
    /// As [`KeyRing::load`]; and when another algorithm signs.
    pub fn open(path: &Path, algorithm: Option<Algorithm>) -> Result<Self, KeyRingError> {
        let seen = Mutex::new(stamp(path));
        let ring = read(path, algorithm)?;
        let source = Source {
            path: path.to_owned(),
            algorithm,
            seen,
        };
        Ok(Self(Arc::new(Inner {
            ring: ArcSwap::from_pointee(ring),
            reloads: AtomicU64::new(0),
            source: Some(source),
        })))
    }

    /// The ring as it is at this moment.
    pub fn current(&self) -> Arc<KeyRing> {
        self.0.ring.load_full()
    }

    /// How often the ring has become another one: for those who keep what they were told about tokens.
    pub fn reloads(&self) -> u64 {
        self.0.reloads.load(Ordering::SeqCst)
    }

    /// Reads the file again. Blocks for as long as that takes.
    ///
    /// # Errors
    /// As [`Keys::open`]; the ring stays as it was then.
    pub fn reload(&self) -> Result<(), KeyRingError> {
        let Some(source) = &self.0.source else {
            return Ok(());
        };
        // Held over the reading, so that of two at once the later one has the last word.
        let mut seen = source.seen.lock();
        // Before it is read: what changes meanwhile shows the next time.
        *seen = stamp(&source.path);
        let ring = read(&source.path, source.algorithm)?;
        self.0.ring.store(Arc::new(ring));
        // Afterwards: who sees the new number reads the new ring.
        self.0.reloads.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Reads the file again if it has changed since; tells whether it had. For whoever looks every second.
    ///
    /// # Errors
    /// As [`Keys::reload`], once for each change.
    pub fn reload_if_changed(&self) -> Result<bool, KeyRingError> {
        let Some(source) = &self.0.source else {
            return Ok(false);
        };
        let now = stamp(&source.path);
        if now == *source.seen.lock() {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }
}

fn read(path: &Path, algorithm: Option<Algorithm>) -> Result<KeyRing, KeyRingError> {
    let ring = KeyRing::load(path)?;
    match algorithm {
        Some(promised) if ring.signing.header.alg != promised => Err(malformed(
            path,
            format!(
                "its first key is for {:?}, and the contract's tokens are signed with {promised:?}",
                ring.signing.header.alg
            ),
        )),
        _ => Ok(ring),
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

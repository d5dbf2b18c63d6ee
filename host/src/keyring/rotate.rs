//! Changing the keys of a file: a new one in front, the others until they retire; written whole or not at all.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use jsonwebtoken::Algorithm;

use super::{
    KeyRing, KeyRingError,
    file::{KeyEntry, KeyFile, malformed, read_file, write},
};
use crate::private_file;

/// A key to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// A shared secret of 256 bits: only this gate can verify what it signs.
    Hs256,
    /// ECDSA with P-256: others verify with its public half.
    Es256,
    /// Ed25519: likewise.
    EdDsa,
}

impl NewKey {
    /// As tokens name it.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    fn like(algorithm: Algorithm) -> Option<Self> {
        [Self::Hs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|kind| kind.algorithm() == algorithm)
    }
}

/// A key of a file, without what is secret. Times are in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its name.
    pub kid: String,
    /// Its one algorithm.
    pub algorithm: Algorithm,
    /// When it was made, where the file says so.
    pub created_at: Option<i64>,
    /// From when on it verifies nothing.
    pub retires_at: Option<i64>,
    /// Whether it is the one that signs.
    pub signs: bool,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The new key, which signs from now on.
    pub key: KeyView,
    /// Those that had retired and are out of the file now.
    pub removed: Vec<String>,
    /// Whether a secret to seal second factors with was added.
    pub sealing_added: bool,
}

/// The keys of a file, in its order.
///
/// # Errors
/// As [`KeyRing::load`].
pub fn list(path: &Path) -> Result<Vec<KeyView>, KeyRingError> {
    KeyRing::load(path)?;
    let content = read_file(path)?;
    let signs = signing(&content.keys);
    let view = |(index, entry)| view(entry, Some(index) == signs);
    Ok(content.keys.iter().enumerate().map(view).collect())
}

/// Puts a new key in front, of the same algorithm as the one that signs now where none is named. The others verify for
/// `retire_after_secs` more, or less where they were to retire before; those that have retired are taken out.
///
/// # Errors
/// When the file is wrong or cannot be replaced; or a key of the present algorithm (RS256) cannot be made here.
pub fn rotate(
    path: &Path,
    kind: Option<NewKey>,
    retire_after_secs: i64,
    now_ms: i64,
) -> Result<Rotated, KeyRingError> {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let replaced = Replacement::begin(path)?;
    KeyRing::load(&replaced.path)?;
    let mut content = read_file(&replaced.path)?;
    let present = signing(&content.keys).and_then(|index| content.keys.get(index));
    let kind = kind.or_else(|| NewKey::like(present?.algorithm));
    let kind = kind.ok_or_else(|| {
        malformed(
            path,
            "no key of the present algorithm can be made here: name another one, or put a PEM into the file",
        )
    })?;
    let has_retired = |entry: &KeyEntry| entry.retires_at.is_some_and(|at| at <= now);
    let (retired, kept): (Vec<_>, Vec<_>) = content.keys.into_iter().partition(has_retired);
    let until = Timestamp::from_millisecond(
        now_ms.saturating_add(retire_after_secs.max(0).saturating_mul(1000)),
    )
    .unwrap_or(Timestamp::MAX);
    let new = KeyEntry::new(kind, Some(now))?;
    let key = view(&new, true);
    content.keys = vec![new];
    content.keys.extend(kept.into_iter().map(|mut entry| {
        entry.retires_at = Some(entry.retires_at.map_or(until, |at| at.min(until)));
        entry
    }));
    let sealing_added = content.add_sealing()?;
    replaced.finish(&content)?;
    Ok(Rotated {
        key,
        removed: retired.into_iter().map(|entry| entry.kid).collect(),
        sealing_added,
    })
}

/// Takes a key out: what it signed is worth nothing from now on. `false`: there is none of this name.
///
/// # Errors
/// When it is the one that signs; or the file is wrong or cannot be replaced.
pub fn retire(path: &Path, kid: &str) -> Result<bool, KeyRingError> {
    let replaced = Replacement::begin(path)?;
    KeyRing::load(&replaced.path)?;
    let mut content = read_file(&replaced.path)?;
    let signs = signing(&content.keys);
    let Some(index) = content.keys.iter().position(|entry| entry.kid == kid) else {
        return Ok(false);
    };
    if signs == Some(index) {
        return Err(malformed(
            path,
            format!("the key `{kid}` is the one that signs: rotate first"),
        ));
    }
    content.keys.remove(index);
    replaced.finish(&content)?;
    Ok(true)
}

fn signing(keys: &[KeyEntry]) -> Option<usize> {
    keys.iter()
        .position(|entry| entry.can_sign() && entry.retires_at.is_none())
}

fn view(entry: &KeyEntry, signs: bool) -> KeyView {
    KeyView {
        kid: entry.kid.clone(),
        algorithm: entry.algorithm,
        created_at: entry.created_at.map(Timestamp::as_second),
        retires_at: entry.retires_at.map(Timestamp::as_second),
        signs,
    }
}

/// The replacing of a key file. The new file stands beside the old one from the start and is renamed over it in the end,
/// so that two at once cannot undo each other, and whoever reads sees the one or the other.
struct Replacement {
    /// The file itself, where the name given is a link.
    path: PathBuf,
    new: PathBuf,
    file: File,
    renamed: bool,
}

impl Replacement {
    fn begin(path: &Path) -> Result<Self, KeyRingError> {
        let failed = |error| KeyRingError::File {
            path: path.to_owned(),
            error,
        };
        let path = path.canonicalize().map_err(failed)?;
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        match private_file::create(&new) {
            Ok(file) => Ok(Self {
                path,
                new,
                file,
                renamed: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(malformed(
                &path,
                format!(
                    "it is being changed, or that was broken off: then remove `{}`",
                    new.display()
                ),
            )),
            Err(error) => Err(KeyRingError::File { path: new, error }),
        }
    }

    fn finish(mut self, content: &KeyFile) -> Result<(), KeyRingError> {
        self.replace(content).map_err(|error| KeyRingError::File {
            path: self.path.clone(),
            error,
        })
    }

    fn replace(&mut self, content: &KeyFile) -> io::Result<()> {
        write(&mut self.file, content)?;
        // The server may run as another user than this command.
        let (old, new) = (fs::metadata(&self.path)?, self.file.metadata()?);
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&self.file, Some(old.uid()), Some(old.gid()))?;
        }
        fs::rename(&self.new, &self.path)?;
        self.renamed = true;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.new);
        }
    }
}

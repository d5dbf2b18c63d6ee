//! Key and exported file together: what signs a store's chain as it grows.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::{
    chain::{Closed, End},
    head::{ExportedHeads, Head, HeadState, HeadsFile},
    key::{AuditKey, AuditPublicKey},
    verify::StoredSegment,
};
use crate::store::StoreError;

/// Why a chain cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file of exported heads cannot be read or written.
    #[error("the audit's heads `{}` cannot be written: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The store's chain is not the one that the exported heads are of: it ends before them, or is another.
    #[error(
        "the audit in the store does not go on to record {seq}, which `{}` says that it had: the store was put back to an \
         older copy, or cut off", path.display()
    )]
    Behind {
        /// The file.
        path: PathBuf,
        /// The number of the newest exported head.
        seq: i64,
    },
    /// The store does not have what the exported heads are of, or what it has is not signed as it must be.
    #[error("the audit in the store is not what `{}` goes with: {what}", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// What is not so.
        what: String,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose signature a closed segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The seal's own, and it is right.
    Signed,
    /// None, or of another key: it was closed before this one was used.
    Unknown,
    /// It says that it is the seal's own, and is not.
    Wrong,
}

/// Signs a chain and exports its heads.
#[derive(Debug)]
pub struct Seal {
    key: AuditKey,
    public: AuditPublicKey,
    path: PathBuf,
    exported: ExportedHeads,
    file: Mutex<Option<HeadsFile>>,
}

impl Seal {
    /// A seal with this key, that exports to this file; the file is made when it is not there.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(key: AuditKey, heads: &Path) -> Result<Self, SealError> {
        let exported = match ExportedHeads::read(heads) {
            Ok(exported) => exported,
            Err(error) if error.kind() == io::ErrorKind::NotFound => ExportedHeads::default(),
            Err(error) => return Err(unusable(heads, error)),
        };
        Ok(Self {
            public: key.public(),
            key,
            path: heads.to_owned(),
            exported,
            file: Mutex::new(None),
        })
    }

    /// The newest head that was exported before, of those that are not torn: its number, its hash.
    pub(crate) fn newest(&self) -> Option<&Head> {
        let heads = self.exported.heads.iter();
        heads
            .filter(|head| self.standing_of(Some(head)) != Standing::Wrong)
            .max_by_key(|head| head.seq)
    }

    pub(crate) fn behind(&self, seq: i64) -> SealError {
        SealError::Behind {
            path: self.path.clone(),
            seq,
        }
    }

    pub(crate) fn differs(&self, what: impl Into<String>) -> SealError {
        SealError::Differs {
            path: self.path.clone(),
            what: what.into(),
        }
    }

    /// Whose signature the segment was closed with. It covers where the segment ends, the hash and the time.
    pub(crate) fn standing(&self, segment: &StoredSegment) -> Standing {
        self.standing_of(segment.head().as_ref())
    }

    fn standing_of(&self, head: Option<&Head>) -> Standing {
        match head {
            Some(head) if head.key_id != self.public.key_id => Standing::Unknown,
            Some(head) if self.public.verifies(&head.message(), &head.signature) => {
                Standing::Signed
            }
            Some(_) => Standing::Wrong,
            None => Standing::Unknown,
        }
    }

    /// Holds the exported heads against their own signatures and against the segments of the store, and those against
    /// theirs. Gives the number of the last record that is signed as the end of a segment.
    ///
    /// # Errors
    /// When something differs: what is signed from here on would cover it up. Without exported heads, nothing does.
    pub(crate) fn check(&self, segments: &[StoredSegment]) -> Result<Option<i64>, SealError> {
        let mut signed = None;
        for segment in segments {
            match self.standing(segment) {
                Standing::Signed => signed = signed.max(segment.last_seq),
                Standing::Unknown => {}
                Standing::Wrong => {
                    let what = format!("the signature of segment {} is wrong", segment.id);
                    if !self.exported.heads.is_empty() {
                        return Err(self.differs(what));
                    }
                    tracing::error!("the audit: {what}");
                }
            }
        }
        for head in self.closed() {
            let place = segments.binary_search_by_key(&head.segment, |segment| segment.id);
            let stored = place.ok().and_then(|place| segments.get(place));
            // What the store has of it was looked at above: the same bytes have the same signature.
            if stored.and_then(StoredSegment::head).as_ref() != Some(head) {
                let segment = head.segment;
                let what = format!("segment {segment} is not there as it was exported");
                return Err(self.differs(what));
            }
        }
        if self.newest().is_none() && !self.exported.heads.is_empty() {
            return Err(self.differs("no exported head has a right signature"));
        }
        Ok(signed)
    }

    fn closed(&self) -> impl Iterator<Item = &Head> {
        let heads = self.exported.heads.iter();
        heads.filter(|head| head.state == HeadState::Closed)
    }

    /// Starts to export: writes the file anew with the chain's end and with every closed segment that is known: those
    /// of the file as they are, and those that the store has besides and that are signed with the key.
    pub(crate) fn start(&self, end: &End, segments: &[StoredSegment]) -> Result<(), SealError> {
        let exported: BTreeSet<i64> = self.closed().map(|head| head.segment).collect();
        let stored = segments
            .iter()
            .filter(|segment| !exported.contains(&segment.id))
            .filter_map(StoredSegment::head)
            .filter(|head| self.standing_of(Some(head)) == Standing::Signed);
        let mut closed: Vec<Head> = self.closed().cloned().chain(stored).collect();
        closed.sort_by_key(|head| head.segment);
        let running = (end.seq > 0).then(|| self.running(end));
        let file = HeadsFile::write(&self.path, running.as_ref(), &closed)
            .map_err(|error| unusable(&self.path, error))?;
        *self.file.lock() = Some(file);
        Ok(())
    }

    /// Signs the end of a segment.
    pub(crate) fn close(&self, closed: &Closed) -> Head {
        let place = (closed.id, closed.last_seq);
        Head::sign(
            &self.key,
            HeadState::Closed,
            place,
            closed.hash,
            closed.closed_ms,
        )
    }

    /// Exports what is on disk now. A file that cannot be written is no reason to undo what was done: the heads there lag
    /// behind, and the next ones are tried again.
    pub(crate) fn export(&self, closed: &[Head], end: &End) {
        let running = self.running(end);
        let mut file = self.file.lock();
        let Some(file) = &mut *file else { return };
        if let Err(error) = file.export(closed, &running) {
            metrics::counter!("scopegate_audit_write_errors_total", "to" => "heads").increment(1);
            tracing::error!(path = %file.path().display(), %error, "the audit's heads cannot be written");
        }
    }

    /// What was exported is on disk when this returns. Gives the number of the newest record that it covers; 0 when
    /// there is none, or when the disk does not take it.
    pub(crate) fn sync(&self) -> i64 {
        let file = self.file.lock();
        let Some(file) = &*file else { return 0 };
        match file.sync() {
            Ok(()) => file.newest(),
            Err(error) => {
                tracing::error!(path = %file.path().display(), %error, "the audit's heads cannot be written");
                0
            }
        }
    }

    fn running(&self, end: &End) -> Head {
        let place = (end.segment, end.seq);
        Head::sign(&self.key, HeadState::Running, place, end.hash, end.at_ms)
    }
}

fn unusable(path: &Path, error: io::Error) -> SealError {
    SealError::File {
        path: path.to_owned(),
        error,
    }
}

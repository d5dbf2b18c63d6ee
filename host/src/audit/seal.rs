//! Key and exported file together: what signs a store's chain as it grows.

use std::{
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::{
    chain::{Closed, End},
    head::{ExportedHeads, Head, HeadState, HeadsFile},
    key::AuditKey,
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
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs a chain and exports its heads.
#[derive(Debug)]
pub struct Seal {
    key: AuditKey,
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
            key,
            path: heads.to_owned(),
            exported,
            file: Mutex::new(None),
        })
    }

    /// The newest head that was exported before: its number, its hash.
    pub(crate) fn newest(&self) -> Option<&Head> {
        self.exported.newest()
    }

    pub(crate) fn behind(&self, seq: i64) -> SealError {
        SealError::Behind {
            path: self.path.clone(),
            seq,
        }
    }

    /// Starts to export: writes the file anew with the chain's end and with every closed segment that is known, from
    /// the file or from the store.
    pub(crate) fn start(&self, end: &End, stored: Vec<Head>) -> Result<(), SealError> {
        let mut closed = stored;
        for head in &self.exported.heads {
            let is_new = closed.iter().all(|known| known.segment != head.segment);
            if head.state == HeadState::Closed && is_new {
                closed.push(head.clone());
            }
        }
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

    /// What was exported is on disk when this returns.
    pub(crate) fn sync(&self) {
        if let Some(file) = &*self.file.lock()
            && let Err(error) = file.sync()
        {
            tracing::error!(path = %file.path().display(), %error, "the audit's heads cannot be written");
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

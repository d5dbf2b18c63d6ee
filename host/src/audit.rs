//! The audit: a record of every request that was decided and of every change, in a chain of hashes in the store and as
//! JSON lines.
//!
//! A change is recorded in its own transaction. Requests' records go through a bounded queue to a thread that appends them
//! to the chain in groups and then writes the lines out, those of changes too. When the queue is full, requests wait:
//! nothing is dropped. When the audit cannot be written at all, a request that would be admitted is refused instead. Floods
//! of refusals without a caller are counted rather than written one by one.
//!
//! How a chain is made, signed and verified: docs/audit.md.

pub(crate) mod chain;
mod flood;
pub(crate) mod head;
mod key;
pub(crate) mod line;
mod lines;
mod record;
pub(crate) mod rollup;
mod seal;
mod search;
pub(crate) mod told;
mod uses;
pub(crate) mod verify;
mod writer;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::Directory;
pub use chain::Hash;
pub use head::{ExportedHeads, Head, HeadState};
pub use key::{AuditKey, AuditKeyError, AuditPublicKey};
pub use line::RecordKind;
use lines::Lines;
pub use record::{Evaluation, Judge, Outcome, Record};
pub(crate) use record::{recorded_about, recorded_reason, redacted_sha256, without_secrets};
pub use rollup::{Bucket, LOOK_BACK_SECS, Latency, LimitHit, Summary, Window};
pub(crate) use seal::Standing;
pub use seal::{Seal, SealError};
pub use search::{Filter, Found, Searched};
pub use told::Visible;
pub use verify::{Evidence, Finding, Report};
use writer::Writer;

/// The action of records that say what retention deleted.
pub(crate) const PRUNE: &str = "audit.prune";

/// Records that may wait to be written.
const QUEUE_MAX: usize = 8 * 1024;
/// How often a waiting request looks whether there is room.
const ROOM_POLL: Duration = Duration::from_millis(1);
/// How long a request waits for room before the log counts as stuck.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the end waits for what is left to be written.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(20);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Appended to a file, which is made with mode 600 when it is not there.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Nowhere.
    None,
}

/// What retention deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Segments.
    pub segments: usize,
    /// Records.
    pub records: u64,
}

/// The queue to the writer. Dropping it writes out what is left; [`Audit::close`] does so without blocking.
#[derive(Debug)]
pub struct Audit {
    queue: Option<Arc<Queue>>,
    /// Where the chain is.
    directory: Option<Directory>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What requests and the writer share. The writer looks at the queue every few milliseconds, so that handing a
/// record in costs no system call.
#[derive(Debug)]
struct Queue {
    records: ArrayQueue<Arc<Record>>,
    /// How many records were handed in, and how many of them are on the disk.
    pushed: AtomicU64,
    written: AtomicU64,
    /// Up to which record of the chain the lines are written.
    shown: AtomicI64,
    closed: AtomicBool,
    /// Ends the writer's rest.
    wake: Notify,
    /// The writer is gone.
    ended: CancellationToken,
}

/// The log cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Stuck;

impl Queue {
    async fn push_when_there_is_room(&self, mut record: Arc<Record>) -> Result<(), Stuck> {
        let mut waited = Duration::ZERO;
        while waited < ROOM_WAIT_MAX {
            tokio::time::sleep(ROOM_POLL).await;
            waited += ROOM_POLL;
            match self.records.push(record) {
                Ok(()) => return Ok(()),
                Err(back) => record = back,
            }
        }
        Err(Stuck)
    }
}

impl Audit {
    /// Lines alone, of requests alone: for those who keep no store. [`Audit::in_store`] is the whole audit.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(sink: &Sink) -> io::Result<Self> {
        match Lines::open(sink)? {
            Some(lines) => Self::start(Some(lines), None),
            None => Ok(Self {
                queue: None,
                directory: None,
                writer: Mutex::new(None),
            }),
        }
    }

    /// The audit in the directory's store, and as lines. `requests`: whether requests are recorded in the store; where they
    /// are not, it still has the changes, and the lines have both.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn in_store(directory: Directory, requests: bool, sink: &Sink) -> io::Result<Self> {
        Self::start(Lines::open(sink)?, Some((directory, requests)))
    }

    /// A log that goes to any writer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to(out: Box<dyn io::Write + Send>) -> io::Result<Self> {
        Self::start(Some(Lines::to(out)), None)
    }

    fn start(lines: Option<Lines>, chain: Option<(Directory, bool)>) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            records: ArrayQueue::new(QUEUE_MAX),
            pushed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            shown: AtomicI64::new(0),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            ended: CancellationToken::new(),
        });
        let directory = chain.as_ref().map(|(directory, _)| directory.clone());
        let serving = directory.as_ref().and_then(runtime_of_connections);
        let writer = Writer::new(lines, chain, Arc::clone(&queue));
        // Otherwise its own runtime, driven by this thread alone: whoever ends the process may block, and it goes on writing.
        let own = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle =
            thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || match serving {
                    Some(serving) => serving.block_on(writer.run()),
                    None => own.block_on(writer.run()),
                })?;
        Ok(Self {
            queue: Some(queue),
            directory,
            writer: Mutex::new(Some(handle)),
        })
    }

    /// Whether records are wanted at all.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands a record in; waits while the queue is full.
    ///
    /// # Errors
    /// When there was no room for two seconds: the log cannot be written. Or when it is closed.
    pub async fn record(&self, record: impl Into<Arc<Record>>) -> Result<(), Stuck> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        if queue.closed.load(Ordering::Relaxed) {
            return Err(Stuck);
        }
        if let Err(record) = queue.records.push(record.into()) {
            // Boxed: it is rare, and every request would carry room for it.
            Box::pin(queue.push_when_there_is_room(record)).await?;
        }
        queue.pushed.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Resolves when every record that was handed in before, and every change that was made before, is written; or after
    /// two seconds.
    pub async fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let until = queue.pushed.load(Ordering::Acquire);
        let end = self
            .directory
            .as_ref()
            .map_or(0, |one| one.store().audit_end());
        let mut waited = Duration::ZERO;
        while (queue.written.load(Ordering::Acquire) < until
            || queue.shown.load(Ordering::Acquire) < end)
            && waited < ROOM_WAIT_MAX
        {
            queue.wake.notify_one();
            tokio::time::sleep(ROOM_POLL).await;
            waited += ROOM_POLL;
        }
    }

    /// Writes what is left and ends. To be called before the store is closed; nothing can be recorded afterwards.
    pub async fn close(&self) {
        let Some(queue) = &self.queue else { return };
        queue.closed.store(true, Ordering::Release);
        queue.wake.notify_one();
        if tokio::time::timeout(CLOSE_WAIT_MAX, queue.ended.cancelled())
            .await
            .is_err()
        {
            tracing::error!("the audit cannot be written to its end");
        }
    }
}

/// Connections to a server are shared with those who serve, so what they wait for is to be looked after by the runtime that
/// serves, whatever the writer is busy with.
fn runtime_of_connections(directory: &Directory) -> Option<Handle> {
    let serving = Handle::try_current().ok()?;
    let is_its_own = serving.runtime_flavor() == RuntimeFlavor::MultiThread;
    (is_its_own && directory.store().contact_max().is_some()).then_some(serving)
}

impl Drop for Audit {
    fn drop(&mut self) {
        let Some(queue) = &self.queue else { return };
        queue.closed.store(true, Ordering::Release);
        queue.wake.notify_one();
        if let Some(writer) = self.writer.lock().take() {
            // A writer that panicked has nothing more to write.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;

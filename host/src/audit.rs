//! The audit log: one JSON line for every request that was decided, written off the request's way.
//!
//! Records go through a bounded queue to a thread that writes them out. When the queue is full, requests wait: nothing is
//! dropped. When the log cannot be written at all, a request that would be admitted is refused instead. Floods of
//! refusals without a caller are counted rather than written one by one.

mod flood;
mod record;
mod writer;

use std::{
    fs::OpenOptions,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;

pub(crate) use record::without_secrets;
pub use record::{Judge, Outcome, Record};
use writer::Writer;

/// Records that may wait to be written.
const QUEUE_MAX: usize = 8 * 1024;
/// How often a waiting request looks whether there is room.
const ROOM_POLL: Duration = Duration::from_millis(1);
/// How long a request waits for room before the log counts as stuck.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(2);

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Appended to a file, which is made with mode 600 when it is not there.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Nowhere.
    None,
}

/// The queue to the writer. Dropping it writes out what is left.
#[derive(Debug)]
pub struct Audit {
    queue: Option<Arc<Queue>>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What requests and the writer share. The writer looks at the queue every few milliseconds, so that handing a
/// record in costs no system call.
#[derive(Debug)]
struct Queue {
    records: ArrayQueue<Arc<Record>>,
    /// How many records were handed in, and how many of them are on their way to the disk.
    pushed: AtomicU64,
    written: AtomicU64,
    closed: std::sync::atomic::AtomicBool,
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
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(sink: &Sink) -> io::Result<Self> {
        let out: Box<dyn io::Write + Send> = match sink {
            Sink::None => {
                return Ok(Self {
                    queue: None,
                    writer: Mutex::new(None),
                });
            }
            Sink::Stdout => Box::new(io::stdout()),
            Sink::File(path) => {
                use std::os::unix::fs::OpenOptionsExt;
                Box::new(
                    OpenOptions::new()
                        .append(true)
                        .create(true)
                        .mode(0o600)
                        .open(path)?,
                )
            }
        };
        Self::to(out)
    }

    /// A log that goes to any writer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to(out: Box<dyn io::Write + Send>) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            records: ArrayQueue::new(QUEUE_MAX),
            pushed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            closed: false.into(),
        });
        let writer = Writer::new(out, Arc::clone(&queue));
        let handle = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            queue: Some(queue),
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
    /// When there was no room for two seconds: the log cannot be written.
    pub async fn record(&self, record: impl Into<Arc<Record>>) -> Result<(), Stuck> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        if let Err(record) = queue.records.push(record.into()) {
            // Boxed: it is rare, and every request would carry room for it.
            Box::pin(queue.push_when_there_is_room(record)).await?;
        }
        queue.pushed.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Resolves when every record that was handed in before is written, or after two seconds.
    pub async fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let until = queue.pushed.load(Ordering::Acquire);
        let mut waited = Duration::ZERO;
        while queue.written.load(Ordering::Acquire) < until && waited < ROOM_WAIT_MAX {
            if let Some(writer) = &*self.writer.lock() {
                writer.thread().unpark();
            }
            tokio::time::sleep(ROOM_POLL).await;
            waited += ROOM_POLL;
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let Some(queue) = &self.queue else { return };
        queue.closed.store(true, Ordering::Release);
        if let Some(writer) = self.writer.lock().take() {
            writer.thread().unpark();
            // A writer that panicked has nothing more to write.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;

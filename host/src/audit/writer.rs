//! The thread that writes the audit: first to the store, then the lines.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Queue,
    flood::Flood,
    line,
    lines::Lines,
    record::{Record, Times},
    uses::Uses,
};
use crate::{Directory, store::StoreError};

/// How long the writer rests when there is nothing to write.
const REST: Duration = Duration::from_millis(5);
/// How long it waits before it tries again what could not be written.
const RETRY: Duration = Duration::from_millis(500);
/// How often it tries again at the end.
const CLOSING_TRIES: u32 = 10;
/// Records that are written in one go.
const BATCH_MAX: usize = 1024;

pub(super) struct Writer {
    lines: Option<Lines>,
    chain: Option<Chain>,
    queue: Arc<Queue>,
    flood: Flood,
    uses: Uses,
    times: Times,
    /// Lines that are not in the store yet, or without a chain not among those to be written out.
    group: Vec<String>,
    /// How many records of the queue those lines settle.
    settled: u64,
}

/// The chain, as the writer has to do with it.
struct Chain {
    directory: Directory,
    /// Whether requests are recorded in it.
    requests: bool,
    /// Up to which record its lines are among those to be written out.
    shown: i64,
}

/// What could not be written to.
enum Failed {
    Store(StoreError),
    Lines(io::Error),
}

impl Writer {
    pub(super) fn new(
        lines: Option<Lines>,
        chain: Option<(Directory, bool)>,
        queue: Arc<Queue>,
    ) -> Self {
        let last = lines.as_ref().and_then(|lines| lines.last);
        let chain = chain.map(|(directory, requests)| {
            // A file goes on where it ends, so that what was killed between the store and the file is made up for.
            let end = directory.store().audit_end();
            Chain {
                shown: last.filter(|last| *last <= end).unwrap_or(end),
                directory,
                requests,
            }
        });
        Self {
            lines,
            chain,
            queue,
            flood: Flood::default(),
            uses: Uses::new(),
            times: Times::default(),
            group: Vec::new(),
            settled: 0,
        }
    }

    pub(super) async fn run(mut self) {
        // Also when this panics.
        let _ended = self.queue.ended.clone().drop_guard();
        let mut tries = 0;
        loop {
            // Read before the queue is drained: what was handed in before the close is still written.
            let closed = self.queue.closed.load(Ordering::Acquire);
            let empty = self.drain(closed);
            let written = match self.write().await {
                Ok(()) => true,
                Err(failed) => {
                    report(failed);
                    false
                }
            };
            if let Some(chain) = &self.chain {
                self.uses.note(&chain.directory, closed && empty).await;
            }
            match (written, closed) {
                (true, true) if empty => return,
                (false, true) if tries == CLOSING_TRIES => {
                    let lost = self.settled + self.queue.records.len() as u64;
                    tracing::error!(lost, "the audit cannot be written: records are lost");
                    return;
                }
                (false, _) => {
                    tries += u32::from(closed);
                    self.rest(RETRY).await;
                }
                (true, false) if empty => self.rest(REST).await,
                (true, _) => {}
            }
        }
    }

    /// Rests, until somebody waits for what is written.
    async fn rest(&self, time: Duration) {
        // Neither end of it means more than the other.
        let _ = tokio::time::timeout(time, self.queue.wake.notified()).await;
    }

    /// Turns a batch of records into lines; tells whether the queue is empty now.
    fn drain(&mut self, closed: bool) -> bool {
        // What could not be written yet is not added to: the queue fills, and requests wait.
        if !self.group.is_empty()
            || self
                .lines
                .as_mut()
                .is_some_and(|lines| !lines.waiting().is_empty())
        {
            return false;
        }
        let mut records: Vec<Arc<Record>> = Vec::new();
        let mut taken = 0;
        while taken < BATCH_MAX {
            let Some(record) = self.queue.records.pop() else {
                break;
            };
            taken += 1;
            self.uses.see(&record);
            self.flood.pass(record, &mut records);
        }
        let empty = taken < BATCH_MAX;
        if (closed && empty) || self.flood.is_due() {
            self.flood.end(&mut records);
        }
        for record in records {
            match record.line(&mut self.times) {
                Ok(line) => self.group.push(line),
                Err(error) => {
                    tracing::error!(%error, "an audit record cannot be written as JSON");
                }
            }
        }
        self.settled += taken as u64;
        empty
    }

    /// Writes the group to the store, and then the lines, those of changes too.
    async fn write(&mut self) -> Result<(), Failed> {
        match &mut self.chain {
            Some(chain) if chain.requests => {
                let first = chain.append(&self.group).await.map_err(Failed::Store)?;
                let group = std::mem::take(&mut self.group);
                // Usually nothing came between, and what was just written need not be read.
                if let (Some(first), Some(lines)) = (first, &mut self.lines)
                    && first == chain.shown + 1
                {
                    for text in group {
                        chain.shown += 1;
                        line::numbered(chain.shown, &text, lines.waiting());
                    }
                }
            }
            _ => {
                let group = std::mem::take(&mut self.group);
                if let Some(lines) = &mut self.lines {
                    for text in group {
                        lines.waiting().extend_from_slice(text.as_bytes());
                        lines.waiting().push(b'\n');
                    }
                }
            }
        }
        self.show().await?;
        self.queue
            .written
            .fetch_add(std::mem::take(&mut self.settled), Ordering::Release);
        Ok(())
    }

    /// Writes out the lines that wait, and those of the chain that were not written yet.
    async fn show(&mut self) -> Result<(), Failed> {
        let Some(lines) = &mut self.lines else {
            self.queue.shown.store(i64::MAX, Ordering::Release);
            return Ok(());
        };
        loop {
            lines.write_out().map_err(Failed::Lines)?;
            let Some(chain) = &mut self.chain else {
                return Ok(());
            };
            self.queue.shown.store(chain.shown, Ordering::Release);
            if !chain.next(lines.waiting()).await.map_err(Failed::Store)? {
                return Ok(());
            }
        }
    }
}

impl Chain {
    /// Appends a group; gives the number of its first record.
    async fn append(&self, group: &[String]) -> Result<Option<i64>, StoreError> {
        if group.is_empty() {
            return Ok(None);
        }
        self.directory.store().append_audit(group).await.map(Some)
    }

    /// Adds lines of the chain that were not written out yet; tells whether there were any.
    async fn next(&mut self, waiting: &mut Vec<u8>) -> Result<bool, StoreError> {
        let store = self.directory.store();
        let end = store.audit_end();
        if self.shown >= end {
            return Ok(false);
        }
        let found = store.audit_after(self.shown, BATCH_MAX as u32).await?;
        for record in &found {
            line::numbered(record.seq, &record.line, waiting);
        }
        // What is not there was pruned before it was written out.
        self.shown = found.last().map_or(end, |record| record.seq);
        Ok(true)
    }
}

fn report(failed: Failed) {
    let (to, error) = match &failed {
        Failed::Store(error) => ("store", error.to_string()),
        Failed::Lines(error) => ("lines", error.to_string()),
    };
    metrics::counter!("scopegate_audit_write_errors_total", "to" => to).increment(1);
    tracing::error!(to, error, "the audit cannot be written");
}

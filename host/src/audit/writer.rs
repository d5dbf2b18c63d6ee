//! The thread that writes the log.

use std::{
    io::Write,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use super::{
    Queue,
    flood::Flood,
    record::{Record, Times},
};

/// How long the writer rests when there is nothing to write.
const REST: Duration = Duration::from_millis(5);
/// How long it waits before it tries again what could not be written.
const RETRY: Duration = Duration::from_millis(500);
/// Records that are written in one go.
const BATCH_MAX: usize = 1024;

pub(super) struct Writer {
    out: Box<dyn Write + Send>,
    queue: Arc<Queue>,
    flood: Flood,
    times: Times,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// How many records of the queue those lines settle.
    settled: u64,
}

impl Writer {
    pub(super) fn new(out: Box<dyn Write + Send>, queue: Arc<Queue>) -> Self {
        Self {
            out,
            queue,
            flood: Flood::default(),
            times: Times::default(),
            lines: Vec::new(),
            settled: 0,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            // Read before the queue is drained: what was handed in before the close is still written.
            let closed = self.queue.closed.load(Ordering::Acquire);
            let empty = self.drain(closed);
            if !self.write_out() {
                if closed {
                    return;
                }
                thread::park_timeout(RETRY);
            } else if empty {
                if closed {
                    return;
                }
                thread::park_timeout(REST);
            }
        }
    }

    /// Turns a batch of records into lines; tells whether the queue is empty now.
    fn drain(&mut self, closed: bool) -> bool {
        // What could not be written yet is not added to: the queue fills, and requests wait.
        if !self.lines.is_empty() {
            return false;
        }
        let mut records: Vec<Arc<Record>> = Vec::new();
        let mut taken = 0;
        while taken < BATCH_MAX {
            let Some(record) = self.queue.records.pop() else {
                break;
            };
            taken += 1;
            self.flood.pass(record, &mut records);
        }
        let empty = taken < BATCH_MAX;
        if (closed && empty) || self.flood.is_due() {
            self.flood.end(&mut records);
        }
        for record in records {
            if let Err(error) = record.write(&mut self.times, &mut self.lines) {
                tracing::error!(%error, "an audit record cannot be written as JSON");
            }
        }
        self.settled += taken as u64;
        empty
    }

    /// Writes the lines out; `false` when they could not be and are kept.
    fn write_out(&mut self) -> bool {
        let mut written = 0;
        let result = loop {
            match self.lines.get(written..) {
                None | Some([]) => break self.out.flush(),
                Some(rest) => match self.out.write(rest) {
                    Ok(0) => break Err(std::io::ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => break Err(error),
                },
            }
        };
        self.lines.drain(..written.min(self.lines.len()));
        match result {
            Ok(()) => {
                self.queue
                    .written
                    .fetch_add(std::mem::take(&mut self.settled), Ordering::Release);
                true
            }
            Err(error) => {
                metrics::counter!("scopegate_audit_write_errors_total").increment(1);
                tracing::error!(%error, "the audit log cannot be written");
                false
            }
        }
    }
}

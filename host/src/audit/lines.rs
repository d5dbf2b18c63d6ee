//! The JSON lines outside the store: a file, standard output, or any writer.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
};

use super::{Sink, line};

/// How much of a file's end is read to find its last line.
const TAIL_BYTES: u64 = 256 * 1024;

pub(super) struct Lines {
    out: Box<dyn Write + Send>,
    /// What is not written yet.
    waiting: Vec<u8>,
    /// The number of the last record that was there when the file was opened.
    pub(super) last: Option<i64>,
}

impl Lines {
    pub(super) fn open(sink: &Sink) -> io::Result<Option<Self>> {
        match sink {
            Sink::None => Ok(None),
            Sink::Stdout => Ok(Some(Self::to(Box::new(io::stdout())))),
            Sink::File(path) => {
                let mut file = OpenOptions::new()
                    .read(true)
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(path)?;
                let last = end_of(&mut file)?;
                let mut lines = Self::to(Box::new(file));
                lines.last = last;
                Ok(Some(lines))
            }
        }
    }

    pub(super) fn to(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            waiting: Vec::new(),
            last: None,
        }
    }

    /// Where the next lines are put, each with its line feed.
    pub(super) fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Writes out what waits; what could not be written is kept.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            match self.waiting.get(written..) {
                None | Some([]) => break self.out.flush(),
                Some(rest) => match self.out.write(rest) {
                    Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => break Err(error),
                },
            }
        };
        self.waiting.drain(..written.min(self.waiting.len()));
        result
    }
}

/// The number of the last whole line. A line that a process did not write to its end, because it was killed, is cut off:
/// the store has the record, and the line is written again.
fn end_of(file: &mut File) -> io::Result<Option<i64>> {
    let len = file.metadata()?.len();
    if !file.metadata()?.is_file() || len == 0 {
        return Ok(None);
    }
    let start = len.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let (lines, torn) = tail.split_at(whole);
    let is_ours = torn.starts_with(line::NUMBER) || line::NUMBER.starts_with(torn);
    if is_ours && !torn.is_empty() {
        file.set_len(start + whole as u64)?;
    } else if !torn.is_empty() {
        // Somebody else's text, or a line from before there were numbers.
        file.write_all(b"\n")?;
    }
    let mut lines = lines.rsplit(|byte| *byte == b'\n');
    Ok(lines.find_map(|text| line::number_of(str::from_utf8(text).ok()?)))
}

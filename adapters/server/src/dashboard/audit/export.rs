//! Everything that a search finds, as a file: sent while it is read, page by page.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};

use super::{Filter, Record, text};
use crate::dashboard::{keys::Listed, problem::Stop, visitor::Visitor};

/// Records that are read at once.
const LIMIT: &str = "200";

/// Members that a spreadsheet wants, each a column. JSON lines have all.
const COLUMNS: [&str; 20] = [
    "seq",
    "time",
    "kind",
    "name",
    "agent",
    "user",
    "credential",
    "address",
    "method",
    "path",
    "outcome",
    "reason",
    "about",
    "cluster",
    "route",
    "micros",
    "actor",
    "action",
    "subject",
    "request_id",
];

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
}

/// As CSV (RFC 4180).
pub(super) async fn csv(visitor: Visitor) -> Result<Response<Body>, Stop> {
    file(visitor, Format::Csv).await
}

/// As JSON lines.
pub(super) async fn json_lines(visitor: Visitor) -> Result<Response<Body>, Stop> {
    file(visitor, Format::JsonLines).await
}

/// Where the reading is.
struct Reading {
    visitor: Visitor,
    filter: Filter,
    format: Format,
    /// The page to read next; none: it is over.
    cursor: Option<String>,
}

async fn file(visitor: Visitor, format: Format) -> Result<Response<Body>, Stop> {
    let filter = Filter::of(&visitor).await?;
    let mut reading = Reading {
        visitor,
        filter,
        format,
        cursor: Some(String::new()),
    };
    // Read before anything is sent: what is refused is a page with the reason.
    let first = reading.next().await?;
    let head = match format {
        Format::Csv => line(&COLUMNS.map(str::to_owned)),
        Format::JsonLines => Vec::new(),
    };
    let begun = Bytes::from([head, first].concat());
    let rest = stream::try_unfold((Some(begun), reading), |(begun, mut reading)| async move {
        if let Some(begun) = begun {
            return Ok::<_, Broken>(Some((begun, (None, reading))));
        }
        if reading.cursor.is_none() {
            return Ok(None);
        }
        // A file that ends in the middle must not look whole: the connection breaks off.
        let next = reading.next().await.map_err(|_| Broken)?;
        Ok(Some((Bytes::from(next), (None, reading))))
    });
    let (kind, disposition) = match format {
        Format::Csv => (
            "text/csv; charset=utf-8; header=present",
            "attachment; filename=\"audit.csv\"",
        ),
        Format::JsonLines => (
            "application/x-ndjson",
            "attachment; filename=\"audit.jsonl\"",
        ),
    };
    let mut reply = Response::new(Body::from_stream(rest));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    Ok(reply)
}

/// A page could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the audit could not be read to its end")]
struct Broken;

impl Reading {
    /// The records of the next page, written.
    async fn next(&mut self) -> Result<Vec<u8>, Stop> {
        let cursor = self.cursor.take().unwrap_or_default();
        let asked = self.filter.api(&cursor, LIMIT);
        let found: Listed<Record> = self.visitor.calls.read(format!("/audit{asked}")).await?;
        self.cursor = found.next_cursor;
        let mut written = Vec::new();
        for record in &found.items {
            match self.format {
                Format::Csv => {
                    let cells = COLUMNS.map(|name| cell(text(record, name)));
                    written.extend(line(&cells));
                }
                Format::JsonLines => {
                    written.extend(serde_json::to_vec(record).unwrap_or_default());
                    written.push(b'\n');
                }
            }
        }
        Ok(written)
    }
}

/// Text that no spreadsheet takes for a formula: paths and names are strangers' words.
fn cell(text: String) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text,
    }
}

/// One line of CSV.
fn line(cells: &[String]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, written) in [
            (
                "=HYPERLINK(\"http://x\")",
                "\"'=HYPERLINK(\"\"http://x\"\")\"\r\n",
            ),
            ("-1+1", "'-1+1\r\n"),
            ("/v1/a,b", "\"/v1/a,b\"\r\n"),
        ] {
            assert_eq!(line(&[cell(text.to_owned())]), written.as_bytes());
        }
    }
}

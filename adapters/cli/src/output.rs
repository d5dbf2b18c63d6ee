//! What the commands print: data to standard output as text or JSON, everything else to standard error.
//!
//! Written with `writeln!` rather than `println!`, so that a closed pipe (`scopegate key list | head -1`) ends
//! the command quietly instead of with a panic.

use std::io::{self, Write};

use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;
use scopegate_host::admin::Reply;
use serde_json::{Value, json};

use crate::failure::Failure;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON value on one line.
    Json,
}

impl Output {
    /// Prints `data` as JSON, or what `text` makes of it.
    pub(crate) fn print(self, data: &Value, text: impl FnOnce(&Value) -> String) -> Result<()> {
        let rendered = match self {
            Self::Text => text(data),
            Self::Json => data.to_string(),
        };
        match rendered.as_str() {
            "" => Ok(()),
            rendered => line(rendered),
        }
    }
}

/// One line (or several) to standard output, flushed, so that a reader at the other end of a pipe has it now.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// A remark to standard error: what is not data. A closed standard error is nobody's failure.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Objects as rows, one column for each of these members; `empty` where there are none.
pub(crate) fn table(columns: &[&str], rows: &Value, empty: &str) -> String {
    let rows: Vec<&Value> = rows.as_array().into_iter().flatten().collect();
    if rows.is_empty() {
        return empty.to_owned();
    }
    let head: Vec<String> = columns
        .iter()
        .map(|column| column.replace('_', " ").to_uppercase())
        .collect();
    let cells = rows
        .iter()
        .map(|row| columns.iter().map(|column| cell(&row[*column])).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let padded = |line: &Vec<String>| {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

/// A value in a table: lists with commas, `-` for nothing.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Seconds since the epoch as RFC 3339, which is what people and programs read.
pub(crate) fn moment(secs: Option<i64>) -> Value {
    secs.and_then(|secs| Timestamp::from_second(secs).ok())
        .map_or(Value::Null, |time| Value::String(time.to_string()))
}

/// Says whether a command changed anything; `done` is how things are now.
pub(crate) fn print_done(reply: &Reply, done: &str, output: Output) -> Result<()> {
    let Reply::Done { changed } = reply else {
        return unexpected(reply);
    };
    output.print(&json!({ "changed": changed }), |_| match changed {
        true => done.to_owned(),
        false => format!("{done} already"),
    })
}

/// A server of another version may answer something else than what was asked for.
pub(crate) fn unexpected(reply: &Reply) -> Result<()> {
    // Only its name: a reply may hold a secret.
    let reply = serde_json::to_value(reply).unwrap_or_default();
    let word = reply.get("reply").map(cell).unwrap_or_default();
    Err(Failure::new(format!(
        "the server answered `{word}`, which was not asked for"
    ))
    .help("the server and this command are of different versions")
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            json!([{ "name": "demo-admin", "of": ["prod", "dev"] }, { "name": "ci", "of": null }]);
        let shown = "NAME        OF\ndemo-admin  prod,dev\nci          -";
        assert_eq!(table(&["name", "of"], &rows, "no keys"), shown);
        assert_eq!(table(&["name"], &json!([]), "no keys"), "no keys");
    }
}

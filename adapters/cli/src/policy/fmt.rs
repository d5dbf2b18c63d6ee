//! `scopegate policy fmt`: documents in their canonical layout.

use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use scopegate_policy::document;
use serde_json::{Value, json};

use super::file::{read, text, write_in_one_step};
use crate::{
    failure::Failure,
    output::{Output, line, note},
};

const EXAMPLES: &str = "\
Examples:
  scopegate policy fmt policy.yaml
  scopegate policy fmt --check policies/*.yaml
  scopegate policy fmt - < policy.yaml

The rules stay exactly the same, and so does every comment: a document in which one would lose
its place is left alone, and the exit code is 1. `--check` changes nothing, and fails when a
document is not in the layout.";

/// Put documents into their canonical layout
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Fmt {
    /// Policy documents; `-` reads standard input and prints the result
    #[arg(required = true, value_name = "DOC")]
    documents: Vec<PathBuf>,
    /// Change nothing, and fail when a document is not in the layout
    #[arg(long)]
    check: bool,
}

pub(super) fn run(fmt: &Fmt, output: Output) -> Result<()> {
    if fmt.documents.iter().any(|path| path == Path::new("-")) {
        return filter(fmt);
    }
    let (mut done, mut broken, mut changed) = (Vec::new(), 0, 0);
    for path in &fmt.documents {
        let name = path.display().to_string();
        let original = read(path)?;
        let entry = match document::format(&name, &original) {
            Ok(formatted) => {
                let is_changed = formatted != original;
                changed += usize::from(is_changed);
                if is_changed && !fmt.check {
                    // A link stays one: what it leads to is written.
                    let file = path.canonicalize().unwrap_or_else(|_| path.clone());
                    write_in_one_step(&file, formatted.as_bytes())?;
                }
                json!({ "file": name, "ok": true, "changed": is_changed })
            }
            Err(report) => {
                if output == Output::Text {
                    note(&report.to_string());
                }
                broken += 1;
                json!({ "file": name, "ok": false, "problems": report })
            }
        };
        done.push(entry);
    }
    output.print(&Value::Array(done), |done| {
        let word = if fmt.check {
            "is not in the layout"
        } else {
            "formatted"
        };
        let changed = done.as_array().into_iter().flatten();
        let changed = changed.filter(|entry| entry["changed"] == true);
        let lines: Vec<String> = changed
            .map(|entry| format!("{}: {word}", text(&entry["file"])))
            .collect();
        lines.join("\n")
    })?;
    if broken > 0 {
        return Err(Failure::new("not every document could be formatted").into());
    }
    if fmt.check && changed > 0 {
        return Err(Failure::new("not every document is in the layout")
            .help("run `scopegate policy fmt` on them")
            .into());
    }
    Ok(())
}

/// Standard input to standard output.
fn filter(fmt: &Fmt) -> Result<()> {
    if fmt.documents.len() > 1 {
        let message = "`-` is standard input, and goes with no other document";
        return Err(Failure::usage(message).into());
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        note("reading a document from standard input");
    }
    let mut original = String::new();
    stdin
        .read_to_string(&mut original)
        .context("standard input cannot be read")?;
    let formatted = document::format("standard input", &original)?;
    match fmt.check {
        false => line(&formatted),
        true if formatted == original => Ok(()),
        true => Err(Failure::new("the document is not in the layout").into()),
    }
}

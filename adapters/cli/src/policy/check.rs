//! `scopegate policy check`: every mistake in policy documents.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use scopegate_policy::document;
use serde_json::{Value, json};

use super::file::{extend, read, sentence, summary, text};
use crate::{
    failure::Failure,
    output::{Output, note},
};

const EXAMPLES: &str = "\
Examples:
  scopegate policy check policy.yaml
  scopegate policy check policies/*.yaml

Every mistake is reported, with its place and what was probably meant. The exit code is 1 if
there is any.";

/// Check policy documents and report every mistake
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Policy documents
    #[arg(required = true, value_name = "DOC")]
    documents: Vec<PathBuf>,
}

pub(super) fn run(check: &Check, output: Output) -> Result<()> {
    let mut checked = Vec::new();
    let mut broken = 0;
    for path in &check.documents {
        let name = path.display().to_string();
        match document::compile(&name, &read(path)?) {
            Ok(tables) => {
                let mut entry = json!({ "file": name, "ok": true, "problems": [] });
                extend(&mut entry, &summary(tables.description()));
                checked.push(entry);
            }
            Err(report) => {
                if output == Output::Text {
                    note(&report.to_string());
                }
                broken += 1;
                checked.push(json!({ "file": name, "ok": false, "problems": report }));
            }
        }
    }
    output.print(&Value::Array(checked), |checked| {
        let good = checked
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["ok"] == true);
        good.map(|entry| format!("{}: ok: {}", text(&entry["file"]), sentence(entry)))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    if broken == 0 {
        return Ok(());
    }
    let of = check.documents.len();
    Err(Failure::new(format!(
        "{broken} of {of} documents {} not work",
        if broken == 1 { "does" } else { "do" }
    ))
    .into())
}

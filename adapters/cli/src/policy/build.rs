//! `scopegate policy build`: a document to a component.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use scopegate_host::engine::{Sandbox, SandboxConfig, build_document};
use serde_json::json;

use super::file::{extend, read, sentence, summary, text, write_in_one_step};
use crate::{failure::Failure, output::Output};

const EXAMPLES: &str = "\
Examples:
  scopegate policy build policy.yaml -o policy.wasm

The component carries its document and has no imports: no clock, no file, no network. A
component that is there already is replaced in one step, and only by one that works; any other
file is left alone.";

/// Compile a policy document to a component
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Build {
    /// The policy document
    #[arg(value_name = "DOC")]
    document: PathBuf,
    /// Where the component goes
    #[arg(short = 'o', long = "out", value_name = "FILE.wasm")]
    out: PathBuf,
}

pub(super) fn run(Build { document, out }: &Build, output: Output) -> Result<()> {
    let name = document.display().to_string();
    let source = read(document)?;
    let component = build_document(&name, &source)?;
    // As the server will: what is written has been loaded.
    let policy = Sandbox::new(SandboxConfig::default())?.load(&component)?;
    replaceable(out)?;
    write_in_one_step(out, &component)?;
    let mut entry = json!({
        "file": out.display().to_string(),
        "digest": policy.digest(),
        "bytes": component.len(),
    });
    extend(&mut entry, &summary(policy.description()));
    output.print(&entry, |entry| {
        format!(
            "{}: {}; {} bytes, {}",
            text(&entry["file"]),
            sentence(entry),
            entry["bytes"],
            text(&entry["digest"])
        )
    })
}

/// Only a component may be written over: `-o policy.yaml` is a slip of the hand that would cost a document.
fn replaceable(out: &Path) -> Result<()> {
    match fs::read(out) {
        Ok(bytes) if bytes.is_empty() || bytes.starts_with(b"\0asm") => Ok(()),
        Ok(_) => Err(Failure::new(format!(
            "`{}` is there and is not a component",
            out.display()
        ))
        .help("name another file after `-o`, or remove this one")
        .into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("`{}` is there and cannot be read", out.display()))
        }
    }
}

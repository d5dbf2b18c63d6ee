//! `scopegate policy build`: a document to a component.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::Args;
use scopegate_host::{
    bundle::{self, CarriedTests, Trust},
    engine::{Sandbox, SandboxConfig, build_document},
    policies::Checks,
};
use serde_json::json;

use super::file::{extend, read, sentence, summary, text, unreadable, write_in_one_step};
use super::limits::LimitsProfile;
use crate::{failure::Failure, output::Output};

const EXAMPLES: &str = "\
Examples:
  scopegate policy build policy.yaml -o policy.wasm
  scopegate policy build policy.yaml -o policy.wasm --tests policy.test.yaml
  scopegate policy build target/wasm32-unknown-unknown/release/policy.wasm -o policy.wasm

The component carries its document and says what it is (see `inspect`), and has no imports: no
clock, no file, no network. The same input gives the same bytes from the same version. A component that is there already is replaced in one step, and only by one that works; any other file is left
alone.";

/// Compile a policy document, or a module of one written by hand, to a component
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Build {
    /// The policy document, or the core module of a policy written by hand
    #[arg(value_name = "DOC|CORE.wasm")]
    document: PathBuf,
    /// Where the component goes
    #[arg(short = 'o', long = "out", value_name = "FILE.wasm")]
    out: PathBuf,
    /// The limits that it is loaded under
    #[arg(long, value_enum, default_value_t)]
    limits: LimitsProfile,
    /// Files of tests that the component carries: a gate runs them before it takes it
    #[arg(long, num_args = 1.., value_name = "FILE")]
    tests: Vec<PathBuf>,
}

pub(super) fn run(
    Build {
        document,
        out,
        limits,
        tests,
    }: &Build,
    output: Output,
) -> Result<()> {
    let name = document.display().to_string();
    let component = match core_module(document)? {
        Some(module) => componentize(&name, &module)?,
        None => build_document(&name, &read(document)?)?,
    };
    let tests: Result<Vec<_>> = tests.iter().map(|path| carried(path)).collect();
    let component = bundle::with_tests(component, &tests?);
    // As the server will: what is written has been loaded, asked and tested, but for what it says of itself, which nobody
    // runs.
    let policy = checks(*limits)?
        .check_unsigned(&component)
        .map_err(|bad| Failure::new(format!("nothing is built: {bad}")).help(bad.help()))?;
    let component = bundle::with_metadata(component, policy.description());
    replaceable(out)?;
    write_in_one_step(out, &component)?;
    let mut entry = json!({
        "file": out.display().to_string(),
        "digest": bundle::digest(&component),
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

/// What a gate looks at a policy with, whoever signed it.
pub(super) fn checks(limits: LimitsProfile) -> Result<Checks> {
    let sandbox = Sandbox::new(SandboxConfig {
        limits: limits.limits(),
        ..SandboxConfig::default()
    })?;
    Ok(Checks {
        sandbox: Arc::new(sandbox),
        trust: Trust::default(),
    })
}

/// A file of tests, under its name alone: where it is on this machine is no part of the policy.
fn carried(path: &Path) -> Result<CarriedTests> {
    let name = path.file_name().unwrap_or_default();
    Ok(CarriedTests {
        name: name.to_string_lossy().into_owned(),
        text: read(path)?,
    })
}

/// The file, if it is a core module (magic number and version 1).
fn core_module(path: &Path) -> Result<Option<Vec<u8>>> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let is_core = bytes.starts_with(b"\0asm\x01\0\0\0");
    if bytes.starts_with(b"\0asm") && !is_core {
        let already = format!("`{}` is a component already", path.display());
        return Err(Failure::new(already)
            .help("`policy` in scopegate.yaml takes it as it is")
            .into());
    }
    Ok(is_core.then_some(bytes))
}

/// What a compiler made of a policy written by hand has the gate's interface in a section of its own.
fn componentize(name: &str, module: &[u8]) -> Result<Vec<u8>> {
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode());
    component.map_err(|error| {
        Failure::new(format!("`{name}` is not a policy's module: {error:#}"))
            .help("`scopegate policy new` makes a project that builds one")
            .into()
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

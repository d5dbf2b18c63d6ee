//! `scopegate policy`: checking policy documents and compiling them to components, without a server and without
//! a Rust toolchain; and shipping them to a server.

mod ship;
mod sign;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use scopegate_host::{
    bundle::{self, CarriedTests},
    engine::{Sandbox, SandboxConfig, build_document},
};
use scopegate_policy::{Description, document};
use serde_json::{Value, json};

use crate::{
    Common, asynchronously,
    failure::Failure,
    output::{Output, note},
};

const EXAMPLES: &str = "\
Examples:
  scopegate policy check policy.yaml
  scopegate policy check policies/*.yaml --output json
  scopegate policy build policy.yaml -o policy.wasm
  scopegate policy push policy.wasm
  scopegate policy rollback";

const CHECK_EXAMPLES: &str = "\
Examples:
  scopegate policy check policy.yaml
  scopegate policy check policies/*.yaml

Every mistake is reported, with its place and what was probably meant. The exit code is 1 if
there is any.";

const BUILD_EXAMPLES: &str = "\
Examples:
  scopegate policy build policy.yaml -o policy.wasm
  scopegate policy build policy.yaml -o policy.wasm --tests tests/*.test.yaml

The component carries its document and has no imports: no clock, no file, no network. A
component that is there already is replaced in one step, and only by one that works; any other
file is left alone.";

/// Check policy documents, compile them and ship them to a gate
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Policy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check policy documents and report every mistake
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Policy documents
        #[arg(required = true, value_name = "DOC")]
        documents: Vec<PathBuf>,
    },
    /// Compile a policy document to a component
    #[command(after_help = BUILD_EXAMPLES)]
    Build {
        /// The policy document
        #[arg(value_name = "DOC")]
        document: PathBuf,
        /// Where the component goes
        #[arg(short = 'o', long = "out", value_name = "FILE.wasm")]
        out: PathBuf,
        /// Files of tests that the component carries
        #[arg(long, num_args = 1.., value_name = "FILE")]
        tests: Vec<PathBuf>,
    },
    Key(sign::Key),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Push(ship::Push),
    Rollback(ship::Rollback),
    Versions(ship::Versions),
}

pub(crate) fn run(policy: Policy, common: &Common) -> Result<()> {
    let output = common.output;
    match policy.action {
        Action::Check { documents } => check(&documents, output),
        Action::Build {
            document,
            out,
            tests,
        } => build(&document, &out, &tests, output),
        Action::Key(key) => sign::key(&key, output),
        Action::Sign(sign) => sign::sign(&sign, output),
        Action::Verify(verify) => sign::verify(&verify, output),
        Action::Push(push) => asynchronously(ship::push(push, common)),
        Action::Rollback(rollback) => asynchronously(ship::rollback(rollback, common)),
        Action::Versions(_) => asynchronously(ship::versions(common)),
    }
}

fn check(documents: &[PathBuf], output: Output) -> Result<()> {
    let mut checked = Vec::new();
    let mut broken = 0;
    for path in documents {
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
    let of = documents.len();
    Err(Failure::new(format!(
        "{broken} of {of} documents {} not work",
        if broken == 1 { "does" } else { "do" }
    ))
    .into())
}

fn build(document: &Path, out: &Path, tests: &[PathBuf], output: Output) -> Result<()> {
    let name = document.display().to_string();
    let source = read(document)?;
    let tests: Result<Vec<_>> = tests.iter().map(|path| carried(path)).collect();
    let component = bundle::with_tests(build_document(&name, &source)?, &tests?);
    // As the server will: what is written has been loaded.
    let policy = Sandbox::new(SandboxConfig::default())?.load(&component)?;
    replaceable(out)?;
    write_in_one_step(out, &component).map_err(|error| {
        Failure::new(format!(
            "`{}` cannot be written: {}",
            out.display(),
            error.kind()
        ))
    })?;
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

/// A file of tests, under its name alone: where it is on this machine is no part of the policy.
fn carried(path: &Path) -> Result<CarriedTests> {
    let name = path.file_name().unwrap_or_default();
    Ok(CarriedTests {
        name: name.to_string_lossy().into_owned(),
        text: read(path)?,
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let what = if error.kind() == std::io::ErrorKind::InvalidData {
            "is not text in UTF-8".to_owned()
        } else {
            format!("cannot be read: {error}")
        };
        Failure::new(format!("`{}` {what}", path.display())).into()
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

/// A server that watches the file never sees half of it.
fn write_in_one_step(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(readable())
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// As other files are, the umask taken off; a temporary file would be its owner's alone.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// What the document itself has: the management API's permissions and routes are in every policy.
fn summary(description: &Description) -> Value {
    json!({
        "policy": description.name,
        "version": description.version,
        "permissions": description.own_permissions().count(),
        "roles": description.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(),
        "routes": description.own_routes().count(),
    })
}

fn extend(entry: &mut Value, more: &Value) {
    if let (Some(entry), Some(more)) = (entry.as_object_mut(), more.as_object()) {
        entry.extend(more.clone());
    }
}

fn sentence(entry: &Value) -> String {
    let roles: Vec<&str> = entry["roles"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    format!(
        "policy `{}`, {} permissions, {} routes, roles {}",
        text(&entry["policy"]),
        entry["permissions"],
        entry["routes"],
        roles.join(", ")
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

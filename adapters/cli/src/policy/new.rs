//! `scopegate policy new`: a policy written by hand begins as a project that works. It decides as the policy that it is made
//! from: that one's catalogue, roles and routes as tables, and the rules in code, to be changed.

mod c;
mod javascript;
mod rust;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use scopegate_policy::{Rules, Tables, document, documents};
use serde_json::json;

use super::file::read;
use crate::{failure::Failure, output::Output};

const EXAMPLES: &str = "\
Examples:
  scopegate policy new mine --language rust
  scopegate policy new mine --language javascript --from policy.yaml
  scopegate policy new mine --language c --from kubeadapt

The project's README.md says how it is built and tested. Until you change it, it answers as
the policy that it was made from.";

/// The interface that a policy exports.
const WIT: &str = include_str!("../../../../wit/policy.wit");

/// Start a policy that is written by hand
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct New {
    /// The directory of the project; made, or empty
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What it is written in
    #[arg(long, value_enum)]
    language: Language,
    /// The policy that it begins as: a document, or a built-in one by name
    #[arg(long, default_value = "scopegate", value_name = "POLICY")]
    from: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Rust,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    C,
}

/// A file of the project: its path within, and what is in it.
type File = (&'static str, Vec<u8>);

pub(super) fn run(new: &New, output: Output) -> Result<()> {
    let tables = begun_from(&new.from)?;
    let files = match new.language {
        Language::Rust => rust::files(tables.rules()),
        Language::JavaScript => javascript::files(tables.rules())?,
        Language::C => c::files(tables.rules())?,
    };
    make_empty(&new.directory)?;
    for (path, content) in &files {
        let path = new.directory.join(path);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&new.directory))?;
            fs::write(&path, content)
        };
        write().with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    let made = json!({ "directory": new.directory.display().to_string(), "files": paths });
    output.print(&made, |made| {
        let directory = made["directory"].as_str().unwrap_or_default();
        format!("made {directory}; its README.md says how to go on")
    })
}

fn begun_from(from: &str) -> Result<Tables> {
    let text = match documents::builtin(from) {
        Some(text) => text.to_owned(),
        None => read(Path::new(from)).map_err(|error| {
            let names: Vec<String> = documents::names().map(|name| format!("`{name}`")).collect();
            Failure::new(format!("{error}")).help(format!(
                "`--from` is a policy document, or one of {}",
                names.join(", ")
            ))
        })?,
    };
    let tables = document::compile(from, &text)?;
    if !tables.rules().conditions.is_empty() {
        let conditions =
            format!("`{from}` has conditions (`when`), and a policy in code writes its own");
        return Err(Failure::new(conditions)
            .help("begin with a document without them")
            .into());
    }
    Ok(tables)
}

/// Nothing that is there already is written over.
fn make_empty(directory: &Path) -> Result<()> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(
                Failure::new(format!("`{}` is not empty", directory.display()))
                    .help("name a directory that is not there yet")
                    .into(),
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::create_dir_all(directory)
            .with_context(|| format!("`{}` cannot be made", directory.display())),
        Err(error) => {
            Err(error).with_context(|| format!("`{}` cannot be read", directory.display()))
        }
    }
}

/// A template as it is.
fn as_is(path: &'static str, text: &str) -> File {
    (path, text.as_bytes().to_vec())
}

/// Each item with what stands before and after it.
fn each<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    items.iter().map(one).collect()
}

/// Routes with what else they ask for.
fn routes(
    rules: &Rules,
) -> Vec<(
    &scopegate_policy::RouteInfo,
    &scopegate_policy::RouteOptions,
)> {
    let routes = rules.description.routes.iter();
    routes.zip(&rules.options).collect()
}

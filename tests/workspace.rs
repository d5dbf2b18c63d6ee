//! The house keeps its shape: which crate may know which, what is resolved, and how long a file may grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in the workspace")
        .to_owned()
}

fn cargo(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let text = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// What each crate may depend on, of the workspace's own and of the outside that would blur what it is.
fn arrows() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("scopegate-policy", &[] as &[_]),
        ("scopegate-guest", &["scopegate-policy"]),
        ("scopegate-typed-policy", &[]),
        ("scopegate-engines", &[]),
        ("scopegate-host", &["scopegate-policy"]),
        ("scopegate-proxy-wasm", &["scopegate-policy"]),
        ("scopegate-axum", &["scopegate-host"]),
        ("scopegate-envoy", &["scopegate-host"]),
        (
            "scopegate-server",
            &["scopegate-axum", "scopegate-host", "scopegate-policy"],
        ),
        (
            "scopegate",
            &[
                "scopegate-envoy",
                "scopegate-host",
                "scopegate-policy",
                "scopegate-server",
            ],
        ),
        (
            "scopegate-tests",
            &[
                "scopegate-axum",
                "scopegate-engines",
                "scopegate-envoy",
                "scopegate-host",
                "scopegate-policy",
                "scopegate-server",
                "scopegate",
            ],
        ),
        (
            "scopegate-benches",
            &[
                "scopegate-axum",
                "scopegate-host",
                "scopegate-policy",
                "scopegate-server",
            ],
        ),
    ])
}

fn direct_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let (ok, text) = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    assert!(ok, "cargo metadata failed: {text}");
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                .collect();
            (package["name"].as_str().expect("name").to_owned(), names)
        })
        .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let arrows = arrows();
    let direct = direct_dependencies();
    let unknown: Vec<_> = direct
        .keys()
        .filter(|name| !arrows.contains_key(name.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "crates without an entry in `arrows`: {unknown:?}"
    );
    for (name, allowed) in &arrows {
        let ours = direct[*name]
            .iter()
            .filter(|dependency| arrows.contains_key(dependency.as_str()));
        for dependency in ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "`{name}` must not depend on `{dependency}`"
            );
        }
    }
}

#[test]
fn the_policy_is_pure_and_the_host_knows_no_http_framework() {
    let direct = direct_dependencies();
    for outside in [
        "tokio",
        "axum",
        "hyper",
        "sqlx",
        "reqwest",
        "wasmtime",
        "rand",
        "jiff",
        "futures-util",
    ] {
        assert!(
            !direct["scopegate-policy"].contains(outside),
            "`scopegate-policy` must not depend on `{outside}`"
        );
    }
    for framework in [
        "axum",
        "hyper",
        "hyper-util",
        "tower",
        "tower-http",
        "tonic",
    ] {
        assert!(
            !direct["scopegate-host"].contains(framework),
            "`scopegate-host` must not depend on `{framework}`"
        );
    }
    for file in rust_files(&root().join("policy/src")) {
        let text = std::fs::read_to_string(&file).expect("a source file reads");
        for word in [
            "async fn",
            "std::fs",
            "std::net",
            "SystemTime",
            "Instant::now",
            "std::thread",
        ] {
            assert!(!text.contains(word), "{} has `{word}`", file.display());
        }
    }
}

#[test]
fn wasmtime_is_resolved_without_what_makes_a_call_slow() {
    let (ok, text) = cargo(&[
        "tree",
        "--workspace",
        "--offline",
        "-e",
        "features",
        "-i",
        "wasmtime",
    ]);
    assert!(ok, "cargo tree failed: {text}");
    for feature in ["async", "gc", "threads", "component-model-async"] {
        let line = format!("wasmtime feature \"{feature}\"");
        assert!(!text.contains(&line), "some crate turns on {line}");
    }
}

#[test]
fn jwt_has_one_backend_and_it_is_not_the_rsa_crate() {
    let (found, text) = cargo(&["tree", "--workspace", "--offline", "-i", "rsa"]);
    assert!(
        !found,
        "the rsa crate has an open timing advisory and is resolved by:\n{text}"
    );
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the workspace lists") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found
}

/// A file is one room: past this one splits it.
const FILE_LINES_MAX: usize = 500;

/// What users begin with runs in a test, or it is no help.
#[test]
fn every_ready_configuration_is_run() {
    let tests = root().join("tests");
    let tests: Vec<String> = rust_files(&tests)
        .into_iter()
        .map(|file| std::fs::read_to_string(file).expect("readable"))
        .collect();
    let mut found = 0;
    for adapter in std::fs::read_dir(root().join("adapters")).expect("adapters") {
        let folder = adapter.expect("an entry").path().join("examples");
        for example in std::fs::read_dir(folder).into_iter().flatten() {
            let path = example.expect("an entry").path();
            let path = path.strip_prefix(root()).expect("below it");
            let included = format!("/{}\")", path.display());
            assert!(
                tests.iter().any(|text| text.contains(&included)),
                "no test includes {}",
                path.display()
            );
            found += 1;
        }
    }
    assert!(found >= 7, "{found}");
}

#[test]
fn no_file_outgrows_one_reading() {
    let long: Vec<String> = rust_files(&root())
        .into_iter()
        .filter_map(|file| {
            let lines = std::fs::read_to_string(&file)
                .expect("a source file reads")
                .lines()
                .count();
            (lines > FILE_LINES_MAX).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert!(
        long.is_empty(),
        "files of more than {FILE_LINES_MAX} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn nothing_is_switched_off_without_a_reason() {
    for file in rust_files(&root()) {
        let text = std::fs::read_to_string(&file).expect("a source file reads");
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let switches = line.starts_with("#[ignore")
                || line.starts_with("#[allow(")
                || line.starts_with("#![allow(");
            let reasoned = text
                .lines()
                .skip(index)
                .take(6)
                .any(|l| l.contains("reason ="));
            assert!(
                !switches || reasoned,
                "{}:{} has `{line}` without a reason",
                file.display(),
                index + 1
            );
        }
    }
}

//! Policies written by hand, as `scopegate policy new` begins them: in Rust, JavaScript and C. Each is built as its README.md
//! says, and then the product's whole corpus is put to it, case by case, as to every other implementation.
//!
//! What is downloaded and built for them stays in `target/guests`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use scopegate_host::{
    engine::{Limits, Sandbox, SandboxConfig},
    trial::{self, Subject, Ways},
};

use crate::{cli::binary::scopegate, corpus};

/// Of the product whose policy they are.
const PRODUCT: &str = "kubeadapt";
/// What Debian calls what the policy in C is built with.
const CLANG: &str = "clang lld wasi-libc libclang-rt-14-dev-wasm32 make";

#[tokio::test]
async fn a_policy_in_rust_passes_the_corpus() {
    let project = begun("rust");
    // Of all projects in one place, so that only the first one builds what they depend on.
    let target = place().join("rust-target");
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).env("CARGO_TARGET_DIR", &target);
        run(cargo.current_dir(&project), "cargo, from https://rustup.rs");
    };
    cargo(&["test", "--quiet"]);
    let wasm = "wasm32-unknown-unknown";
    cargo(&["build", "--quiet", "--release", "--target", wasm]);
    let core = target.join(wasm).join("release/policy.wasm");
    let out = project.join("policy.wasm");
    build(&core, &out);
    passes(&out, Limits::default()).await;
}

#[tokio::test]
async fn a_policy_in_c_passes_the_corpus() {
    let project = begun("c");
    let binaries = scopegate().parent().expect("a directory").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = [binaries].into_iter().chain(env::split_paths(&path));
    let path = env::join_paths(path).expect("a path");
    let needed = format!("`apt-get install {CLANG}`");
    run(
        Command::new("make").current_dir(&project).env("PATH", path),
        &needed,
    );
    passes(&project.join("policy.wasm"), Limits::default()).await;
}

#[tokio::test]
async fn a_policy_in_javascript_passes_the_corpus() {
    let project = begun("javascript");
    let modules = installed(&project);
    std::os::unix::fs::symlink(&modules, project.join("node_modules")).expect("a link");
    let npm = |script: &str| {
        let mut npm = Command::new("npm");
        npm.args(["run", "--silent", script]);
        run(npm.current_dir(&project), "`apt-get install nodejs npm`");
    };
    npm("test");
    npm("build");
    let component = project.join("policy.wasm");
    let refused = load(&component, Limits::default()).err();
    let refused = refused.expect("it brings an engine");
    assert!(refused.contains("more than"), "{refused}");
    passes(&component, Limits::large()).await;
}

/// The same files again, and one of them is not written over.
#[test]
fn a_project_is_made_once() {
    let project = begun("c");
    let new = |from: &str| {
        let mut new = Command::new(scopegate());
        new.args(["policy", "new", "--language", "c", "--from", from]);
        new.arg(&project).output().expect("it runs")
    };
    let again = new(PRODUCT);
    assert_eq!(again.status.code(), Some(1));
    let error = String::from_utf8_lossy(&again.stderr);
    assert!(error.contains("is not empty"), "{error}");
    let unknown = new("kubeadpat");
    let error = String::from_utf8_lossy(&unknown.stderr);
    assert!(error.contains("one of `scopegate`, `k8cost`"), "{error}");
}

#[test]
fn only_a_policys_module_becomes_a_policy() {
    let place = tempfile::tempdir().expect("a directory");
    let core = place.path().join("core.wasm");
    fs::write(&core, wat::parse_str("(module)").expect("a module")).expect("written");
    let out = place.path().join("policy.wasm");
    let build = Command::new(scopegate())
        .args(["policy", "build"])
        .arg(&core)
        .arg("-o")
        .arg(&out)
        .output();
    let built = build.expect("it runs");
    assert_eq!(built.status.code(), Some(1));
    let error = String::from_utf8_lossy(&built.stderr);
    assert!(
        error.contains("exports neither `scopegate:policy/rules@1.1.0`"),
        "{error}"
    );
    assert!(!out.exists());
}

/// A project of the product's policy in this language, in a new place.
fn begun(language: &str) -> PathBuf {
    fs::create_dir_all(place()).expect("a directory");
    let directory = tempfile::Builder::new()
        .prefix(language)
        .tempdir_in(place())
        .expect("a directory")
        .keep();
    let new = Command::new(scopegate())
        .args(["policy", "new", "--language", language, "--from", PRODUCT])
        .arg(&directory)
        .output();
    let new = new.expect("it runs");
    let error = String::from_utf8_lossy(&new.stderr);
    assert!(new.status.success(), "{error}");
    directory
}

fn place() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(3).expect("target/<profile>/deps");
    target.join("guests")
}

/// `node_modules` of the project, installed where a later run finds them.
fn installed(project: &Path) -> PathBuf {
    let package = fs::read_to_string(project.join("package.json")).expect("a package");
    let place = place().join("npm");
    let stamp = place.join("installed.json");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&package) {
        fs::create_dir_all(&place).expect("a directory");
        fs::write(place.join("package.json"), &package).expect("written");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund"]);
        run(
            npm.current_dir(&place),
            "`apt-get install nodejs npm`, and the npm registry",
        );
        fs::write(&stamp, &package).expect("written");
    }
    place.join("node_modules")
}

fn run(command: &mut Command, needed: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; it needs {needed}"));
    assert!(
        output.status.success(),
        "{command:?} failed; it needs {needed}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn build(core: &Path, out: &Path) {
    let mut build = Command::new(scopegate());
    build.args(["policy", "build"]).arg(core).arg("-o").arg(out);
    run(&mut build, "a core module");
}

fn load(component: &Path, limits: Limits) -> Result<(Sandbox, Subject), String> {
    let config = SandboxConfig {
        limits,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::new(config).map_err(|error| error.to_string())?;
    let bytes = fs::read(component).map_err(|error| error.to_string())?;
    let name = component.display().to_string();
    let subject = Subject::component(&name, &bytes, &sandbox);
    let subject = subject.map_err(|error| error.to_string())?;
    Ok((sandbox, subject))
}

async fn passes(component: &Path, limits: Limits) {
    let (sandbox, subject) = load(component, limits).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        subject.tables().is_none(),
        "it was not built from a document"
    );
    let files = corpus::files().into_iter();
    let mut of_product: Vec<_> = files
        .filter(|file| file.subject.name() == PRODUCT)
        .collect();
    let subject = Arc::new(subject);
    let (mut cases, mut differences) = (0, Vec::new());
    for file in &mut of_product {
        file.subject = Arc::clone(&subject);
        let all = trial::run(file, Ways::Compiled(&sandbox)).await;
        for ran in all.expect("it is loaded") {
            let got = ran.answer().map(|answer| &answer.outcome);
            if got != Some(&ran.case.expected) {
                differences.push(format!("{}: {got:?}", ran.case));
            }
            cases += 1;
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(cases >= 60, "{cases} cases");
    let project = component.parent().expect("a directory");
    fs::remove_dir_all(project).expect("removed");
}

//! Policies are compiled by a process of their own, and their code is kept: what a server does with the executable, and what
//! it costs.

use std::{fs, path::Path, process::Command, time::Instant};

use scopegate_host::{
    engine::{
        BadPolicy, ChildProgram, CodeCache, Compiler, Limits, Sandbox, SandboxConfig,
        build_document,
    },
    keyring::KeyRing,
};
use scopegate_policy::documents;

use super::{
    binary::{run, run_with, scopegate, text},
    own_gate::{gate, serve, status},
};

fn child() -> Compiler {
    Compiler::Child(ChildProgram {
        path: scopegate(),
        arguments: vec!["compile-policy".into()],
    })
}

fn sandbox(limits: Limits, compiler: Compiler) -> Sandbox {
    let config = SandboxConfig {
        limits,
        compiler,
        ..SandboxConfig::default()
    };
    Sandbox::new(config).expect("a sandbox")
}

/// A component of one function that takes a compiler minutes: thousands of values, each alive to the end.
fn costly() -> Vec<u8> {
    const VALUES: usize = 40_000;
    let locals = "(local i64)".repeat(VALUES);
    let sets: String = (0..VALUES)
        .map(|value| {
            format!(
                "(local.set {value} (i64.load offset={} (i32.const 0)))",
                value % 4096
            )
        })
        .collect();
    let uses: String = (0..VALUES)
        .map(|value| format!("(i64.store (i32.const 8) (local.get {value}))(br_if 0 (i64.eqz (local.get {value})))"))
        .collect();
    let text = format!(
        "(component (core module (memory 1) (func (export \"f\") {locals} (loop {sets} {uses}))))"
    );
    wat::parse_str(text).expect("a component")
}

#[test]
fn a_child_compiles_what_is_good_and_is_killed_over_what_is_not() {
    let limits = Limits::default();
    let (apart, here) = (
        sandbox(limits.clone(), child()),
        sandbox(limits, Compiler::InProcess),
    );
    for name in ["scopegate", "kubeadapt"] {
        let document = documents::builtin(name).expect("it is built in");
        let component = build_document(name, document).expect("a policy");
        let policy = apart.load(&component).expect("it is good");
        assert_eq!(policy.description().name, name);
        assert_eq!(policy.probe(), Ok(()));
        assert!(policy.is_from_document());
        // Whatever is wrong with one, it is the same for both.
        for end in [0, 8, component.len() / 2] {
            let (apart, here) = (apart.load(&component[..end]), here.load(&component[..end]));
            let error = apart.expect_err("it is cut");
            assert_eq!(Some(error), here.err(), "cut at {end}");
        }
    }
    let hurried = Limits {
        compile_secs: 1,
        ..Limits::default()
    };
    let started = Instant::now();
    let refused = sandbox(hurried, child()).load(&costly());
    assert_eq!(
        refused.expect_err("it takes long"),
        BadPolicy::Costly("compiling it takes longer than 1 s".to_owned())
    );
    assert!(started.elapsed().as_secs() < 30);
    let narrow = Limits {
        compile_bytes_max: 192 << 20,
        ..Limits::default()
    };
    let refused = sandbox(narrow, child()).load(&costly());
    let refused = refused.expect_err("it takes much");
    assert!(
        matches!(&refused, BadPolicy::Costly(why) if why.contains("192 MiB")),
        "{refused}"
    );
}

#[test]
fn the_command_is_for_the_server_alone() {
    let place = tempfile::tempdir().expect("a directory");
    let help = run(place.path(), &["--help"]);
    assert!(!text(&help.stdout).contains("compile-policy"));
    for arguments in [&["compile-policy"][..], &["compile-policy", "10", "x", "1"]] {
        assert_eq!(run(place.path(), arguments).status.code(), Some(2));
    }
    let bounds = ["compile-policy", "10", "2147483648", "1000"];
    let refused = run_with(place.path(), &[], "no component", &bounds);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stdout).contains("failed to parse"),
        "{}",
        text(&refused.stdout)
    );
}

#[test]
fn a_server_keeps_the_code_of_its_policies_beside_its_store() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let start = || {
        let (server, url) = serve(directory);
        assert_eq!(status(&format!("{url}/v1/health"), ""), "502");
        drop(server);
    };
    start();
    let kept = directory.join("scopegate.db.compiled");
    let file = only(&kept);
    let written = modified(&file);
    let whole = fs::read(&file).expect("readable");
    // A changed file is written anew, and is no reason not to start.
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&file, &changed).expect("writable");
    start();
    assert_eq!(only(&kept), file);
    assert_ne!(fs::read(&file).expect("readable"), changed);
    assert!(modified(&file) >= written);
    // What others may write is not used, and not needed.
    let open = Command::new("chmod").arg("777").arg(&kept).status();
    assert!(open.expect("it runs").success());
    fs::remove_file(&file).expect("removed");
    start();
    assert!(fs::read_dir(&kept).expect("a directory").next().is_none());
}

fn only(directory: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(directory).expect("a directory");
    let file = files.next().expect("a file").expect("readable").path();
    assert!(files.next().is_none(), "there is one");
    file
}

fn modified(path: &Path) -> std::time::SystemTime {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.modified().expect("it has a time")
}

/// What a start costs with and without. `SCOPEGATE_GUEST` names a component to measure besides, such as one in JavaScript.
#[test]
fn code_that_is_kept_is_loaded_in_a_fraction_of_the_time() {
    let place = tempfile::tempdir().expect("a directory");
    let keys = KeyRing::ephemeral().expect("keys");
    let with = |compiler: Compiler, kept: bool| {
        let cache = || CodeCache::open(place.path().join("compiled"), keys.sealing(), 9);
        let config = SandboxConfig {
            // This is no optimised compiler.
            limits: Limits {
                compile_secs: 300,
                ..Limits::large()
            },
            compiler,
            cache: kept.then(|| cache().expect("a cache")),
            ..SandboxConfig::default()
        };
        Sandbox::new(config).expect("a sandbox")
    };
    let document = documents::builtin("scopegate").expect("it is built in");
    let mut components = vec![build_document("scopegate", document).expect("a policy")];
    components.extend(
        std::env::var_os("SCOPEGATE_GUEST").map(|path| fs::read(path).expect("a component")),
    );
    for component in components {
        let took = |sandbox: Sandbox| {
            let started = Instant::now();
            sandbox.load(&component).expect("it is good");
            started.elapsed()
        };
        let here = took(with(Compiler::InProcess, false));
        let apart = took(with(child(), true));
        let kept = took(with(child(), true));
        println!(
            "{} KiB: compiled here {here:?}, by a child {apart:?}, kept {kept:?}",
            component.len() >> 10
        );
        assert!(kept < apart, "{kept:?} against {apart:?}");
    }
}

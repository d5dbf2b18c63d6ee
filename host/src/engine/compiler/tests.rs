//! What becomes of a process that compiles and does not do as it should: stand-ins for one that a component has got hold of.

use std::time::Instant;

use super::*;

fn shell(script: &str) -> ChildProgram {
    ChildProgram {
        path: "/bin/sh".into(),
        arguments: ["-c", script].map(OsString::from).to_vec(),
    }
}

fn limits() -> Limits {
    Limits {
        code_bytes_max: 1000,
        compile_secs: 1,
        ..Limits::default()
    }
}

fn failed(script: &str) -> BadPolicy {
    parent::compile(&shell(script), &limits(), &[7; 100_000]).expect_err("it is refused")
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("late");
    let late = format!("(sleep 6; echo late > {}) & wait", file.display());
    for script in ["exec >&-; sleep 60", late.as_str(), "kill -XCPU $$"] {
        let started = Instant::now();
        assert_eq!(
            failed(script),
            BadPolicy::Costly("compiling it takes longer than 1 s".to_owned())
        );
        assert!(started.elapsed().as_secs() < 30, "{script}");
    }
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!file.exists(), "its group was killed too");
}

#[test]
fn what_gives_too_much_or_nothing_is_refused() {
    let too_much = failed("while :; do echo 0123456789; done");
    assert!(
        matches!(&too_much, BadPolicy::Costly(why) if why.contains("more than 1000 bytes")),
        "{too_much}"
    );
    for script in [
        "kill -ABRT $$",
        "exit 3",
        "exit 101",
        "cat > /dev/null; kill -SEGV $$",
    ] {
        let why = failed(script);
        assert!(
            matches!(&why, BadPolicy::Costly(why) if why.contains("MiB")),
            "{script}: {why}"
        );
    }
    let why = failed("printf 'it is\\377 none'; exit 1");
    assert_eq!(why, BadPolicy::Invalid("it is\u{fffd} none".to_owned()));
    let nowhere = ChildProgram {
        path: "/nowhere/scopegate".into(),
        arguments: Vec::new(),
    };
    let why = parent::compile(&nowhere, &limits(), b"");
    assert!(matches!(why, Err(BadPolicy::Compiler(_))), "{why:?}");
}

#[test]
fn it_gets_the_component_three_numbers_and_nothing_else() {
    let limits = Limits {
        code_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let run = |script: &str, component: &[u8]| {
        let said = parent::compile(&shell(script), &limits, component).expect("it is run");
        String::from_utf8(said).expect("text")
    };
    // Something to inherit.
    let open = tempfile::NamedTempFile::new().unwrap();
    let script = "echo $0 $1 $2 $#; pwd; wc -c; ls -l /proc/self/fd; env";
    let said = run(script, &[7; 200_000]);
    let mut lines = said.lines();
    let bounds = format!(
        "10 {} {} 2",
        limits.compile_bytes_max, limits.component_bytes_max
    );
    for expected in [bounds.as_str(), "/", "200000"] {
        assert_eq!(lines.next().map(str::trim), Some(expected), "{said}");
    }
    let path = open.path().to_str().unwrap();
    assert!(said.contains("/dev/null") && !said.contains(path), "{said}");
    let variables = lines.filter(|line| line.contains('=') && !line.contains(" -> "));
    // A shell makes one or two of its own.
    let variables = variables.filter(|line| !line.starts_with("PWD=") && !line.starts_with("_="));
    let variables: Vec<&str> = variables.collect();
    let [threads] = variables.as_slice() else {
        panic!("{said}");
    };
    assert!(threads.starts_with("RAYON_NUM_THREADS="), "{said}");
}

#[test]
fn both_processes_make_code_for_the_same_engine() {
    for limits in [Limits::default(), Limits::large()] {
        let ours = limits.engine().unwrap();
        let theirs = Limits::compiling_engine().unwrap();
        let entry = |engine| Entry::new([0; 32], engine, &limits);
        assert_eq!(entry(&ours), entry(&theirs));
        let component = theirs.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
        assert!(Code::of_compiler(component).load(&ours).is_ok());
    }
}

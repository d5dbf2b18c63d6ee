//! `scopegate policy test`, as people, continuous integration and editors use it.

use std::{fs, path::Path};

use scopegate_host::contract::BUILTIN_NAMES;
use serde_json::Value;

use super::binary::{Running, run, run_ok, text};

const POLICY: &str = "\
policy: acme
permissions: { things:read: , things:write: }
roles: { admin: ['*'], viewer: [things:read] }
routes:
  - { match: GET /v1/things, requires: things:read, cluster: none }
  - { match: POST /v1/things, requires: things:write, cluster: none }
";

const TESTS: &str = "\
document: ../policy.yaml
callers:
  admin: { session: { role: admin } }
  viewer: { session: { role: viewer } }
cases:
  - { name: reading, caller: [admin, viewer], request: GET /v1/things, expect: all }
  - { name: writing, caller: admin, request: POST /v1/things, expect: all }
  - { name: no writing, caller: viewer, request: POST /v1/things, expect: missing-permission, about: 'things:write' }
  - { name: strangers, caller: anonymous, request: [GET /v1/things, POST /v1/things], expect: not-authenticated }
";

/// A policy, and in a directory below it a test file that passes.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "policy.yaml", POLICY);
    fs::create_dir(directory.path().join("tests")).expect("a directory");
    write(directory.path(), "tests/things.test.yaml", TESTS);
    directory
}

fn write(directory: &Path, name: &str, content: &str) {
    fs::write(directory.join(name), content).expect("writable");
}

/// Without it viewers could write.
fn widen(directory: &Path) {
    let wider = POLICY.replace("viewer: [things:read]", "viewer: ['things:*']");
    write(directory, "policy.yaml", &wider);
}

/// Exit code, standard output, standard error.
fn test(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(directory, &[&["policy", "test"], arguments].concat());
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), printed, said)
}

#[test]
fn what_init_writes_passes_for_every_contract() {
    for contract in BUILTIN_NAMES {
        let directory = tempfile::tempdir().expect("a directory");
        run_ok(directory.path(), &["init", "--contract", contract]);
        let (code, printed, said) = test(directory.path(), &[]);
        assert_eq!(code, Some(0), "{contract}: {printed}{said}");
        assert!(printed.contains("natively and compiled"), "{printed}");
        assert!(printed.contains("ok      policy.test.yaml: "), "{printed}");
    }
}

#[test]
fn a_case_that_fails_shows_its_place_and_what_differs() {
    let directory = directory();
    let (code, printed, _) = test(directory.path(), &[]);
    assert_eq!(code, Some(0), "{printed}");
    widen(directory.path());
    let (code, printed, said) = test(directory.path(), &[]);
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "error: 1 of 6 cases failed\n")
    );
    let shown = "\
FAILED tests/things.test.yaml:8 no writing
  `viewer` asks for `POST /v1/things`
  outcome   expected  refused
            got       allowed
  reason    expected  missing-permission
            got       -
  about     expected  things:write
            got       -
  clusters  expected  -
            got       none
  by        route `POST /v1/things`, granted by the role `viewer`

FAILED  tests/things.test.yaml: 1 of 6 cases, `policy.yaml`

6 cases in 1 file: 5 passed, 1 failed; natively and compiled in ";
    assert!(printed.starts_with(shown), "{printed}");
}

#[test]
fn results_for_programs() {
    let directory = directory();
    widen(directory.path());
    for arguments in [["--format", "json"], ["--output", "json"]] {
        let (code, printed, _) = test(directory.path(), &arguments);
        assert_eq!(code, Some(1));
        let shown: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!((&shown["passed"], &shown["failed"]), (&5.into(), &1.into()));
        let case = &shown["cases"][3];
        assert_eq!(case["verdict"], "differs");
        assert_eq!(case["line"], 8);
        assert_eq!(case["expected"]["reason"], "missing-permission");
        assert_eq!(case["native"], case["compiled"]);
        assert_eq!(case["compiled"]["outcome"], "allow");
        assert_eq!(case["compiled"]["rule"]["grant"]["role"], "viewer");
        assert_eq!(case["compiled"]["rule"]["route"], "POST /v1/things");
    }
    let (_, junit, _) = test(directory.path(), &["--format", "junit"]);
    for part in [
        r#"<testsuite name="tests/things.test.yaml" tests="6" skipped="0" errors="0" failures="1">"#,
        r#"name="reading: admin asks for GET /v1/things""#,
        r#"line="8""#,
        "reason: expected missing-permission, got -",
    ] {
        assert!(junit.contains(part), "{part}:\n{junit}");
    }
    let (_, tap, _) = test(directory.path(), &["--format", "tap"]);
    let lines: Vec<&str> = tap.lines().collect();
    assert_eq!(lines[..2], ["TAP version 14", "1..6"]);
    let failed = "not ok 4 - tests/things.test.yaml:8 no writing: viewer asks for POST /v1/things";
    assert_eq!(lines[5..7], [failed, "  ---"]);
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("ok ")).count(),
        5
    );
}

#[test]
fn a_file_with_mistakes_fails_and_the_others_are_run() {
    let directory = directory();
    let broken = TESTS.replace("caller: admin", "caller: amdin");
    write(
        directory.path(),
        "broken.test.yaml",
        &broken.replace("../", "./"),
    );
    let (code, printed, said) = test(directory.path(), &["--native"]);
    assert_eq!(code, Some(1));
    assert_eq!(said, "error: 1 test file cannot be read\n");
    for part in [
        "broken.test.yaml:7:30",
        "did you mean `admin`?",
        "ok      tests/things.test.yaml: 6 cases",
        "1 file cannot be read; natively",
    ] {
        assert!(printed.contains(part), "{part}:\n{printed}");
    }
    let (_, junit, _) = test(directory.path(), &["--native", "--format", "junit"]);
    assert!(junit.contains("<error message="), "{junit}");
    let (_, tap, _) = test(directory.path(), &["--native", "--format", "tap"]);
    assert!(
        tap.contains("not ok 1 - broken.test.yaml can be read"),
        "{tap}"
    );
}

#[test]
fn nothing_to_run_is_a_failure() {
    let directory = directory();
    let empty = tempfile::tempdir().expect("a directory");
    for (place, arguments, says) in [
        (empty.path(), &[][..], "there is no test file in `.`"),
        (
            directory.path(),
            &["nowhere.test.yaml"],
            "`nowhere.test.yaml` cannot be read",
        ),
        (
            directory.path(),
            &["--filter", "nobody"],
            "no case has `nobody` in it",
        ),
        (
            directory.path(),
            &["--policy", "nowhere.yaml"],
            "`nowhere.yaml` cannot be read",
        ),
    ] {
        let (code, printed, said) = test(place, arguments);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.contains(says), "{said}");
    }
    for arguments in [
        &["--native", "--compiled"][..],
        &["--coverage-min", "101"],
        &["--format", "xml"],
    ] {
        assert_eq!(
            test(directory.path(), arguments).0,
            Some(2),
            "{arguments:?}"
        );
    }
}

#[test]
fn minimums_of_what_is_tried() {
    let directory = directory();
    let all = ["--native", "--coverage-min", "80", "--mutation-min", "75"];
    let (code, printed, _) = test(directory.path(), &all);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("nothing is refused with `no-route`"),
        "{printed}"
    );
    let most = ["--native", "--coverage-min", "100", "--mutation-min", "100"];
    let (code, printed, said) = test(directory.path(), &most);
    assert_eq!(code, Some(1));
    assert!(said.contains("`policy.yaml`: coverage is "), "{said}");
    assert!(
        said.contains(" of the changes are noticed, below 100 %"),
        "{said}"
    );
    assert!(
        printed.contains("no case notices that API keys may only read"),
        "{printed}"
    );
    let filtered = ["--native", "--coverage-min", "80", "--filter", "no writing"];
    assert_eq!(test(directory.path(), &filtered).0, Some(1));
    let (_, printed, _) = test(
        directory.path(),
        &[&most[..], &["--output", "json"]].concat(),
    );
    let shown: Value = serde_json::from_str(&printed).expect("JSON");
    let policy = &shown["policies"][0];
    assert_eq!(policy["coverage"]["routes"]["percent"], 100.0);
    assert_eq!(policy["missed"].as_array().expect("a list").len(), 2);
    assert!(
        policy["mutation"]["survivors"]
            .as_array()
            .is_some_and(|survivors| !survivors.is_empty())
    );
}

#[test]
fn a_component_instead_of_the_document() {
    let directory = directory();
    widen(directory.path());
    run_ok(
        directory.path(),
        &["policy", "build", "policy.yaml", "-o", "wider.wasm"],
    );
    write(directory.path(), "policy.yaml", POLICY);
    let (code, printed, _) = test(directory.path(), &["tests", "--compiled"]);
    assert_eq!(code, Some(0), "{printed}");
    let (code, printed, _) = test(directory.path(), &["tests", "--policy", "wider.wasm"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("1 of 6 cases, `wider.wasm`"), "{printed}");
    write(directory.path(), "no.wasm", "\0asm and no more");
    let (code, _, said) = test(directory.path(), &["--policy", "no.wasm"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("`no.wasm`: this is not a component"),
        "{said}"
    );
    write(
        directory.path(),
        "broken.yaml",
        &POLICY.replace("roles", "rolls"),
    );
    let (code, _, said) = test(directory.path(), &["--policy", "broken.yaml"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("broken.yaml:3:1") && said.contains("did you mean `roles`?"),
        "{said}"
    );
}

#[test]
fn cases_that_ask_the_same_are_each_kept() {
    let directory = directory();
    let again = "  - { name: once more, caller: viewer, request: GET /v1/things, expect: all }\n";
    write(
        directory.path(),
        "tests/things.test.yaml",
        &format!("{TESTS}{again}"),
    );
    let (code, printed, _) = test(directory.path(), &["--native", "--format", "tap"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("\n1..7\n") && printed.contains(":10 once more"),
        "{printed}"
    );
}

#[test]
fn one_touch_is_one_more_run() {
    use std::time::{Duration, SystemTime};
    let directory = directory();
    let mut watching =
        Running::start_merged(directory.path(), &["policy", "test", "--native", "--watch"]);
    watching.lines_until("watching for changes");
    let file = directory.path().join("tests/things.test.yaml");
    let touched = fs::File::options().append(true).open(file);
    touched
        .and_then(|file| file.set_modified(SystemTime::now()))
        .expect("touched");
    watching.lines_until("watching for changes");
    // Long enough for what a run reads to be told of.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(watching.interrupt(), "");
}

#[test]
fn watching_runs_again_after_each_change_until_it_is_interrupted() {
    let directory = directory();
    let mut watching =
        Running::start_merged(directory.path(), &["policy", "test", "--native", "--watch"]);
    let first = watching.lines_until("watching for changes");
    assert!(first.contains("6 passed, 0 failed"), "{first}");
    widen(directory.path());
    let second = watching.lines_until("watching for changes");
    assert!(second.contains("5 passed, 1 failed"), "{second}");
    // Half a file is shown as such, and watched on.
    write(directory.path(), "tests/things.test.yaml", "document: [");
    let third = watching.lines_until("watching for changes");
    assert!(third.contains("this is not YAML"), "{third}");
    write(directory.path(), "tests/things.test.yaml", TESTS);
    write(directory.path(), "policy.yaml", POLICY);
    let mut last = watching.lines_until("watching for changes");
    if !last.contains("6 passed") {
        // Between the two writes.
        last = watching.lines_until("watching for changes");
    }
    assert!(last.contains("6 passed, 0 failed"), "{last}");
    watching.interrupt();
}

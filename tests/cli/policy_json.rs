//! What `scopegate policy` prints for programs: one JSON value, with the fields that docs/policy-tools.md lists.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::binary::{repository, run, text};

const POLICY: &str = "\
policy: acme
permissions: { things:read: , things:write: }
roles: { admin: ['*'], viewer: { permissions: [things:read], when: 'caller.mfa' } }
routes:
  - { match: GET /v1/things, requires: things:read, cluster: none }
  - { match: POST /v1/things, requires: things:write, cluster: none }
";

const TESTS: &str = "\
document: ./policy.yaml
callers: { admin: { session: { role: admin } } }
cases: [{ name: reading, caller: admin, request: GET /v1/things, expect: all }]
";

/// Each command in the order in which they can be run, and its name in the documentation.
const COMMANDS: [(&str, &[&str]); 14] = [
    ("check", &["check", "policy.yaml"]),
    ("lint", &["lint", "policy.yaml"]),
    ("fmt", &["fmt", "--check", "formatted.yaml"]),
    (
        "build",
        &[
            "build",
            "policy.yaml",
            "-o",
            "policy.wasm",
            "--tests",
            "policy.test.yaml",
        ],
    ),
    ("test", &["test", "--coverage", "--mutate", "--native"]),
    (
        "explain",
        &[
            "explain",
            "policy.yaml",
            "--request",
            "GET /v1/things",
            "--role",
            "viewer",
        ],
    ),
    ("diff", &["diff", "policy.yaml", "policy.wasm"]),
    ("inspect", &["inspect", "policy.wasm"]),
    ("bench", &["bench", "policy.yaml", "--seconds", "1"]),
    ("new", &["new", "code", "--language", "rust"]),
    ("key new", &["key", "new", "key.pem"]),
    ("key public", &["key", "public", "key.pem"]),
    ("sign", &["sign", "policy.wasm", "--key", "key.pem"]),
    ("verify", &["verify", "policy.wasm", "--trust", "key.pub"]),
];

#[test]
fn every_command_prints_one_value_with_the_documented_fields() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    for (name, content) in [
        ("policy.yaml", POLICY),
        ("formatted.yaml", POLICY),
        ("policy.test.yaml", TESTS),
    ] {
        fs::write(path.join(name), content).expect("writable");
    }
    run(path, &["policy", "fmt", "formatted.yaml"]);
    let documented = documented();
    for (name, arguments) in COMMANDS {
        if name == "verify" {
            let public = run(path, &["policy", "key", "public", "key.pem"]);
            fs::write(path.join("key.pub"), public.stdout).expect("writable");
        }
        let printed = json(path, arguments);
        let value = match &printed {
            Value::Array(all) => all.first().expect("one for each file"),
            value => value,
        };
        let fields: BTreeSet<String> = value.as_object().expect("a map").keys().cloned().collect();
        let listed = documented.iter().find(|(command, _)| command == name);
        let (_, listed) = listed.unwrap_or_else(|| panic!("`{name}` is not documented"));
        assert_eq!(
            *listed, fields,
            "`{name}`: what is listed, and what is there"
        );
    }
}

fn json(directory: &Path, arguments: &[&str]) -> Value {
    let arguments = [&["policy"], arguments, &["--output", "json"]].concat();
    let output = run(directory, &arguments);
    let printed = text(&output.stdout);
    serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {printed}{}", text(&output.stderr)))
}

/// The rows of the table: a command, and its fields.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let page = fs::read_to_string(repository().join("docs/policy-tools.md")).expect("a page");
    let (_, section) = page.split_once("## For programs").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let names = |cell: &str| {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let commands: Vec<String> = names(cells[1]);
        (
            commands[0].clone(),
            BTreeSet::from_iter::<Vec<String>>(names(cells[2])),
        )
    })
    .collect()
}

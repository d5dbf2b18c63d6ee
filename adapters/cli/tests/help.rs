//! What the command line says of itself. Being an integration test of this package, it also makes `cargo test` build
//! the executable, which the tests of the whole run.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot start its program has failed"
)]

use std::process::{Command, Output};

fn scopegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scopegate"))
        .args(arguments)
        .output()
        .expect("it starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn help_shows_examples_at_every_level() {
    let nouns: [&[&str]; 20] = [
        &[],
        &["demo"],
        &["serve"],
        &["init"],
        &["policy"],
        &["policy", "check"],
        &["policy", "build"],
        &["policy", "explain"],
        &["policy", "inspect"],
        &["policy", "lint"],
        &["policy", "fmt"],
        &["policy", "schema"],
        &["policy", "bench"],
        &["policy", "diff"],
        &["policy", "new"],
        &["policy", "test"],
        &["key"],
        &["agent"],
        &["user"],
        &["completions"],
    ];
    for noun in nouns {
        let output = scopegate(&[noun, &["--help"]].concat());
        assert!(output.status.success(), "{noun:?}");
        assert!(stdout(&output).contains("Examples:"), "{noun:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_was_meant() {
    let output = scopegate(&["polcy"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("policy"));
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let output = scopegate(&["completions", shell]);
        assert!(
            output.status.success() && stdout(&output).contains("scopegate"),
            "{shell}"
        );
    }
}

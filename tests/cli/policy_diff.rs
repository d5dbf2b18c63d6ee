//! `scopegate policy diff`: its page, exit codes, and what it cannot read.

use std::fs;

use serde_json::Value;

use super::{
    binary::{repository, run, run_ok, scopegate, shell, text},
    readme::{blocks, matches},
};

#[test]
fn the_page_shows_what_happens() {
    const END: &str = "---- end of a step";
    let directory = tempfile::tempdir().expect("a directory");
    let binary = scopegate();
    let path = binary.parent().expect("a directory").display();
    let mut script = format!("cd '{}'\nPATH='{path}':$PATH\n", directory.path().display());
    let page = blocks(&repository().join("docs/policy-diff.md"));
    let steps: Vec<_> = page
        .windows(2)
        .filter(|pair| pair[0].info == "sh" && pair[1].info == "text")
        .collect();
    assert!(steps.len() >= 2, "only {} steps", steps.len());
    for step in &steps {
        script.push_str(&format!("{}\necho '{END}'\n", step[0].text));
    }
    let printed = text(&shell(&script).stdout);
    for (step, printed) in steps.iter().zip(printed.split(END)) {
        assert!(
            matches(&step[1].text, printed),
            "{printed}\nand not\n{}",
            step[1].text
        );
    }

    // The same for programs: gains first, each with its lines.
    let arguments = [
        "policy",
        "diff",
        "old.yaml",
        "policy.yaml",
        "--output",
        "json",
    ];
    let shown = run_ok(directory.path(), &arguments);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let gain = &shown["differences"][0];
    assert_eq!(gain["effect"], "gains");
    assert_eq!(gain["new_route"], "DELETE /v1/clusters/{cluster}");
    assert_eq!(gain["examples"][0]["who"], "`viewer`");
    assert_eq!(
        gain["examples"][0]["before"]["deny"]["missing-permission"],
        "clusters:write"
    );
    assert_eq!(shown["left_out"], 0);
}

#[test]
fn differences_are_an_exit_code_only_where_that_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let document = repository().join("policy/documents/kubeadapt.yaml");
    let document = fs::read_to_string(document).expect("a document");
    let changed = document.replacen("public: true", "requires: clusters:read, cluster: none", 1);
    assert_ne!(changed, document);
    fs::write(directory.path().join("policy.yaml"), changed).expect("writable");
    fs::write(directory.path().join("broken.yaml"), "policy: [").expect("writable");
    for (arguments, code, said) in [
        (vec!["kubeadapt", "kubeadapt", "--exit-code"], 0, ""),
        (vec!["kubeadapt", "policy.yaml"], 0, ""),
        (
            vec!["kubeadapt", "policy.yaml", "--exit-code"],
            1,
            "error: the policies differ",
        ),
        (vec!["kubeadapt", "nothing.yaml"], 1, "built in are"),
        (vec!["kubeadapt", "broken.yaml"], 1, "broken.yaml:1:"),
        (vec!["kubeadapt"], 2, "NEW"),
    ] {
        let arguments: Vec<&str> = ["policy", "diff"].into_iter().chain(arguments).collect();
        let output = run(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
    let limited = run_ok(
        directory.path(),
        &["policy", "diff", "kubeadapt", "policy.yaml", "--limit", "1"],
    );
    assert!(limited.contains("more: `--limit` shows them"), "{limited}");
}

//! `scopegate policy push`, `shadow`, `rollback` and `versions`, on the machine and over the API.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::{
    binary::{run, run_ok, run_with, text},
    own_gate::{gate, json, serve, serve_managed, status},
};
use crate::shipping::candidates::{Bad, bad, fits};

#[test]
fn a_policy_is_pushed_and_taken_back_from_the_terminal() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let document = std::fs::read_to_string(directory.join("policy.yaml")).expect("readable");
    let next = format!("{document}  - {{ match: GET /v1/next, public: true }}\n");
    std::fs::write(directory.join("next.yaml"), next).expect("writable");

    let without = run(directory, &["policy", "push", "next.yaml"]);
    assert_eq!(without.status.code(), Some(1));
    let said = text(&without.stderr);
    assert!(
        said.contains("no server runs here") && said.contains("scopegate serve"),
        "{said}"
    );

    let (server, url) = serve(directory);
    let next = format!("{url}/v1/next");
    // Of nobody in particular, what there is no route for asks who they are.
    assert_eq!(status(&next, ""), "401");
    let pushed = json(directory, &["policy", "push", "next.yaml"]);
    assert_eq!(
        (&pushed["changed"], &pushed["source"]),
        (&true.into(), &"push".into())
    );
    // Let through, to an upstream that is not there.
    assert_eq!(status(&next, ""), "502");

    let listed = run_ok(directory, &["policy", "versions"]);
    assert!(
        listed.starts_with("ACTIVE  DIGEST") && listed.contains("\n*       sha256:"),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let back = run_ok(directory, &["policy", "rollback"]);
    assert!(back.contains("is active: sha256:"), "{back}");
    assert_eq!(status(&next, ""), "401");
    let digest = pushed["digest"].as_str().expect("a digest");
    let named = json(directory, &["policy", "rollback", &digest[..16]]);
    assert_eq!(named["digest"], pushed["digest"]);

    std::fs::write(directory.join("broken.wasm"), "no component").expect("writable");
    let broken = run(directory, &["policy", "push", "broken.wasm"]);
    let said = text(&broken.stderr);
    assert!(
        said.contains("the one before goes on") && said.contains("push the whole file"),
        "{said}"
    );
    let unknown = run(directory, &["policy", "rollback", "sha256:000000"]);
    let said = text(&unknown.stderr);
    assert!(said.contains("no policy `sha256:000000` is kept"), "{said}");
    let short = run(directory, &["policy", "rollback", &digest[7..11]]);
    let said = text(&short.stderr);
    assert!(
        said.contains("is too little of a digest") && said.contains("at least 6 of its digits"),
        "{said}"
    );
    assert_eq!(status(&next, ""), "502");
    drop(server);
}

#[test]
fn an_operator_pushes_over_the_api_and_an_administrator_does_not() {
    const PASSWORD: &str = "correct horse battery staple";
    let gate = gate("scopegate");
    let directory = gate.path();
    let password = [("SCOPEGATE_PASSWORD", PASSWORD)];
    for add in [
        &["operator", "add", "ops@example.com"][..],
        &["user", "add", "root@example.com", "--role", "admin"],
    ] {
        let added = run_with(directory, &password, "", add);
        assert!(added.status.success(), "{}", text(&added.stderr));
    }
    let document = std::fs::read_to_string(directory.join("policy.yaml")).expect("readable");
    let next = format!("{document}  - {{ match: GET /v1/next, public: true }}\n");
    std::fs::write(directory.join("next.yaml"), next).expect("writable");
    let (_server, url, management) = serve_managed(directory);
    let as_whom = |email: &str, arguments: &[&str]| {
        let url = ("SCOPEGATE_URL", management.as_str());
        let login = ["login", "--email", email, "--password-file", "-"];
        let token = run_with(directory, &[url], &format!("{PASSWORD}\n"), &login);
        let token = text(&token.stdout);
        run_with(
            directory,
            &[url, ("SCOPEGATE_TOKEN", token.trim())],
            "",
            arguments,
        )
    };
    let push = ["policy", "push", "next.yaml"];
    let refused = as_whom("root@example.com", &push);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(status(&format!("{url}/v1/next"), ""), "401");
    let pushed = as_whom("ops@example.com", &push);
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    assert_eq!(status(&format!("{url}/v1/next"), ""), "502");
    let listed = as_whom("ops@example.com", &["policy", "versions"]);
    assert_eq!(text(&listed.stdout).lines().count(), 3);
    let back = as_whom("ops@example.com", &["policy", "rollback"]);
    assert!(back.status.success(), "{}", text(&back.stderr));
    let shadow = ["policy", "push", "next.yaml", "--shadow"];
    assert!(!as_whom("root@example.com", &shadow).status.success());
    let pushed = as_whom("ops@example.com", &shadow);
    assert!(pushed.status.success(), "{}", text(&pushed.stderr));
    for (action, said) in [
        ("status", "is in the shadow: sha256:"),
        ("drop", "no policy is in the shadow any more"),
    ] {
        let done = as_whom("ops@example.com", &["policy", "shadow", action]);
        let printed = text(&done.stdout);
        assert!(printed.contains(said), "{printed}{}", text(&done.stderr));
    }
    let shadow = as_whom("ops@example.com", &shadow);
    assert!(shadow.status.success(), "{}", text(&shadow.stderr));
    assert_eq!(status(&format!("{url}/v1/next"), ""), "401");
    let promote = ["policy", "shadow", "promote", "sha256:000000"];
    let refused = as_whom("ops@example.com", &promote);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("not `sha256:000000`"), "{said}");
    let promoted = as_whom("ops@example.com", &promote[..3]);
    assert!(promoted.status.success(), "{}", text(&promoted.stderr));
    assert_eq!(status(&format!("{url}/v1/next"), ""), "502");
    let back = as_whom("ops@example.com", &["policy", "rollback"]);
    assert!(back.status.success(), "{}", text(&back.stderr));
    assert_eq!(status(&format!("{url}/v1/next"), ""), "401");
}

#[test]
fn a_policy_whose_own_tests_fail_is_not_built() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let tests = "document: policy.yaml\ncases:\n  - { name: open, caller: anonymous, request: GET /v1/clusters, expect: all }\n";
    std::fs::write(directory.join("next.test.yaml"), tests).expect("writable");
    let build = ["policy", "build", "policy.yaml", "-o", "next.wasm"];
    let with_tests = [&build[..], &["--tests", "next.test.yaml"]].concat();
    let refused = run(directory, &with_tests);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(
        said.contains("nothing is built: the tests that the policy carries fail: next.test.yaml:3")
            && said.contains("refused (not-authenticated) instead of allowed (none)")
            && said.contains("help: correct the policy or its tests"),
        "{said}"
    );
    assert!(!directory.join("next.wasm").exists());
    let tests = tests.replace("expect: all", "expect: not-authenticated");
    std::fs::write(directory.join("next.test.yaml"), tests).expect("writable");
    run_ok(directory, &with_tests);
    let (_server, _) = serve(directory);
    let pushed = json(directory, &["policy", "push", "next.wasm"]);
    assert_eq!(pushed["changed"], true);
}

/// The digest of the policy that decides a request for this path, as its record has it.
fn decides(directory: &Path, url: &str, path: &str) -> Value {
    assert_eq!(status(&format!("{url}{path}"), ""), "401");
    loop {
        let lines = std::fs::read_to_string(directory.join("audit.jsonl")).expect("lines");
        let record = lines.lines().find(|line| line.contains(path));
        if let Some(record) = record {
            let record: Value = serde_json::from_str(record).expect("JSON");
            return record["policy"].clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn bad_candidates_change_nothing_pushed_from_the_terminal_or_put_into_the_file() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let build = ["policy", "build", "policy.yaml", "-o", "policy.wasm"];
    run_ok(directory, &build);
    let path = directory.join("scopegate.yaml");
    let configuration = std::fs::read_to_string(&path).expect("written");
    let configuration = configuration.replace("policy: policy.yaml", "policy: policy.wasm");
    std::fs::write(&path, configuration).expect("writable");
    let (mut server, url) = serve(directory);
    let active = decides(directory, &url, "/v1/before");
    assert!(active.is_string(), "{active}");

    std::fs::write(
        directory.join("broken.yaml"),
        "policy: shipped\nroutes: here\n",
    )
    .expect("writable");
    let refused = run(directory, &["policy", "push", "broken.yaml"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("broken.yaml:2:9") && said.contains("`routes` must be a list"),
        "{said}"
    );
    for Bad {
        kind,
        bytes,
        said,
        help,
    } in bad()
    {
        let next = directory.join("next.wasm");
        std::fs::write(&next, bytes).expect("writable");
        let refused = run(directory, &["policy", "push", "next.wasm"]);
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{kind}: {told}");
        let expected = format!(
            "error: the policy is refused, and the one before goes on: {said}\nhelp: {help}\n"
        );
        assert!(fits(&expected, &told), "{kind}: {told}");
        if matches!(
            kind,
            "cut off" | "too large" | "an endless decide" | "failing tests"
        ) {
            std::fs::rename(&next, directory.join("policy.wasm")).expect("one step");
            let line = loop {
                let line = server.line();
                if line.contains("the policy's file has changed") {
                    break line;
                }
            };
            assert!(
                line.contains("ERROR") && line.contains(help) && fits(&format!("…{said}…"), &line),
                "{kind}: {line}"
            );
        }
    }
    assert_eq!(decides(directory, &url, "/v1/after"), active);
    let versions = json(directory, &["policy", "versions"]);
    assert_eq!(versions.as_array().map(Vec::len), Some(1), "{versions}");
    assert_eq!(versions[0]["digest"], active);
}

/// What is told of the shadow once this many requests were compared.
fn compared(directory: &Path, requests: u64) -> Value {
    for _ in 0..500 {
        let status = json(directory, &["policy", "shadow", "status"]);
        if status["asked"].as_u64().expect("a number") >= requests {
            return status;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{}", json(directory, &["policy", "shadow", "status"]));
}

#[test]
fn a_policy_is_tried_in_the_shadow_from_the_terminal() {
    let gate = gate("scopegate");
    let directory = gate.path();
    let document = std::fs::read_to_string(directory.join("policy.yaml")).expect("readable");
    let next = format!("{document}  - {{ match: GET /v1/next, public: true }}\n");
    std::fs::write(directory.join("next.yaml"), next).expect("writable");
    let (_server, url) = serve(directory);
    let next = format!("{url}/v1/next");

    let none = run(directory, &["policy", "shadow", "status"]);
    assert_eq!(none.status.code(), Some(1));
    let said = text(&none.stderr);
    assert!(
        said.contains("no policy is in the shadow") && said.contains("push FILE --shadow"),
        "{said}"
    );
    let pushed = run_ok(directory, &["policy", "push", "next.yaml", "--shadow"]);
    assert!(pushed.contains("is in the shadow: sha256:"), "{pushed}");
    assert!(pushed.contains("0 requests compared: 0 same"), "{pushed}");
    assert_eq!(status(&next, ""), "401");
    let told = compared(directory, 1);
    let difference = &told["differences"][0];
    assert_eq!(
        (
            &difference["kind"],
            &difference["route"],
            &difference["count"]
        ),
        (&"newly-allowed".into(), &"GET /v1/next".into(), &1.into())
    );
    let shown = run_ok(directory, &["policy", "shadow", "status"]);
    assert!(
        shown.contains("\n\nnewly-allowed on GET /v1/next: 1\n  ")
            && shown
                .contains("Z GET /v1/next by nobody: deny, not-authenticated -> allow, no cluster"),
        "{shown}"
    );
    let promoted = json(directory, &["policy", "shadow", "promote"]);
    assert_eq!(promoted["source"], "promote");
    assert_eq!(status(&next, ""), "502");

    run_ok(directory, &["policy", "push", "policy.yaml", "--shadow"]);
    let dropped = run_ok(directory, &["policy", "shadow", "drop"]);
    assert!(
        dropped.contains("no policy is in the shadow any more"),
        "{dropped}"
    );
    for action in ["promote", "drop"] {
        let none = run(directory, &["policy", "shadow", action]);
        assert_eq!(none.status.code(), Some(1), "{action}");
    }
}

//! The same commands over the management API, with a credential from the environment.

mod connection;
mod people;

use std::path::Path;

use serde_json::{Value, json};

use super::{
    binary::{Running, run_ok, run_with, text},
    own_gate::{gate, serve_managed},
};

const ADMIN: &str = "admin@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// A gate that runs, and the credential of whoever asks it things. Its commands start in a directory where no
/// configuration is.
struct Office {
    gate: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
    _server: Running,
    url: String,
    management: String,
}

/// What somebody's command came to.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Office {
    /// With an administrator, a viewer, and the clusters `prod` and `dev`.
    fn open(contract: &str) -> Self {
        let gate = gate(contract);
        for (email, role) in [
            ("root@example.com", "admin"),
            ("viewer@example.com", "viewer"),
        ] {
            let add = ["user", "add", email, "--role", role];
            let added = run_with(gate.path(), &[("SCOPEGATE_PASSWORD", PASSWORD)], "", &add);
            assert!(added.status.success(), "{}", text(&added.stderr));
        }
        run_ok(gate.path(), &["cluster", "add", "prod", "dev"]);
        let (server, url, management) = serve_managed(gate.path());
        Self {
            gate,
            elsewhere: tempfile::tempdir().expect("a directory"),
            _server: server,
            url,
            management,
        }
    }

    /// Runs a command with these variables, and the gate's URL among them.
    fn run(&self, variables: &[(&str, &str)], input: &str, arguments: &[&str]) -> Done {
        let own = [("SCOPEGATE_URL", self.management.as_str())];
        let variables = [&own[..], variables].concat();
        let output = run_with(self.elsewhere.path(), &variables, input, arguments);
        let done = Done {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        done
    }

    /// Signs somebody in and gives their token.
    fn token(&self, email: &str) -> String {
        let login = ["login", "--email", email, "--password-file", "-"];
        let done = self.run(&[], &format!("{PASSWORD}\n"), &login);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout.trim().to_owned()
    }

    /// Somebody's command.
    fn ask(&self, token: &str, arguments: &[&str]) -> Done {
        self.run(&[("SCOPEGATE_TOKEN", token)], "", arguments)
    }

    /// Somebody's command that must succeed, and what it printed in JSON.
    fn json(&self, token: &str, arguments: &[&str]) -> Value {
        let done = self.ask(token, &[arguments, &["--output", "json"]].concat());
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
        serde_json::from_str(&done.stdout).expect("JSON")
    }

    /// Somebody's command that must fail like this.
    fn fails(&self, token: &str, arguments: &[&str], code: i32, says: &str) {
        let done = self.ask(token, arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{arguments:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "nothing else is printed");
    }

    /// The same command on the gate's own machine.
    fn there(&self, arguments: &[&str]) -> Value {
        super::own_gate::json(self.gate.path(), arguments)
    }
}

fn status(url: &str, header: &str, secret: &Value) -> String {
    let secret = secret.as_str().expect("a secret");
    super::own_gate::status(url, &format!("-H '{header}{secret}'"))
}

#[test]
fn who_signs_in_is_known_until_they_sign_out() {
    let office = Office::open("scopegate");
    let token = office.token("viewer@example.com");
    let me = office.json(&token, &["whoami"]);
    assert_eq!(
        (&me["name"], &me["roles"]),
        (&json!("viewer@example.com"), &json!(["viewer"]))
    );
    let told = office.ask(&token, &["whoami"]).stdout;
    assert!(
        told.contains("viewer@example.com") && told.contains("clusters:read"),
        "{told}"
    );

    let variables = [("SCOPEGATE_PASSWORD", PASSWORD)];
    let login = ["login", "--email", "viewer@example.com", "--export"];
    let exported = office.run(&variables, "", &login);
    let second = exported
        .stdout
        .trim()
        .strip_prefix("export SCOPEGATE_TOKEN=");
    let second = second.expect("a line for a shell").to_owned();
    assert!(
        !exported.stderr.contains(&second),
        "standard error may be a log"
    );
    let own = office.json(&second, &["session", "list"]);
    let own = own.as_array().expect("a list");
    assert_eq!(own.len(), 2);
    assert_eq!(
        own.iter()
            .filter(|session| session["current"] == true)
            .count(),
        1
    );
    let other = own.iter().find(|session| session["current"] == false);
    let other = other.expect("the first")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    office.json(&second, &["session", "end", &other]);
    office.fails(&token, &["whoami"], 1, "look at SCOPEGATE_TOKEN");

    assert_eq!(office.ask(&second, &["logout"]).code, Some(0));
    office.fails(&second, &["whoami"], 1, "look at SCOPEGATE_TOKEN");
    // Nothing was kept.
    let kept = std::fs::read_dir(office.elsewhere.path())
        .expect("a directory")
        .count();
    assert_eq!(kept, 0);

    let wrong = office.run(
        &[],
        "wrong\n",
        &["login", "--email", ADMIN, "--password-file", "-"],
    );
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(1), ""));
    let unasked = office.run(&[], "", &["login", "--email", ADMIN]);
    assert_eq!(
        unasked.code,
        Some(2),
        "there is no terminal to ask on: {}",
        unasked.stderr
    );
}

#[test]
fn a_key_lives_its_whole_life_over_the_api() {
    let office = Office::open("scopegate");
    let (root, viewer) = (
        office.token("root@example.com"),
        office.token("viewer@example.com"),
    );
    let clusters = format!("{}/v1/clusters", office.url);
    let bearer = "Authorization: Bearer ";

    let mint = [
        "key",
        "mint",
        "--name",
        "ci",
        "--scope",
        "clusters:read",
        "--expires",
        "90d",
    ];
    let key = office.json(
        &viewer,
        &[&mint[..], &["--owner", "viewer@example.com"]].concat(),
    );
    assert_eq!(
        (&key["owner"], &key["state"]),
        (&json!("viewer@example.com"), &json!("active"))
    );
    assert_eq!(status(&clusters, bearer, &key["secret"]), "502", "admitted");
    let others = [&mint[..], &["--owner", ADMIN]].concat();
    office.fails(&viewer, &others, 2, "you are `viewer@example.com`");
    let wider = ["key", "mint", "--name", "x", "--scope", "clusters:write"];
    office.fails(&viewer, &wider, 1, "not hold");
    let misspelled = ["key", "mint", "--name", "x", "--scope", "clusters:raed"];
    office.fails(&viewer, &misspelled, 2, "did you mean `clusters:read`?");

    // By its name, as on the machine itself.
    let rotated = office.json(&viewer, &["key", "rotate", "ci", "--overlap", "1h"]);
    assert_eq!(rotated["predecessor"], key["id"]);
    // A key is a credential for this too, and rotates itself.
    let secret = rotated["secret"].as_str().expect("a secret").to_owned();
    let third = office.json(&secret, &["key", "rotate", "self", "--overlap", "0s"]);
    assert_eq!(status(&clusters, bearer, &rotated["secret"]), "401");
    assert_eq!(
        status(&clusters, bearer, &third["secret"]),
        "502",
        "admitted"
    );

    // What is listed is the same on the machine and over the API, for who may see everybody's.
    let listed = office.json(&root, &["key", "list"]);
    assert_eq!(unused(&listed), unused(&office.there(&["key", "list"])));
    assert_eq!(listed.as_array().expect("a list").len(), 3);
    let own = office.ask(&viewer, &["key", "list"]);
    assert!(
        own.stderr.contains("your own keys") && own.stdout.contains("ci"),
        "{}",
        own.stdout
    );

    let id = third["id"].as_str().expect("an id");
    let revoked = office.json(
        &root,
        &["key", "revoke", id, key["id"].as_str().expect("an id")],
    );
    assert_eq!(
        (&revoked[0]["changed"], &revoked[1]["changed"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(status(&clusters, bearer, &third["secret"]), "401");
    office.fails(
        &root,
        &["key", "revoke", "nobody"],
        1,
        "no active key `nobody`",
    );
    office.fails(
        &viewer,
        &["key", "revoke", "00000000-0000-4000-8000-000000000000"],
        1,
        "manage:keys",
    );
}

#[test]
fn what_the_api_does_not_do_says_so() {
    let office = Office::open("scopegate");
    let root = office.token("root@example.com");
    for (arguments, code, says) in [
        (&["operator", "list"][..], 1, "machine"),
        (&["signing-key", "list"], 1, "machine"),
        (
            &["user", "add", "x@example.com", "--role", "viewer"],
            2,
            "--invite",
        ),
        (&["organization", "add", "Acme"], 2, "--admin"),
        (&["store", "backup", "copy.db"], 1, "machine"),
        (&["audit", "verify"], 1, "machine"),
        (&["organization", "list"], 1, "operator"),
        (
            &["key", "list", "--organization", "Globex"],
            2,
            "your own organization alone, `main`",
        ),
        (
            &["user", "disable", "nobody@example.com"],
            1,
            "there is no user `nobody@example.com`",
        ),
        (&["cluster", "delete", ".."], 1, "nothing of this name"),
        (&["cluster", "delete", "a/b"], 1, "nothing of this name"),
    ] {
        office.fails(&root, arguments, code, says);
    }
    office.json(&root, &["key", "list", "--organization", "main"]);
    let unset = office.run(&[], "", &["key", "list"]);
    assert_eq!(unset.code, Some(2));
    assert!(
        unset.stderr.contains("SCOPEGATE_TOKEN is not set"),
        "{}",
        unset.stderr
    );
    // The document for scanners is for everybody.
    let pattern = office.run(&[], "", &["key", "pattern"]);
    assert!(
        pattern.stdout.starts_with("\\bsg_(?:live|agent)_"),
        "{}",
        pattern.stdout
    );
}

/// Without when they were last used, which is written now and then.
fn unused(listed: &Value) -> Value {
    let mut listed = listed.clone();
    for row in listed.as_array_mut().into_iter().flatten() {
        row.as_object_mut().map(|row| row.remove("last_used_at"));
    }
    listed
}

fn elsewhere(office: &Office) -> &Path {
    office.elsewhere.path()
}

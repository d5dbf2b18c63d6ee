//! schemathesis against `/-/openapi.json`, with all its checks: whatever it thinks of, the API answers as the document
//! says, and never with a 5xx. The document itself is held against the OpenAPI specification.
//!
//! It is installed from PyPI into `target/schemathesis` when it is first needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

use super::{
    endpoints::{document, endpoints},
    office::{made, named, office},
};
use crate::harness::{Actor, PASSWORD, World, program::python};

const CONFIG: &str = include_str!("schemathesis/schemathesis.toml");
/// Of the examples that it thinks of.
const SEED: &str = "1";

/// What nobody guesses: codes of an authenticator app, and the current password.
const UNGUESSED: [&str; 4] = [
    "POST /-/api/me/factor/confirm",
    "POST /-/api/me/factor/recovery-codes",
    "DELETE /-/api/me/factor",
    "PUT /-/api/me/password",
];

/// The statuses that each operation has answered with.
type Answered = BTreeMap<String, BTreeSet<u64>>;

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_api_does_as_its_document_says() {
    let world = office("scopegate").await;
    let admin = world.manager("admin").await;
    furnish(&world, &admin).await;
    let answered = run(&world, "admin@acme.example").await;
    // Where it was refused throughout, it has shown little. What it deletes early is missing later, so not all is
    // reached each time.
    let all = endpoints(&document(&world).await);
    let unreached: Vec<String> = all
        .iter()
        .map(ToString::to_string)
        .filter(|label| !label.contains(" /-/api/organizations"))
        .filter(|label| !label.contains(" /-/api/policies"))
        .filter(|label| !UNGUESSED.contains(&label.as_str()) && !is_reached(&answered, label))
        .collect();
    println!("never accepted: {unreached:#?}");
    assert!(unreached.len() * 4 < all.len(), "{unreached:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_api_does_as_its_document_says() {
    let world = office("scopegate").await;
    world.add_operator("root@gate.example").await;
    let answered = run(&world, "root@gate.example").await;
    for label in [
        "GET /-/api/organizations",
        "GET /-/api/organizations/{organization}",
        "PATCH /-/api/organizations/{organization}",
    ] {
        assert!(is_reached(&answered, label), "{label}");
    }
}

/// Whether an operation has done at least once what it was asked for.
fn is_reached(answered: &Answered, label: &str) -> bool {
    let statuses = answered.get(label).into_iter().flatten();
    statuses
        .into_iter()
        .any(|status| (200..300).contains(status))
}

#[tokio::test]
async fn the_document_is_openapi_3_1() {
    let world = office("scopegate").await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("openapi.json");
    fs::write(&file, document(&world).await.to_string()).expect("written");
    let output = Command::new(installed().join("openapi-spec-validator"))
        .args(["--schema", "3.1", "--validation-errors", "all"])
        .arg(&file)
        .output()
        .expect("it starts");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Something of each kind, so that what it asks for is there.
async fn furnish(world: &World, admin: &Actor) {
    for number in 0..5 {
        made(admin, "/-/api/keys", named(&format!("key {number}"))).await;
        made(admin, "/-/api/agents", json!({ "cluster": "prod" })).await;
        let email = format!("user{number}@acme.example");
        made(
            admin,
            "/-/api/users",
            json!({ "email": email, "role": "viewer" }),
        )
        .await;
    }
    world.session("viewer").await;
}

/// Runs it as a user; the statuses that each operation has answered with.
async fn run(world: &World, email: &str) -> Answered {
    let program = installed().join("schemathesis");
    let directory = tempfile::tempdir().expect("a directory");
    // Sessions that it ends are followed by new ones.
    let login = format!(
        "[auth.dynamic.openapi.session]\npath = \"/-/login\"\nextract_selector = \"/token\"\nretry_on = [401]\n\
         payload = {{ email = \"{email}\", password = \"{PASSWORD}\" }}\n"
    );
    let or = |name: &str, other: &str| env::var(name).unwrap_or_else(|_| other.to_owned());
    let examples: u32 = or("SCOPEGATE_SCHEMATHESIS_EXAMPLES", "4")
        .parse()
        .expect("a number");
    // Chains reach the operations that need an id of something.
    let generation = format!(
        "[generation]\nmax-examples = {examples}\n\n[phases.stateful]\ngeneration.max-examples = {}\n",
        examples * 10
    );
    let config = format!("{CONFIG}\n{generation}\n{login}");
    fs::write(directory.path().join("schemathesis.toml"), config).expect("written");
    let output = tokio::process::Command::new(program)
        .args(["run", &format!("{}/-/openapi.json", world.management)])
        .args(["--continue-on-failure", "--no-color"])
        .args(["--seed", &or("SCOPEGATE_SCHEMATHESIS_SEED", SEED)])
        .args(["--generation-database", "none", "--report-ndjson-path"])
        .arg("report.ndjson")
        .current_dir(directory.path())
        .output()
        .await
        .expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{complained}");
    let summary = printed.split_once("SUMMARY").map_or("", |(_, rest)| rest);
    println!("{summary}");
    statuses(&directory.path().join("report.ndjson"))
}

fn statuses(report: &Path) -> Answered {
    let text = fs::read_to_string(report).expect("a report");
    let mut answered = Answered::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let recorder = &event["ScenarioFinished"]["recorder"];
        for (id, case) in recorder["cases"].as_object().into_iter().flatten() {
            let (method, path) = (&case["value"]["method"], &case["value"]["path"]);
            let label = format!(
                "{} {}",
                method.as_str().unwrap_or_default(),
                path.as_str().unwrap_or_default()
            );
            let status = recorder["interactions"][id]["response"]["status_code"].as_u64();
            answered.entry(label).or_default().extend(status);
        }
    }
    answered
}

/// Where its programs are.
fn installed() -> PathBuf {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    let place = || {
        python(
            "schemathesis",
            Path::new("api/schemathesis/requirements.txt"),
        )
    };
    PROGRAMS.get_or_init(|| place().join("bin")).clone()
}

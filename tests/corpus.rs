//! One corpus of decision cases, `cases/*.yaml`, put to every implementation of the gate. The files are test files as
//! users write them (`scopegate_host::trial`); `cases/README.md` explains the format.

pub mod coverage;
pub mod over_http;
pub mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scopegate_host::trial::{self, Coverage, TestFile, Wanted, Ways, mutate, run as run_cases};
use scopegate_policy::{documents, yaml::Report};

use run::{Implementation, Kind};

const CASES_MIN: usize = 300;
const CASES_OF_A_PRODUCT_MIN: usize = 60;

/// Reads one file of the corpus's format.
pub fn read(name: &str, text: &str) -> Result<TestFile, Report> {
    trial::read(name, text, |wanted: Wanted<'_>| wanted.load(name))
}

/// Every file of the corpus, by name.
pub fn files() -> Vec<TestFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = std::fs::read_dir(&folder).expect("the folder of cases");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    let mut broken = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        match read(&name, &text) {
            Ok(file) => files.push(file),
            Err(report) => broken.push(report.to_string()),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    files
}

/// Puts every case of every file to implementations of one kind, and gives what came out differently.
pub async fn differences(files: &[TestFile], kind: Kind) -> Vec<String> {
    let implementation = Implementation::new(kind);
    let mut differences = Vec::new();
    for file in files {
        for (case, answer) in implementation.answers(file).await {
            let outcome = answer.outcome;
            if outcome != case.expected {
                let expected = &case.expected;
                differences.push(format!(
                    "{case}\n    expected {expected:?}\n    got      {outcome:?}"
                ));
            }
        }
    }
    differences
}

async fn assert_as_expected(kind: Kind) {
    let differences = differences(&files(), kind).await;
    assert!(
        differences.is_empty(),
        "{} cases, {kind:?}:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[tokio::test]
async fn every_case_comes_out_as_expected_natively() {
    assert_as_expected(Kind::Native).await;
}

#[tokio::test]
async fn every_case_comes_out_as_expected_in_fresh_instances() {
    assert_as_expected(Kind::Fresh).await;
}

#[tokio::test]
async fn every_case_comes_out_as_expected_in_pooled_instances() {
    assert_as_expected(Kind::Pooled).await;
}

#[tokio::test]
async fn every_case_comes_out_as_expected_through_the_typed_world() {
    assert_as_expected(Kind::Typed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_expected_over_http() {
    let mut differences = Vec::new();
    for file in files().iter().filter(|file| !is_of_routes(file)) {
        differences.extend(over_http::differences(file).await);
    }
    assert!(
        differences.is_empty(),
        "{} cases over HTTP:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Whether a file goes through every route of a policy: on the wire that would take a minute and show nothing more.
pub fn is_of_routes(file: &TestFile) -> bool {
    file.name.ends_with("-routes.yaml") && file.name != "edge-routes.yaml"
}

#[tokio::test]
async fn the_corpus_is_large_and_leaves_nothing_out() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut reasons = coverage::Reasons::default();
    let files = files();
    // The same in every policy: wherever one was tried, it counts.
    let mut management = coverage::Routes::default();
    for file in &files {
        let description = file.subject.description();
        for (case, answer) in Implementation::Native.answers(file).await {
            reasons.note(&case.expected);
            let route = answer
                .rule
                .route
                .map(|index| &description.routes[index as usize]);
            if let Some(route) = route.filter(|route| route.is_management()) {
                management.note(route, &answer.outcome);
            }
        }
        *counts.entry(file.subject.name().to_owned()).or_default() += file.cases.len();
    }
    let mut missing = BTreeSet::new();
    for file in &files {
        let all = file.subject.description().routes.iter();
        missing.extend(management.missing(all.filter(|route| route.is_management())));
    }
    let missing: Vec<String> = missing.into_iter().collect();
    assert!(
        missing.is_empty(),
        "{} gaps:\n{}",
        missing.len(),
        missing.join("\n")
    );
    assert_eq!(
        reasons.missing(),
        Vec::<&str>::new(),
        "reasons that no case expects"
    );
    for name in documents::names() {
        let count = counts.get(name).copied().unwrap_or_default();
        assert!(count >= CASES_OF_A_PRODUCT_MIN, "{name} has {count} cases");
    }
    let total: usize = counts.values().sum();
    assert!(total >= CASES_MIN, "{total} cases");
}

/// Every route, role, permission and reason of a product's document is tried, and whichever rule were another, a case of
/// its file would come out differently.
#[tokio::test]
async fn no_rule_of_a_product_goes_untested() {
    let files = files();
    let of_products: Vec<&TestFile> = files
        .iter()
        .filter(|file| file.name.strip_suffix(".yaml") == Some(file.subject.name()))
        .collect();
    assert_eq!(of_products.len(), documents::names().count());
    let mut gaps = Vec::new();
    let mut changes = 0;
    for file in of_products {
        let ran = run_cases(file, Ways::Native).await.expect("a document");
        let mut coverage = Coverage::new(&file.subject, [&file.contract]);
        coverage.note(file, &ran);
        let missing = coverage.missing(file.subject.description()).into_iter();
        gaps.extend(missing.map(|(_, what)| format!("{}: {what}", file.name)));
        let mutation = mutate(file.subject.rules().expect("a document"), &[file]);
        changes += mutation.share.total;
        let survivors = mutation.survivors.into_iter();
        gaps.extend(survivors.map(|what| format!("{}: no case notices that {what}", file.name)));
    }
    assert!(gaps.is_empty(), "{} gaps:\n{}", gaps.len(), gaps.join("\n"));
    assert!(changes > 1000, "{changes} changes");
}

#[tokio::test]
async fn a_case_that_comes_out_differently_is_found() {
    let text = "\
document: kubeadapt
clusters: [prod, dev]
callers:
  bot: { key: { scopes: [\"clusters:read\"], allowed_cluster_ids: [prod] } }
cases:
  - { name: too much is expected, caller: bot, request: GET /v1/clusters, expect: all }
  - { name: too little is expected, caller: bot, request: GET /v1/clusters/prod, expect: none }
  - { name: another reason, caller: bot, request: GET /v1/nodes, expect: no-route }
  - { name: about another cluster, caller: bot, request: GET /v1/clusters/dev, expect: cluster-not-allowed, about: prod }
  - { name: this is right, caller: bot, request: HEAD /v1/clusters, expect: [prod] }
";
    let files = match read("wrong.yaml", text) {
        Ok(file) => [file],
        Err(report) => panic!("{report}"),
    };
    for kind in [Kind::Native, Kind::Pooled] {
        let differences = differences(&files, kind).await;
        assert_eq!(differences.len(), 4, "{}", differences.join("\n"));
        assert!(
            differences
                .iter()
                .all(|text| text.starts_with("wrong.yaml:")),
            "{differences:?}"
        );
    }
}

#[test]
fn a_broken_file_shows_everything_with_its_place() {
    let text = "\
document: kubeadapt
clusters: [prod]
callers:
  bot: { key: { scopes: [\"clusters:raed\", \"metrics:write\"] } }
  person: { session: { role: admin } }
  idle: { agent: prodd }
cases:
  - { name: one, caller: bto, request: GET /v1/clusters, expect: all }
  - { name: two, caller: bot, request: /v1/clusters, expect: no-rout }
  - { name: three, caller: bot, request: GET /v1/nodes, expect: missing-permission }
tables:
  - name: four
    callers: [bot, anonymous]
    rows:
      - { request: GET /v1/clusters, expect: [all] }
";
    let report = read("mine.yaml", text).expect_err("mistakes");
    let places: Vec<String> = report
        .places()
        .map(|place| format!("{}:{} {}", place.line, place.column, place.message))
        .collect();
    let expected = [
        "4:26 the policy has no permission `clusters:raed`",
        "4:43 no key can carry `metrics:write`",
        "5:13 `kubeadapt` has no sessions on its API",
        "6:18 the organization never had a cluster `prodd`",
        "8:26 there is no caller `bto`",
        "9:40 `/v1/clusters` is not a request",
        "9:62 `no-rout` is not an outcome",
        "10:65 `missing-permission` is about something that is not said",
        "15:38 1 expectations for 2 callers",
    ];
    assert_eq!(places, expected, "{report}");
}

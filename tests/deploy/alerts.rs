//! The alerts: as Prometheus reads them, as their own tests want them, and about what a server really shows.

use serde_json::Value;

use super::{deployed, scraped, succeeds};

#[test]
fn prometheus_reads_the_alerts_and_their_tests_pass() {
    let folder = deployed("prometheus");
    succeeds(
        scraped::promtool()
            .args(["check", "rules", "alerts.yaml"])
            .current_dir(&folder),
    );
    succeeds(
        scraped::promtool()
            .args(["test", "rules", "alerts.test.yaml"])
            .current_dir(&folder),
    );
}

#[test]
fn alerts_are_about_what_a_server_shows() {
    let rules = std::fs::read_to_string(deployed("prometheus/alerts.yaml")).expect("alerts");
    let tests = std::fs::read_to_string(deployed("prometheus/alerts.test.yaml")).expect("tests");
    let rules: Value = serde_saphyr::from_str(&rules).expect("YAML");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    assert!(rules.len() >= 10, "{}", rules.len());
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(tests.contains(name), "`{name}` has no test");
        for metric in scraped::used(rule["expr"].as_str().expect("an expression")) {
            assert!(
                scraped::names().contains(&metric),
                "`{name}` is about `{metric}`, which no server shows"
            );
        }
    }
}

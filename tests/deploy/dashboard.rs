//! The Grafana dashboard: each of its queries is one, and asks for what a server really shows.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::{deployed, scraped, succeeds};

fn dashboard() -> Value {
    let text = fs::read_to_string(deployed("grafana/dashboard.json")).expect("a dashboard");
    serde_json::from_str(&text).expect("JSON")
}

/// What Grafana writes for its variables.
fn filled(query: &Value) -> String {
    let query = query.as_str().expect("a query");
    let query = query.replace("$__rate_interval", "5m");
    let query = query.replace("$instance", ".*");
    assert!(
        !query.contains('$'),
        "a variable that is not there: {query}"
    );
    query
}

fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let annotations = dashboard["annotations"]["list"].as_array();
    let annotations = annotations.into_iter().flatten();
    let all = targets.chain(annotations);
    all.map(|asks| filled(&asks["expr"])).collect()
}

#[test]
fn every_query_is_one_and_asks_for_what_a_server_shows() {
    let queries = queries(&dashboard());
    assert!(queries.len() >= 25, "{}", queries.len());
    for query in &queries {
        for metric in scraped::used(query) {
            assert!(
                scraped::names().contains(&metric),
                "no server shows `{metric}`, which is asked for: {query}"
            );
        }
    }
    // What there is to see is seen.
    let asked: BTreeSet<String> = queries
        .iter()
        .flat_map(|query| scraped::used(query))
        .collect();
    let unseen: Vec<_> = scraped::names()
        .iter()
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .filter(|name| !asked.contains(*name))
        .collect();
    assert!(unseen.is_empty(), "nothing asks for {unseen:?}");
    let rules: Vec<Value> = queries
        .iter()
        .enumerate()
        .map(|(index, query)| json!({ "record": format!("panel:{index}"), "expr": query }))
        .collect();
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queries.yaml");
    fs::write(&path, rules.to_string()).expect("written");
    succeeds(scraped::promtool().args(["check", "rules"]).arg(path));
}

/// Grafana takes files with mistakes in these and shows nothing.
#[test]
fn panels_stand_beside_each_other_and_know_where_to_ask() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64()), "{title} has another's id");
        let at = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{title} is too wide");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title} stands on another panel");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(panel["description"].is_string(), "{title} is not described");
        }
    }
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["datasource", "instance"]);
}

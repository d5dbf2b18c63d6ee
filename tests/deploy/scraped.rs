//! What a server shows at `/-/metrics`: the names that alerts and the dashboard may use.

use std::{collections::BTreeSet, process::Command};

use regex::Regex;

use crate::{
    cli::{
        binary::{shell, text},
        own_gate::{gate, serve_managed, status},
    },
    harness::program::debian,
};

/// The names of a server that answered one request and refused one, with those that Prometheus adds.
pub(super) fn names() -> &'static BTreeSet<String> {
    static NAMES: std::sync::OnceLock<BTreeSet<String>> = std::sync::OnceLock::new();
    NAMES.get_or_init(|| {
        let gate = gate("scopegate");
        let (server, url, management) = serve_managed(gate.path());
        let nobody = "-H 'Authorization: Bearer sg_live_nobody'";
        assert_eq!(status(&format!("{url}/v1/clusters"), nobody), "401");
        let scraped = text(&shell(&format!("curl -s {management}/-/metrics")).stdout);
        server.interrupt();
        // What happened before anybody asked is counted too.
        let started = "scopegate_policy_activations_total{source=\"start\"} 1";
        assert!(scraped.contains(started), "{scraped}");
        let mut names: BTreeSet<String> = scraped
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned()))
            .filter(|name| !name.is_empty())
            .collect();
        for name in names.iter().filter(|name| name.ends_with("_total")) {
            let help = format!("# HELP {name} ");
            assert!(scraped.contains(&help), "`{name}` is not described");
        }
        names.insert("up".to_owned());
        names
    })
}

/// The names of metrics in a query: words before a brace, a bracket or an operator, which are no functions.
pub(super) fn used(query: &str) -> BTreeSet<String> {
    let labels = Regex::new(r#"\{[^}]*\}|"[^"]*""#).expect("a pattern");
    let query = labels.replace_all(query, "");
    let by = Regex::new(r"\b(by|without) \([^)]*\)").expect("a pattern");
    let query = by.replace_all(&query, "");
    let name = Regex::new(r"[a-z_:][a-z0-9_:]*\b( *\()?").expect("a pattern");
    let words = name.find_iter(&query).map(|found| found.as_str().trim());
    words
        .filter(|word| {
            !word.ends_with('(') && !["or", "and", "unless", "m", "h", "s"].contains(word)
        })
        .map(str::to_owned)
        .collect()
}

/// Prometheus' own tool.
pub(super) fn promtool() -> Command {
    Command::new(debian("promtool", "prometheus"))
}

#[test]
fn names_are_found_in_queries() {
    let query = r#"histogram_quantile(0.99, sum by (instance, le) (rate(a_bucket{b="c_d"}[5m]))) / b_total > 1 or vector(0)"#;
    let found: Vec<_> = used(query).into_iter().collect();
    assert_eq!(found, ["a_bucket", "b_total"]);
}

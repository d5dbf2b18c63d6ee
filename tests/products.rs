//! What the four products tell their users, statement by statement, over HTTP. Each test carries the numbers of the
//! statements that it shows; `statements` counts that none is left out.

mod call;
mod credentials;
mod dashboard;
mod k8cost;
mod kubeadapt;
mod kubevision;
mod kubewatch;
mod routes;
mod world;

/// The statements that the gate itself makes true; others belong to the dashboard and to key management.
const STATEMENTS: &[&str] = &[
    "K8C-01", "K8C-02", "K8C-03", "K8C-04", "K8C-05", "K8C-06", "K8C-09", "K8C-10", "K8C-11",
    "K8C-12", "K8C-13", "K8C-14", "K8C-15", "K8C-16", "K8C-17", "KW-01", "KW-02", "KW-03", "KW-04",
    "KW-07", "KW-08", "KW-09", "KW-10", "KW-11", "KW-12", "KW-13", "KW-14", "KA-04", "KA-05",
    "KA-08", "KA-10", "KA-11", "KA-12", "KA-13", "KA-14", "KA-15", "KA-16", "KA-17", "KA-18",
    "KA-19", "KA-20", "KA-21", "KA-22", "KV-03", "KV-04", "KV-05", "KV-06", "KV-07", "KV-08",
    "KV-09", "KV-13", "KV-14", "KV-15", "KV-16",
];

#[test]
fn every_statement_has_its_test() {
    let suites = [
        include_str!("products/k8cost.rs"),
        include_str!("products/kubewatch.rs"),
        include_str!("products/kubeadapt.rs"),
        include_str!("products/kubevision.rs"),
    ];
    assert_each_has_its_test(STATEMENTS, &suites);
}

/// The texts make so many statements each.
#[test]
fn none_of_the_statements_is_left_out() {
    let all = [STATEMENTS, credentials::STATEMENTS, dashboard::STATEMENTS].concat();
    let of = |product: &str, count: u32| {
        let named = |at: &u32| all.contains(&format!("{product}-{at:02}").as_str());
        let missing: Vec<_> = (1..=count).filter(|at| !named(at)).collect();
        assert!(missing.is_empty(), "{product}: {missing:?}");
    };
    of("K8C", 18);
    of("KW", 16);
    of("KA", 25);
    of("KV", 17);
}

/// Fails with the statements that no test of these suites carries the number of.
fn assert_each_has_its_test(statements: &[&str], suites: &[&str]) {
    let missing: Vec<_> = statements
        .iter()
        .filter(|number| {
            let mark = format!("{number}:");
            !suites.iter().any(|suite| {
                suite
                    .lines()
                    .any(|line| line.trim_start().starts_with("///") && line.contains(&mark))
            })
        })
        .collect();
    assert!(missing.is_empty(), "statements without a test: {missing:?}");
}

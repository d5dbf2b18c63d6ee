//! What the products tell their users about the screens: the walks of their texts, click by click, in a real browser. The
//! same walks go by keyboard alone and without script, which can do everything but copy.

mod k8cost;
mod kubeadapt;
mod kubevision;
mod kubewatch;

use crate::harness::{Browser, World};

/// The statements about the dashboard.
pub(super) const STATEMENTS: &[&str] = &[
    "K8C-07", "KW-06", "KA-01", "KA-03", "KA-06", "KA-09", "KA-24", "KA-25", "KV-01", "KV-02",
    "KV-11", "KV-12",
];

#[test]
fn every_statement_has_its_test() {
    let suites = [
        include_str!("dashboard/k8cost.rs"),
        include_str!("dashboard/kubewatch.rs"),
        include_str!("dashboard/kubeadapt.rs"),
        include_str!("dashboard/kubevision.rs"),
    ];
    super::assert_each_has_its_test(STATEMENTS, &suites);
}

/// Runs the line that the page shows, as pasted into a terminal; the status that came back.
async fn pasted(browser: &Browser) -> String {
    let line = browser.text_of("#curl").await;
    let quiet = "curl --silent --output /dev/null --write-out '%{http_code}' ";
    let output = tokio::process::Command::new("sh")
        .args(["-c", &line.replacen("curl ", quiet, 1)])
        .output()
        .await
        .expect("sh runs");
    assert!(
        output.status.success(),
        "`{line}` failed; is curl there (`apt-get install curl`)? {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("a status")
}

/// What the product's API answers to a key.
async fn status(world: &World, secret: &str, path: &str) -> u16 {
    world.with_key(secret).get(path).await.status
}

//! Without script, nothing says what a form means but the form itself.

use super::{office, signed_in};
use crate::harness::Screen;

/// Whoever ticks a cluster means that cluster, also where no script moves the choice above it. What they get is narrow, or
/// they are asked again; it is never a key for every cluster.
#[tokio::test]
async fn ticked_clusters_are_never_every_cluster() {
    let world = office("kubeadapt").await;
    let browser = signed_in(&world, Screen::NO_SCRIPT, "admin").await;
    browser.goto("/-/keys/new").await;
    browser.fill("Name", "narrow").await;
    browser.choose("clusters:read").await;
    browser.choose("prod").await;
    browser.click("Create Key").await;
    if browser.heading().await == "New key" {
        browser.text_of("[role=alert]").await;
        assert!(browser.is_chosen("prod").await);
    }
    browser.goto("/-/keys").await;
    for key in browser.texts_of("tbody tr").await {
        assert!(key.contains("1 scope, prod"), "{key}");
    }
}

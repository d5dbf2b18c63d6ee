//! Without script, nothing says what a form means but the form itself.

use serde_json::json;

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
    let admin = world.session("admin").await;
    let keys = admin.get("/-/api/keys").await.json();
    for key in keys["items"].as_array().expect("a list") {
        assert_eq!(key["allowed_cluster_ids"], json!(["prod"]));
    }
    if browser.heading().await == "New key" {
        browser.text_of("[role=alert]").await;
        assert!(browser.is_chosen("prod").await);
    }
}

//! From signing in to a scoped, cluster-restricted key that is copied and used.

use super::office;
use crate::harness::{Browser, PASSWORD, Screen};

/// What it may take, in clicks and fields.
const INTERACTIONS_MAX: usize = 12;

#[tokio::test]
async fn a_narrow_key_takes_twelve_interactions() {
    let world = office("kubeadapt").await;
    for screen in [Screen::DESK, Screen::PHONE] {
        let browser = Browser::with(&world.url, screen).await;
        browser.goto("/-/").await;
        browser.fill("E-mail", "admin@acme.example").await;
        browser.fill("Password", PASSWORD).await;
        browser.click("Sign in").await;
        browser.click("Settings").await;
        browser.click("API Keys").await;
        browser.click("+ Create Key").await;
        browser.fill("Name", "grafana-export").await;
        browser.click("Read-only Grafana / BI exporter").await;
        browser.choose("prod").await;
        browser.click("Create Key").await;
        browser.click("Copy").await;
        let secret = browser.clipboard().await;
        browser.click("Try the key").await;
        browser.wait_for_text("200 The key works.").await;
        let took = browser.interactions();
        println!("{took} interactions: {screen:?}");
        assert!(took <= INTERACTIONS_MAX, "{took}");
        browser.screenshot("twelve-used").await;
        let key = world.with_key(&secret);
        let statuses = [
            key.get("/v1/clusters/prod/nodes").await.status,
            key.get("/v1/clusters/dev/nodes").await.status,
            key.get("/v1/teams").await.status,
        ];
        assert_eq!(statuses, [200, 403, 403]);
    }
}

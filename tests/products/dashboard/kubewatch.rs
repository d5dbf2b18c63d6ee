//! KubeWatch: Settings → API Keys.

use super::{pasted, status};
use crate::{
    dashboard::{EVERYONE, assert_not_shown_again, office, shown_once, signed_in},
    harness::{Screen, World},
};

const AGENTS: &str = "/api/v1/agents";

/// KW-06: Settings → API Keys → Create Key → a descriptive name → shown only once. And as the text goes on: find the key,
/// click Revoke, and its next request is 401.
#[tokio::test]
async fn kw_06_a_key_is_created_shown_once_and_revoked() {
    let world = office("kubewatch").await;
    for screen in EVERYONE {
        walk(&world, screen).await;
    }
}

async fn walk(world: &World, screen: Screen) {
    let browser = signed_in(world, screen, "admin").await;
    browser.click("Settings").await;
    assert!(browser.text_of("main").await.contains("API Keys"));
    browser.click("API Keys").await;
    browser.screenshot("kubewatch-1-keys").await;
    browser.click("Create Key").await;
    assert_eq!(browser.heading().await, "New key");
    browser.fill("Name", "prod-agent").await;
    browser.screenshot("kubewatch-2-new").await;
    browser.click("Create Key").await;
    let secret = shown_once(&browser, "kw_live_").await;
    browser.screenshot("kubewatch-3-shown").await;
    assert_eq!(pasted(&browser).await, "200");
    browser.click("Try the key").await;
    browser.wait_for_text("200 The key works.").await;
    browser.click("Done").await;
    assert_not_shown_again(&browser, &secret, &["/-/keys"]).await;
    browser.fill("Name", "prod").await;
    browser.select("State", "Active").await;
    browser.click("Filter").await;
    assert_eq!(browser.count("tbody tr").await, 1);
    browser.click_in("prod-agent", "Revoke").await;
    assert_eq!(browser.heading().await, "Revoke prod-agent?");
    browser.screenshot("kubewatch-4-revoke").await;
    assert_eq!(status(world, &secret, AGENTS).await, 200);
    browser.click("Revoke key").await;
    browser.wait_for_text("The key is revoked").await;
    assert_eq!(status(world, &secret, AGENTS).await, 401);
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

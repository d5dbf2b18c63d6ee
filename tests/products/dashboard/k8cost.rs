//! K8Cost: Settings → API Tokens.

use super::{pasted, status};
use crate::{
    dashboard::{EVERYONE, assert_not_shown_again, office, shown_once, signed_in},
    harness::{Screen, World},
};

const CLUSTERS: &str = "/api/v1/clusters";

/// K8C-07: keys are created under Settings → API Tokens.
#[tokio::test]
async fn k8c_07_a_key_under_settings_api_tokens() {
    let world = office("k8cost").await;
    for screen in EVERYONE {
        walk(&world, screen).await;
    }
}

async fn walk(world: &World, screen: Screen) {
    let browser = signed_in(world, screen, "editor").await;
    browser.click("Settings").await;
    assert_eq!(browser.heading().await, "Settings");
    assert!(browser.text_of("main").await.contains("API Tokens"));
    browser.screenshot("k8cost-1-settings").await;
    browser.click("API Tokens").await;
    assert_eq!(browser.heading().await, "API Tokens");
    browser.screenshot("k8cost-2-tokens").await;
    browser.click("+ Create Token").await;
    let form = browser.text().await;
    assert!(
        !form.contains("Expiry") && !form.contains("Scopes"),
        "keys neither end by themselves nor are narrowed: {form}"
    );
    assert_eq!(browser.count("[name=expires], [name=scope]").await, 0);
    browser.fill("Name", "ci pipeline").await;
    browser.screenshot("k8cost-3-new").await;
    browser.click("Create Token").await;
    let secret = shown_once(&browser, "k8c_live_").await;
    browser.screenshot("k8cost-4-shown").await;
    assert_eq!(pasted(&browser).await, "200");
    assert_eq!(status(world, &secret, CLUSTERS).await, 200);
    browser.click("Done").await;
    assert_eq!(browser.heading().await, "API Tokens");
    assert_not_shown_again(&browser, &secret, &["/-/keys"]).await;
    browser.click_in("ci pipeline", "Revoke").await;
    browser.click("Revoke key").await;
    assert_eq!(status(world, &secret, CLUSTERS).await, 401);
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

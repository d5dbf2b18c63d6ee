//! KubeVision: Profile → API Keys, and Settings → Users → (user) → API Keys.

use std::time::Duration;

use super::{pasted, status};
use crate::{
    dashboard::{EVERYONE, assert_not_shown_again, office, shown_once, sign_in, signed_in},
    harness::{Browser, Key, PASSWORD, Screen, World},
};

const CLUSTERS: &str = "/api/v1/clusters";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// KV-01: Profile → API Keys → New API Key: a name, an optional expiry, Generate. KV-02: shown once; a lost key is revoked
/// and made again.
#[tokio::test]
async fn kv_01_02_a_key_under_profile_is_shown_once_and_made_again_when_lost() {
    for screen in EVERYONE {
        walk(&office("kubevision").await, screen).await;
    }
}

async fn walk(world: &World, screen: Screen) {
    let browser = signed_in(world, screen, "viewer").await;
    browser.click("Settings").await;
    let settings = browser.text_of("main").await;
    assert!(!settings.contains("API Keys"), "{settings}");
    let lost = generate(&browser, "In 90 days").await;
    assert_not_shown_again(&browser, &lost, &["/-/keys"]).await;
    browser.click("github-actions-deploy").await;
    assert!(!browser.source().await.contains(&lost));
    browser.screenshot("kubevision-4-key").await;
    browser.click("Revoke").await;
    browser.click("Revoke key").await;
    let ends = generate(&browser, "In 90 days").await;
    let again = generate(&browser, "Never").await;
    assert_eq!(pasted(&browser).await, "200");
    let statuses = async || {
        let of = async |secret: &str| status(world, secret, CLUSTERS).await;
        (of(&lost).await, of(&ends).await, of(&again).await)
    };
    assert_eq!(statuses().await, (401, 200, 200));
    world.clock.advance(90 * DAY - HOUR);
    assert_eq!(statuses().await, (401, 200, 200));
    world.clock.advance(HOUR);
    assert_eq!(statuses().await, (401, 401, 200));
    world.clock.advance(400 * DAY);
    assert_eq!(statuses().await, (401, 401, 200), "one never ends");
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

/// Profile → API Keys → New API Key → Generate.
async fn generate(browser: &Browser, expires: &str) -> String {
    browser.click("Profile").await;
    assert!(browser.text_of("main").await.contains("API Keys"));
    browser.screenshot("kubevision-1-profile").await;
    browser.click("API Keys").await;
    browser.screenshot("kubevision-2-keys").await;
    browser.click("New API Key").await;
    browser.fill("Name", "github-actions-deploy").await;
    assert!(browser.text_of("main").await.contains("Expiry"));
    browser.choose(expires).await;
    browser.screenshot("kubevision-3-new").await;
    browser.click("Generate").await;
    shown_once(browser, "kv_live_").await
}

/// KV-11: a key nearing its expiry shows an amber badge in the list.
#[tokio::test]
async fn kv_11_a_key_that_ends_soon_has_an_amber_badge() {
    let world = office("kubevision").await;
    let ends = |days: u32| Some(world.clock.now_ms() / 1000 + i64::from(days) * 86_400);
    for (name, days) in [("soon", 3), ("later", 90)] {
        let expires_at = ends(days);
        let owner = "viewer@acme.example";
        let key = Key {
            name,
            owner,
            expires_at,
            ..Key::default()
        };
        world.key(key).await;
    }
    let browser = signed_in(&world, Screen::DESK, "viewer").await;
    browser.click("API Keys").await;
    for dark in [false, true] {
        browser.prefer_dark(dark).await;
        let (hue, words) = badge(&browser, "soon").await;
        assert_eq!(words, "Expires soon");
        assert!((25..55).contains(&hue), "{hue} is not the hue of amber");
        let (hue, words) = badge(&browser, "later").await;
        assert_eq!(words, "Active");
        assert!((80..180).contains(&hue), "{hue} is not the hue of green");
    }
    browser.screenshot("kubevision-5-amber").await;
    browser.select("State", "Expires soon").await;
    browser.click("Filter").await;
    assert_eq!(browser.count("tbody tr").await, 1);
    // Three days on, it has ended, and so has the session.
    world.clock.advance(3 * DAY);
    sign_in(&browser, "viewer@acme.example", PASSWORD).await;
    browser.click("API Keys").await;
    assert_eq!(badge(&browser, "soon").await.1, "Expired");
}

/// The hue of a key's badge, in degrees, and its words.
async fn badge(browser: &Browser, key: &str) -> (u64, String) {
    let script = "
        const row = [...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes(arguments[0]));
        const badge = row.querySelector('.badge');
        const [r, g, b] = getComputedStyle(badge).backgroundColor.match(/\\d+/g).map(Number);
        const most = Math.max(r, g, b), span = most - Math.min(r, g, b);
        const turn = most === r ? (g - b) / span : most === g ? 2 + (b - r) / span : 4 + (r - g) / span;
        return [Math.round((turn * 60 + 360) % 360), badge.innerText]";
    let badge = browser.script(script, vec![key.into()]).await;
    let words = badge[1].as_str().expect("words").to_owned();
    (badge[0].as_u64().expect("a hue"), words)
}

/// KV-12: admins see and revoke any user's keys under Settings → Users → (user) → API Keys.
#[tokio::test]
async fn kv_12_admins_revoke_a_users_key_under_settings_users() {
    let world = office("kubevision").await;
    for screen in EVERYONE {
        let key = Key {
            name: "left behind",
            owner: "viewer@acme.example",
            ..Key::default()
        };
        let (secret, _) = world.mint_key(key).await;
        let own = Key {
            name: "the admin's own",
            owner: "admin@acme.example",
            ..Key::default()
        };
        world.mint_key(own).await;
        let browser = signed_in(&world, screen, "admin").await;
        browser.click("Settings").await;
        browser.click("Users").await;
        browser.screenshot("kubevision-6-users").await;
        browser.click("viewer@acme.example").await;
        browser.screenshot("kubevision-7-user").await;
        browser.click_in("viewer@acme.example", "API Keys").await;
        browser.screenshot("kubevision-8-user-keys").await;
        let keys = browser.text_of("main").await;
        assert!(!keys.contains("the admin's own"), "of one user: {keys}");
        assert_eq!(status(&world, &secret, CLUSTERS).await, 200);
        browser.click_in("left behind", "Revoke").await;
        browser.click("Revoke key").await;
        assert_eq!(status(&world, &secret, CLUSTERS).await, 401);
        assert!(browser.path().await.starts_with("/-/users/"));
        assert_eq!(browser.console_errors().await, Vec::<String>::new());
    }
}

//! The browser notices what it should: on pages that have the faults which the dashboard must not have.

use super::site::Site;
use crate::harness::{Browser, Screen};

const PLAIN: &str = r#"<!doctype html><html lang="en"><title>Plain</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<style>:focus-visible { outline: 2px solid; } @media (prefers-color-scheme: dark) { .light { display: none } }</style>
<main><h1>Plain</h1><p class="light">light</p><p id="script">off</p>
<form action="/next"><label>Name <small>of the key</small> <input name="name" required></label>
<fieldset><legend>Clusters</legend><label><input type="checkbox" name="c" value="prod"> prod</label></fieldset>
<fieldset><legend>When</legend><label><input type="radio" name="when" value="now" checked> now</label><label><input type="radio" name="when" value="later"> later</label></fieldset>
<label for="state">State</label><select id="state" name="state"><option>any</option><option>Active</option></select>
<button>Send</button></form>
<button type="button" id="copy">Copy</button><button type="button" tabindex="-1">Mouse</button>
<table><tr><td>one</td><td><a href="/next?one">Revoke</a></td></tr><tr><td>two</td><td><a href="/next?two">Revoke</a></td></tr></table>
</main><script>document.getElementById("script").textContent = "on"</script>"#;

const FAULTY: &str = r#"<!doctype html><title>Faulty</title><style>p { color: #000; background: #fff } @media (prefers-color-scheme: dark) { p { background: #222 } }</style>
<h1 style="color: #ccc">Faulty</h1><p>In the dark</p><input>
<img src="http://localhost:9/pixel.png"><script>undefined.property</script>"#;

async fn site() -> Site {
    let csp = Some(("content-security-policy", "script-src 'none'"));
    let heavy = format!("{PLAIN}<!--{}-->", "x".repeat(70_000));
    let next = r#"<!doctype html><html lang="en"><title>Next</title><link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"><main><h1>Next</h1></main>"#;
    Site::of(&[
        ("/", None, PLAIN.to_owned()),
        ("/next", None, next.to_owned()),
        ("/faulty", None, FAULTY.to_owned()),
        ("/forbidden", csp, PLAIN.to_owned()),
        ("/heavy", None, heavy),
    ])
    .await
}

#[tokio::test]
async fn a_page_is_used_by_what_it_shows() {
    let site = site().await;
    let browser = Browser::with(&site.same_site(), Screen::DESK).await;
    browser.goto("/").await;
    assert_eq!(browser.heading().await, "Plain");
    browser.wait_for_text("light").await;
    assert_eq!(browser.text_of("#script").await, "on");
    // A form that is not complete leads nowhere.
    browser.click("Send").await;
    assert_eq!(browser.path().await, "/");
    browser.fill("Name", "ci").await;
    browser.choose("prod").await;
    assert!(browser.is_chosen("prod").await && browser.is_enabled("Send").await);
    browser.select("State", "Active").await;
    assert_eq!(browser.value("Name").await, "ci");
    browser.click("Copy").await;
    browser.click("Send").await;
    assert_eq!(
        browser.path().await,
        "/next?name=ci&c=prod&when=now&state=Active"
    );
    assert_eq!(
        (browser.heading().await, browser.interactions()),
        ("Next".into(), 6)
    );
    browser.back().await;
    browser.click_in("two", "Revoke").await;
    assert_eq!(browser.path().await, "/next?two");
    assert!(browser.console_errors().await.is_empty());
    browser.assert_nothing_left().await;
    browser.screenshot("harness-next").await;
}

#[tokio::test]
async fn a_page_is_used_by_keyboard_alone() {
    let site = site().await;
    let screen = Screen {
        phone: true,
        ..Screen::NO_MOUSE
    };
    let browser = Browser::with(&site.same_site(), screen).await;
    browser.goto("/").await;
    browser.fill("Name", "overwritten").await;
    browser.choose("prod").await;
    browser.choose("later").await;
    browser.select("State", "Active").await;
    browser.fill("Name", "grafana export").await;
    assert_eq!(browser.focused().await, "Name of the key");
    browser.click("Send").await;
    assert_eq!(
        browser.path().await,
        "/next?name=grafana+export&c=prod&when=later&state=Active"
    );
    let size = browser.script("return [innerWidth, innerHeight]", Vec::new());
    assert_eq!(size.await, serde_json::json!([390, 844]));
}

/// What only a mouse reaches is as good as not there.
#[tokio::test]
#[should_panic(expected = "Tab does not come there")]
async fn what_tab_does_not_reach_fails() {
    let site = site().await;
    let browser = Browser::with(&site.same_site(), Screen::NO_MOUSE).await;
    browser.goto("/").await;
    browser.click("Mouse").await;
}

#[tokio::test]
async fn faults_are_noticed() {
    let site = site().await;
    let browser = Browser::with(&site.same_site(), Screen::DESK).await;
    browser.goto("/").await;
    assert_eq!(browser.axe().await, Vec::<String>::new());
    assert!(browser.weight().await < 2_000);
    browser.prefer_dark(true).await;
    assert!(!browser.text().await.contains("light"));
    browser.goto("/faulty").await;
    let found = browser.axe().await.join("\n");
    for rule in [
        "color-contrast",
        "color-contrast in the dark",
        "html-has-lang",
        "image-alt",
        "label",
    ] {
        assert!(found.contains(&format!("{rule}: ")), "{found}");
    }
    let errors = browser.console_errors().await.join("\n");
    assert!(errors.contains("TypeError"), "{errors}");
    let requests = browser.requests().await;
    assert!(
        requests.contains("http://localhost:9/pixel.png"),
        "{requests:?}"
    );
    browser.goto("/forbidden").await;
    assert_eq!(browser.text_of("#script").await, "off");
    let errors = browser.console_errors().await.join("\n");
    assert!(errors.contains("Content Security Policy"), "{errors}");
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.goto("/heavy").await;
    assert!(browser.weight().await > 70_000);
}

#[tokio::test]
async fn scripts_can_be_switched_off() {
    let site = site().await;
    let browser = Browser::with(&site.same_site(), Screen::NO_SCRIPT).await;
    browser.goto("/").await;
    assert_eq!(browser.text_of("#script").await, "off");
    browser.fill("Name", "ci").await;
    browser.click("Send").await;
    assert_eq!(browser.heading().await, "Next");
}

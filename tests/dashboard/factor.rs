//! Profile → Security: a second factor, and signing in with it.

use std::time::Duration;

use totp_rs::Totp;

use super::{EVERYONE, give, office, sign_in, signed_in};
use crate::harness::{Browser, PASSWORD, Screen, World};

#[tokio::test]
async fn a_second_factor_is_added_and_asked_for() {
    let mut world = office("k8cost").await;
    for (number, screen) in EVERYONE.into_iter().enumerate() {
        let email = format!("ada{number}@acme.example");
        world.add_user("acme", &email, "editor", None).await;
        walk(&world, screen, &email).await;
    }
}

async fn walk(world: &World, screen: Screen, email: &str) {
    let browser = Browser::with(&world.url, screen).await;
    sign_in(&browser, email, PASSWORD).await;
    browser.click("Profile").await;
    browser.click("Security").await;
    browser.click("Add a second factor").await;
    browser.screenshot("factor-1").await;
    browser.click("Show the picture").await;
    browser.screenshot("factor-2-scan").await;
    let url = "return document.querySelector('[name=url]').value";
    let url = browser.script(url, Vec::new()).await;
    let totp = Totp::from_url(url.as_str().expect("a URL")).expect("an otpauth URL");
    let code = || {
        let now = world.clock.now_ms().unsigned_abs() / 1000;
        totp.generate(now).to_string()
    };
    browser.fill("Code", &code()).await;
    browser.click("Turn it on").await;
    assert_eq!(browser.heading().await, "Keep these codes");
    browser.screenshot("factor-3-codes").await;
    let codes = browser.text_of("#codes").await;
    browser.click("Done").await;
    browser.click("Sign out").await;
    browser.wait_for_text("You are signed out.").await;
    give(&browser, email, PASSWORD).await;
    assert_eq!(browser.heading().await, "Sign in");
    browser.screenshot("factor-4-code").await;
    browser.fill("Code", "000000").await;
    browser.click("Sign in").await;
    browser.wait_for_text("That did not work").await;
    world.clock.advance(Duration::from_secs(60));
    browser.fill("Code", &code()).await;
    browser.click("Sign in").await;
    assert_eq!(browser.heading().await, "Overview");
    browser.click("Sign out").await;
    give(&browser, email, PASSWORD).await;
    let paper = codes.lines().next().expect("a recovery code");
    browser.fill("Code", paper).await;
    browser.click("Sign in").await;
    browser.goto("/-/profile/security").await;
    let text = browser.text().await;
    let left = format!("{} recovery codes left", codes.lines().count() - 1);
    assert!(text.contains(&left), "{text}");
}

/// Whoever signs out everywhere is out wherever else they were in.
#[tokio::test]
async fn signing_out_everywhere_ends_other_sessions() {
    let world = office("k8cost").await;
    let elsewhere = world.session("viewer").await;
    let browser = signed_in(&world, Screen::PHONE, "viewer").await;
    browser.goto("/-/profile/security").await;
    assert_eq!(elsewhere.get("/-/api/me").await.status, 200);
    browser.click("Sign out everywhere").await;
    browser
        .wait_for_text("You are signed out everywhere.")
        .await;
    assert_eq!(elsewhere.get("/-/api/me").await.status, 401);
    // And comes back to the page that was asked for.
    browser.goto("/-/keys?state=active").await;
    give(&browser, "viewer@acme.example", PASSWORD).await;
    assert_eq!(browser.path().await, "/-/keys?state=active");
}

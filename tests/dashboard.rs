//! The dashboard, in a real browser, as people use it.

mod attacks;
mod expiry;
mod factor;
mod operator;
mod pages;
mod plain;
mod scriptless;
mod site;
mod twelve;
mod watched;

use serde_json::json;

use crate::harness::{Browser, Options, PASSWORD, Screen, Seen, World, json_reply, unlimited};

/// What a person without a mouse, one without script and everyone else can do alike.
pub(crate) const EVERYONE: [Screen; 3] = [Screen::DESK, Screen::NO_MOUSE, Screen::NO_SCRIPT];

/// A product whose dashboard is where its API is.
pub(crate) async fn office(contract: &'static str) -> World {
    let world = World::with(Options {
        shared: true,
        adjust: unlimited,
        ..Options::of(contract)
    })
    .await;
    world.upstream.answers(product);
    world
}

/// The product behind the gate: collections and single things.
fn product(_: Seen) -> http::Response<axum::body::Body> {
    let clusters = json!([{ "id": "prod" }, { "id": "staging" }, { "id": "dev" }]);
    json_reply(
        200,
        json!({ "clusters": clusters, "items": [], "id": "one" }),
    )
}

/// A browser in which this role's user has signed in.
pub(crate) async fn signed_in(world: &World, screen: Screen, role: &str) -> Browser {
    let browser = Browser::with(&world.url, screen).await;
    sign_in(&browser, &format!("{role}@acme.example"), PASSWORD).await;
    browser
}

/// Signs in, and comes to the overview.
pub(crate) async fn sign_in(browser: &Browser, email: &str, password: &str) {
    browser.goto("/-/").await;
    give(browser, email, password).await;
    assert_eq!(browser.heading().await, "Overview");
}

/// Fills the sign-in page in.
pub(crate) async fn give(browser: &Browser, email: &str, password: &str) {
    assert_eq!(browser.heading().await, "Sign in");
    browser.fill("E-mail", email).await;
    browser.fill("Password", password).await;
    browser.click("Sign in").await;
}

/// What a page that shows a credential once shows, which must begin like this.
pub(crate) async fn shown_once(browser: &Browser, prefix: &str) -> String {
    let secret = browser.text_of("#secret").await;
    assert!(secret.starts_with(prefix), "{secret}");
    if browser.screen.script {
        browser.click("Copy").await;
        browser.wait_for_text("Copied").await;
        assert_eq!(browser.clipboard().await, secret);
    } else {
        assert!(!browser.has("Copy").await, "it would do nothing");
    }
    secret
}

/// Fails when any of these pages shows the credential again, or the way back does.
pub(crate) async fn assert_not_shown_again(browser: &Browser, secret: &str, pages: &[&str]) {
    browser.back().await;
    assert!(!browser.source().await.contains(secret), "going back");
    for page in pages {
        browser.goto(page).await;
        assert!(!browser.source().await.contains(secret), "{page}");
    }
}

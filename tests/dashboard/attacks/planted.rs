//! Cookies that somebody else has put into the browser, and addresses that lead away.

use super::super::{give, office, site::Site};
use super::forged::hidden;
use crate::harness::{Browser, PASSWORD, World};

async fn token(world: &World, role: &str) -> String {
    let session = world.session(role).await;
    session.credential_value().replace("Bearer ", "")
}

/// Where a browser with this session comes to when it asks for the keys.
async fn opens(world: &World, token: &str) -> u16 {
    let request = world.anonymous().request("GET", "/-/keys");
    let request = request.header("cookie", format!("scopegate={token}"));
    world.anonymous().send(request).await.status
}

/// Whoever signs in gets a session of their own, whatever session the browser had before; and it ends with signing out.
#[tokio::test]
async fn a_planted_session_is_not_taken_over() {
    let world = office("k8cost").await;
    let browser = Browser::open(&world).await;
    let planted = token(&world, "viewer").await;
    for path in ["/-/", "/"] {
        browser.goto("/-/sign-in").await;
        browser.plant("scopegate", &planted, path).await;
        browser.goto("/-/sign-in").await;
        give(&browser, "admin@acme.example", PASSWORD).await;
        let who = browser.text_of(".who").await;
        assert!(who.contains("admin@acme.example"), "{path}: {who}");
        let cookie = browser.cookie("scopegate", "/-/").await.expect("a session");
        assert_ne!(cookie.value(), planted);
        assert_eq!(cookie.http_only(), Some(true));
        let visible = browser.script("return document.cookie", Vec::new()).await;
        let own = cookie.value();
        assert!(!visible.to_string().contains(own), "{visible}");
        assert_eq!(opens(&world, cookie.value()).await, 200);
        browser.click("Sign out").await;
        assert_eq!(opens(&world, cookie.value()).await, 303, "it has ended");
    }
}

/// Nobody is signed in as somebody else by a page that knows what proves the sign-in form.
#[tokio::test]
async fn a_planted_form_cookie_signs_nobody_in() {
    let world = office("k8cost").await;
    let known = "0123456789abcdef0123456789abcdef";
    let request = world.anonymous().request("GET", "/-/sign-in");
    let request = request.header("cookie", format!("scopegate-form={known}"));
    let proof = hidden(&world.anonymous().send(request).await.body);
    let forged = format!(
        r#"<!doctype html><title>Prize</title><form method="post" action="{}/-/sign-in">
        <input type="hidden" name="form" value="{proof}"><input type="hidden" name="email" value="viewer@acme.example">
        <input type="hidden" name="password" value="{PASSWORD}"></form><script>document.forms[0].submit()</script>"#,
        world.url
    );
    let site = Site::of(&[("/", None, forged)]).await;
    let browser = Browser::open(&world).await;
    browser.goto("/-/sign-in").await;
    browser.plant("scopegate-form", known, "/-/").await;
    for origin in [site.same_site(), site.cross_site()] {
        browser.goto(&format!("{origin}/")).await;
        browser.wait_for_own_page().await;
        assert_eq!(browser.heading().await, "Not from this page", "{origin}");
        assert_eq!(
            browser
                .cookie("scopegate", "/-/")
                .await
                .map(|cookie| cookie.value().to_owned()),
            None
        );
    }
}

/// `next` leads to pages of the dashboard and nowhere else.
#[tokio::test]
async fn signing_in_leads_nowhere_else() {
    let world = office("k8cost").await;
    let browser = Browser::open(&world).await;
    let site = Site::of(&[("/", None, "<h1>Elsewhere</h1>".to_owned())]).await;
    let elsewhere = site.cross_site();
    let authority = elsewhere.trim_start_matches("http://").to_owned();
    for next in [
        elsewhere.clone(),
        format!("//{authority}/-/keys"),
        format!("/\\{authority}/"),
        format!("/-/\\..\\..\\\\{authority}"),
        format!("/-/..//{authority}/"),
        format!("/-/keys/../../..//{authority}/"),
        format!("/-/\t/{authority}/"),
        format!("/-/%0d%0alocation:http://{authority}/"),
        format!("/-/@{authority}/"),
        format!(" {elsewhere}"),
        "javascript:document.body.textContent='pwned'".to_owned(),
        "/-/sign-out".to_owned(),
        "/api/v1/clusters".to_owned(),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        browser.goto(&format!("/-/sign-in?next={encoded}")).await;
        give(&browser, "viewer@acme.example", PASSWORD).await;
        let path = browser.path().await;
        assert!(path.starts_with("/-/"), "{next} led to {path}");
        let cookie = browser.cookie("scopegate", "/-/").await;
        assert!(cookie.is_some(), "{next}: signed in");
        browser.goto("/-/").await;
        browser.click("Sign out").await;
    }
    browser
        .goto("/-/sign-in?next=%2F-%2Fkeys%3Fstate%3Dactive")
        .await;
    give(&browser, "viewer@acme.example", PASSWORD).await;
    assert_eq!(browser.path().await, "/-/keys?state=active");
}

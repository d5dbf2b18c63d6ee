//! Every page, whatever it is about: nobody is kept out of it, nothing goes wrong on it, it weighs little, asks nobody else
//! for anything, and fits a phone.

use std::collections::{BTreeSet, VecDeque};

use regex::Regex;

use super::{office, sign_in, signed_in};
use crate::harness::{Browser, Key, PASSWORD, Screen, World};

/// What a page may weigh with all that it loads, in bytes as they go over the wire.
const WEIGHT_MAX: u64 = 60_000;

/// What is wrong with the page that is open: in light, in dark, in the console, and in bytes.
async fn faults(browser: &Browser) -> Vec<String> {
    let path = browser.path().await;
    let mut faults = Vec::new();
    let found = browser.axe().await.into_iter();
    faults.extend(found.map(|fault| format!("{path}: {fault}")));
    let errors = browser.console_errors().await.into_iter();
    faults.extend(errors.map(|error| format!("{path}: {error}")));
    let weight = browser.weight().await;
    if weight == 0 || weight > WEIGHT_MAX {
        faults.push(format!("{path} weighs {weight} bytes"));
    }
    faults
}

/// What is too wide for the screen.
async fn overflow(browser: &Browser) -> Vec<String> {
    let script = "
        const wide = document.documentElement.scrollWidth > innerWidth;
        return wide ? `${location.pathname} is ${document.documentElement.scrollWidth} pixels wide` : null";
    let wide = browser.script(script, Vec::new()).await;
    wide.as_str().map(str::to_owned).into_iter().collect()
}

/// One page of a kind is like every other: ids and what is asked for are left out.
fn kind(path: &str) -> String {
    let id = Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|sha256:[0-9a-f]+")
        .expect("a pattern");
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = id.replace_all(path, "ID");
    let one_of = Regex::new("/-/(clusters|roles)/[^/]+").expect("a pattern");
    match path.as_ref() {
        "/-/clusters/connect" | "/-/roles/new" => path.into_owned(),
        _ => one_of.replace(&path, "/-/$1/ONE").into_owned(),
    }
}

/// Where an administrator begins: another user's page has what their own has not.
pub(super) fn doors(world: &World) -> [String; 2] {
    let viewer = world.user("viewer@acme.example");
    ["/-/".to_owned(), format!("/-/users/{viewer}")]
}

/// Follows every link of the dashboard, one of each kind; the kinds, and what `look` finds wrong with them.
pub(super) async fn crawl(
    browser: &Browser,
    from: &[String],
    look: impl AsyncFn(&Browser) -> Vec<String>,
) -> (BTreeSet<String>, Vec<String>) {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    let mut next = VecDeque::from(from.to_vec());
    while let Some(path) = next.pop_front() {
        if !seen.insert(kind(&path)) {
            continue;
        }
        browser.goto(&path).await;
        let heading = browser.heading().await;
        if heading == "Nothing here" || heading == "Sign in" {
            wrong.push(format!("{path}: {heading}"));
        }
        wrong.extend(look(browser).await);
        for link in browser.links().await {
            match link.starts_with("/-/") {
                true => next.push_back(link),
                false => wrong.push(format!("{path} links to {link}")),
            }
        }
    }
    (seen, wrong)
}

/// An organization in which every list has something, in every state.
async fn furnished() -> World {
    let world = office("kubevision").await;
    let ends = |days: i64| Some(world.clock.now_ms() / 1000 + days * 86_400);
    for (name, owner, expires_at) in [
        ("grafana-export", "admin@acme.example", None),
        ("soon", "admin@acme.example", ends(2)),
        ("later", "viewer@acme.example", ends(200)),
    ] {
        let key = Key {
            name,
            owner,
            expires_at,
            ..Key::default()
        };
        world.key(key).await.get("/api/v1/clusters").await;
    }
    let revoked = world
        .key(Key {
            name: "revoked",
            ..Key::default()
        })
        .await;
    world.revoke(&revoked).await;
    revoked.get("/api/v1/clusters").await;
    world.agent("prod").await;
    world.audit().await;
    world
}

#[tokio::test]
async fn nothing_is_wrong_with_any_page_of_an_administrator() {
    let world = furnished().await;
    let browser = signed_in(&world, Screen::DESK, "admin").await;
    let (kinds, mut wrong) = crawl(&browser, &doors(&world), faults).await;
    println!("{} kinds of pages: {kinds:#?}", kinds.len());
    for expected in [
        "/-/",
        "/-/settings",
        "/-/profile",
        "/-/keys",
        "/-/keys/all",
        "/-/keys/new",
        "/-/keys/ID",
        "/-/keys/ID/rotate",
        "/-/keys/ID/revoke",
        "/-/clusters",
        "/-/clusters/connect",
        "/-/clusters/ONE",
        "/-/users",
        "/-/users/invite",
        "/-/users/ID",
        "/-/users/ID/edit",
        "/-/users/ID/keys",
        "/-/roles",
        "/-/roles/new",
        "/-/roles/ONE",
        "/-/policy",
        "/-/audit",
        "/-/settings/organization",
        "/-/profile/security",
        "/-/profile/factor",
        "/-/profile/password",
    ] {
        if !kinds.contains(expected) {
            wrong.push(format!("no link leads to {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.assert_nothing_left().await;
}

#[tokio::test]
async fn nothing_is_wrong_with_any_page_of_an_operator_or_a_stranger() {
    let world = furnished().await;
    world.add_operator("root@example.com").await;
    let browser = Browser::with(&world.url, Screen::DESK).await;
    let mut wrong = Vec::new();
    for path in [
        "/-/sign-in",
        "/-/sign-in?again=yes",
        "/-/join",
        "/-/join#invitation",
    ] {
        browser.goto(path).await;
        wrong.extend(faults(&browser).await);
    }
    sign_in(&browser, "root@example.com", PASSWORD).await;
    let (kinds, more) = crawl(&browser, &["/-/".to_owned()], faults).await;
    wrong.extend(more);
    for expected in [
        "/-/organizations",
        "/-/organizations/new",
        "/-/organizations/ID",
    ] {
        if !kinds.contains(expected) {
            wrong.push(format!("no link leads to {expected}: {kinds:?}"));
        }
    }
    // The one thing that a browser notes by itself about a page that is not there.
    browser.goto("/-/keys/none").await;
    let found = faults(&browser).await.into_iter();
    wrong.extend(found.filter(|fault| !fault.contains("status of 404")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.assert_nothing_left().await;
}

#[tokio::test]
async fn every_page_fits_a_phone() {
    let world = furnished().await;
    let browser = signed_in(&world, Screen::PHONE, "admin").await;
    let (kinds, wrong) = crawl(&browser, &doors(&world), overflow).await;
    assert!(kinds.len() > 25, "{kinds:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (path, name) in [
        ("/-/", "overview"),
        ("/-/keys", "keys"),
        ("/-/keys/new", "new"),
        ("/-/audit", "audit"),
    ] {
        browser.goto(path).await;
        browser.screenshot(&format!("page-{name}")).await;
    }
}

/// Those that no link leads to, because a form does; and what forms say when something is wrong.
#[tokio::test]
async fn nothing_is_wrong_with_what_forms_lead_to() {
    let world = office("kubeadapt").await;
    let browser = signed_in(&world, Screen::DESK, "admin").await;
    let mut wrong = Vec::new();
    browser.goto("/-/keys/new").await;
    browser.fill("Name", "new-key").await;
    browser.choose("organization:read").await;
    browser.choose("prod").await;
    browser.wait_for_text("on prod alone").await;
    wrong.extend(faults(&browser).await);
    browser.click("Create Key").await;
    wrong.extend(faults(&browser).await);
    browser.click("Try the key").await;
    wrong.extend(faults(&browser).await);
    browser.goto("/-/keys").await;
    browser.click_in("new-key", "Rotate").await;
    browser.click("Rotate key").await;
    wrong.extend(faults(&browser).await);
    browser.goto("/-/clusters/connect").await;
    browser.fill("Cluster id", "prod").await;
    browser.click("Connect cluster").await;
    assert_eq!(browser.heading().await, "Connect a cluster");
    browser.fill("Cluster id", "edge-1").await;
    browser.choose("Make its agent's token now").await;
    browser.click("Connect cluster").await;
    wrong.extend(faults(&browser).await);
    browser.goto("/-/users/invite").await;
    browser.fill("E-mail", "grace@acme.example").await;
    browser.select("Role", "viewer").await;
    browser.choose("No cluster").await;
    browser.click("Invite").await;
    wrong.extend(faults(&browser).await);
    browser.goto("/-/roles/new").await;
    browser.fill("Name", "finops").await;
    browser.choose("teams:read").await;
    browser.click("Save role").await;
    wrong.extend(faults(&browser).await);
    browser.goto("/-/profile/factor").await;
    browser.click("Show the picture").await;
    wrong.extend(faults(&browser).await);
    browser.click("Sign out").await;
    browser.fill("E-mail", "admin@acme.example").await;
    browser.fill("Password", "wrong").await;
    browser.click("Sign in").await;
    wrong.extend(faults(&browser).await);
    // What a browser notes by itself about forms that were refused.
    wrong.retain(|fault| !fault.contains("status of 4"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.assert_nothing_left().await;
}

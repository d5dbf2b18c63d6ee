//! Kubeadapt: minting an API key, rotating it, and inviting teammates.

use std::time::Duration;

use serde_json::json;

use super::{pasted, status};
use crate::{
    dashboard::{EVERYONE, assert_not_shown_again, give, office, shown_once, sign_in, signed_in},
    harness::{Browser, PASSWORD, Screen, World},
};

const ORGANIZATION: &str = "/v1/organization";
const CLUSTER: &str = "/v1/clusters/prod";
const OTHER_CLUSTER: &str = "/v1/clusters/dev";

/// The table of the text: category, scope, what it unlocks.
const PICKER: [[&str; 3]; 9] = [
    ["Organization", "organization:read", "Tenant metadata"],
    ["Clusters", "clusters:read", "Cluster inventory"],
    ["Workloads", "namespaces:read", "Namespace listing"],
    [
        "Workloads",
        "workloads:read",
        "Deployments, StatefulSets, DaemonSets, Jobs",
    ],
    [
        "Infrastructure",
        "nodes:read",
        "Node inventory and capacity",
    ],
    [
        "Recommendations",
        "recommendations:read",
        "Right-sizing and savings suggestions",
    ],
    ["Attribution", "teams:read", "Team allocations"],
    ["Attribution", "departments:read", "Department allocations"],
    ["Attribution", "cost_explorer:read", "Cost Explorer queries"],
];

/// The text's common minimum sets.
const SETS: [(&str, &[&str]); 4] = [
    (
        "Read-only Grafana / BI exporter",
        &[
            "organization:read",
            "clusters:read",
            "namespaces:read",
            "workloads:read",
            "nodes:read",
        ],
    ),
    (
        "Finance chargeback pipeline",
        &["teams:read", "departments:read", "organization:read"],
    ),
    (
        "SRE savings dashboard",
        &["recommendations:read", "clusters:read", "nodes:read"],
    ),
    ("Cost Explorer query proxy", &["cost_explorer:read"]),
];

/// KA-01: Settings → API Keys → + Create Key: a name and a scopes picker. KA-09: the full key is shown once. KA-24: a
/// per-cluster allow-list picker. And then the key is rotated, without a gap.
#[tokio::test]
async fn ka_01_09_24_a_key_is_minted_for_one_cluster_and_rotated() {
    for screen in EVERYONE {
        let world = office("kubeadapt").await;
        let browser = signed_in(&world, screen, "admin").await;
        let secret = mint(&world, &browser).await;
        assert_not_shown_again(&browser, &secret, &["/-/keys", "/-/keys/all"]).await;
        browser.click("grafana-export").await;
        assert!(!browser.source().await.contains(&secret));
        rotate(&world, &browser, &secret).await;
        assert_eq!(browser.console_errors().await, Vec::<String>::new());
    }
}

/// From the menu to a key that works; its text.
async fn mint(world: &World, browser: &Browser) -> String {
    browser.click("Settings").await;
    assert!(browser.text_of("main").await.contains("API Keys"));
    browser.screenshot("kubeadapt-1-settings").await;
    browser.click("API Keys").await;
    browser.screenshot("kubeadapt-2-keys").await;
    browser.click("+ Create Key").await;
    assert_eq!(browser.heading().await, "New key");
    browser.fill("Name", "grafana-export").await;
    browser.choose("organization:read").await;
    browser.choose("clusters:read").await;
    browser.choose("Only these clusters").await;
    browser.choose("prod").await;
    if browser.screen.script {
        assert!(!browser.has("Look again").await, "it looks by itself");
    } else {
        browser.click("Look again").await;
    }
    browser.wait_for_text("routes, on prod alone").await;
    browser.screenshot("kubeadapt-3-new").await;
    browser.click("Create Key").await;
    let secret = shown_once(browser, "ka_live_").await;
    browser.screenshot("kubeadapt-4-shown").await;
    assert_eq!(pasted(browser).await, "200");
    browser.click("Try the key").await;
    browser.wait_for_text("200 The key works.").await;
    browser.screenshot("kubeadapt-5-tried").await;
    for (path, expected) in [(CLUSTER, 200), (OTHER_CLUSTER, 403), ("/v1/nodes", 403)] {
        assert_eq!(status(world, &secret, path).await, expected, "{path}");
    }
    let list = world.with_key(&secret).get("/v1/clusters").await.json();
    assert_eq!(list["clusters"], json!([{ "id": "prod" }]));
    browser.click("Done").await;
    assert_eq!(browser.heading().await, "API Keys");
    browser.screenshot("kubeadapt-6-list").await;
    secret
}

/// The page of a key leads to its successor; both work until the old one ends.
async fn rotate(world: &World, browser: &Browser, old: &str) {
    browser.click("Rotate").await;
    browser.screenshot("kubeadapt-7-rotate").await;
    browser.click("Rotate key").await;
    let new = shown_once(browser, "ka_live_").await;
    browser.screenshot("kubeadapt-8-rotated").await;
    let both = async || {
        let old = status(world, old, CLUSTER).await;
        (old, status(world, &new, CLUSTER).await)
    };
    assert_eq!(both().await, (200, 200));
    assert_eq!(status(world, &new, OTHER_CLUSTER).await, 403);
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(both().await, (401, 200));
}

/// KA-03: at least one scope; every scope is `*:read`, grouped by category with what it unlocks; Create Key is enabled only
/// then. KA-06: the four common minimum sets.
#[tokio::test]
async fn ka_03_06_the_picker_and_its_minimum_sets() {
    let world = office("kubeadapt").await;
    for screen in EVERYONE {
        let browser = signed_in(&world, screen, "admin").await;
        browser.click("API Keys").await;
        browser.click("+ Create Key").await;
        let script = "
            return [...document.querySelectorAll('.categories fieldset')].flatMap((category) =>
              [...category.querySelectorAll('label')].map((pill) =>
                [category.querySelector('legend'), pill.querySelector('b'), pill.querySelector('small')]
                  .map((part) => part.innerText)))";
        assert_eq!(browser.script(script, Vec::new()).await, json!(PICKER));
        browser.fill("Name", "finance-chargeback").await;
        needs_a_scope(&browser).await;
        for (set, scopes) in SETS {
            browser.click(set).await;
            let mut expected: Vec<_> = scopes.to_vec();
            expected.sort_by_key(|scope| PICKER.iter().position(|row| row[1] == *scope));
            assert_eq!(chosen(&browser).await, json!(expected), "{set}");
            let pressed = browser.texts_of("[aria-pressed=true]").await;
            assert_eq!(pressed, [set]);
        }
        browser.screenshot("kubeadapt-9-sets").await;
        assert_eq!(browser.value("Name").await, "finance-chargeback");
        browser.click("Create Key").await;
        let secret = shown_once(&browser, "ka_live_").await;
        let path = "/v1/cost-explorer/query";
        assert_eq!(status(&world, &secret, path).await, 200);
        assert_eq!(status(&world, &secret, ORGANIZATION).await, 403);
    }
}

async fn chosen(browser: &Browser) -> serde_json::Value {
    let script =
        "return [...document.querySelectorAll('[name=scope]:checked')].map((box) => box.value)";
    browser.script(script, Vec::new()).await
}

/// Without a scope there is no key: the button is off, or, where no script can switch it off, the form says so.
async fn needs_a_scope(browser: &Browser) {
    if browser.screen.script {
        assert!(!browser.is_enabled("Create Key").await);
        browser.choose("teams:read").await;
        assert!(browser.is_enabled("Create Key").await);
        browser.choose("teams:read").await;
        assert!(!browser.is_enabled("Create Key").await);
    } else {
        browser.click("Create Key").await;
        assert_eq!(browser.heading().await, "New key");
        let wrong = browser.text_of("[role=alert]").await;
        assert!(wrong.contains("scope"), "{wrong}");
    }
}

/// KA-25: teammates are invited, and their roles set.
#[tokio::test]
async fn ka_25_a_teammate_is_invited_and_their_role_set() {
    let world = office("kubeadapt").await;
    for (number, screen) in EVERYONE.into_iter().enumerate() {
        invited(&world, screen, &format!("grace{number}@acme.example")).await;
    }
}

async fn invited(world: &World, screen: Screen, email: &str) {
    let browser = signed_in(world, screen, "admin").await;
    browser.click("Settings").await;
    browser.click("Users").await;
    browser.click("Invite a user").await;
    browser.fill("E-mail", email).await;
    browser.select("Role", "viewer").await;
    browser.choose("Only these clusters").await;
    browser.choose("prod").await;
    browser.screenshot("kubeadapt-10-invite").await;
    browser.click("Invite").await;
    let link = browser.text_of("#link").await;
    browser.screenshot("kubeadapt-11-invitation").await;
    browser.click("Sign out").await;
    join(&browser, &link, "a password of my own").await;
    browser.wait_for_text("Your password is set.").await;
    give(&browser, email, "a password of my own").await;
    assert_eq!(browser.heading().await, "Overview");
    assert_eq!(browser.text_of("header small").await, "viewer");
    browser.click("Sign out").await;
    // Once is enough.
    join(&browser, &link, "another password").await;
    assert_eq!(browser.heading().await, "Choose your password");
    sign_in(&browser, "admin@acme.example", PASSWORD).await;
    browser.click("Users").await;
    browser.click(email).await;
    browser.click("Change role or clusters").await;
    browser.select("Role", "editor").await;
    browser.screenshot("kubeadapt-13-role").await;
    browser.click("Save").await;
    browser.wait_for_text("The user is saved.").await;
    let facts = browser.text_of(".facts").await;
    assert!(
        facts.contains("editor") && facts.contains("prod"),
        "{facts}"
    );
}

/// Takes an invitation up; without script it is pasted from the link.
async fn join(browser: &Browser, link: &str, password: &str) {
    browser.goto(link).await;
    if !browser.screen.script {
        let (_, invitation) = link.split_once('#').expect("an invitation after the #");
        browser.fill("Invitation", invitation).await;
    }
    browser.fill("Password", password).await;
    browser.fill("The same again", password).await;
    browser.screenshot("kubeadapt-12-join").await;
    browser.click("Set password").await;
}

//! The policies of a gate, as its operator sees and changes them in a browser; and the audit as it is followed and asked.

use super::{EVERYONE, office, sign_in, signed_in};
use crate::{
    harness::{Browser, Key, PASSWORD, Screen},
    shipping::{component, push_there},
};

#[tokio::test]
async fn an_operator_goes_back_to_a_policy_and_promotes_another() {
    for screen in EVERYONE {
        let world = office("scopegate").await;
        let first = world.running().gate().policy().digest().to_owned();
        push_there(&world, component(2, "")).await;
        let second = world.running().gate().policy().digest().to_owned();
        world.add_operator("root@example.com").await;
        let browser = Browser::with(&world.url, screen).await;
        sign_in(&browser, "root@example.com", PASSWORD).await;
        browser.click("Policy").await;
        let page = browser.text().await;
        assert!(
            page.contains("shipped, version 2") && page.contains(&second),
            "{page}"
        );
        assert!(page.contains("Nothing is in the shadow."), "{page}");
        browser.click("Go back to it").await;
        assert_eq!(browser.heading().await, "Go back to this policy?");
        assert!(browser.text().await.contains(&first));
        browser.screenshot("operator-back").await;
        browser.click("Go back to it").await;
        browser.wait_for_text("The policy is active now.").await;
        assert_eq!(world.running().gate().policy().digest(), first);

        // The next one is tried beside it: what only the active one allows shows as a difference.
        let operator = world.manager("root@example.com").await;
        let shadowed = operator
            .request("POST", "/-/api/policies/shadow")
            .header("content-type", "application/wasm")
            .body(component(3, ""));
        assert_eq!(operator.send(shadowed).await.status, 201);
        let viewer = world.session("viewer").await;
        assert_eq!(viewer.get("/v1/clusters").await.status, 200);
        for _ in 0..200 {
            browser.reload().await;
            if browser.text().await.contains("Newly refused") {
                break;
            }
        }
        let page = browser.text().await;
        for said in [
            "Newly refused",
            "GET /v1/clusters",
            "viewer@acme.example",
            "1 different",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
        browser.screenshot("operator-shadow").await;
        browser.click("Make it the active one").await;
        browser.wait_for_text("The policy is active now.").await;
        let third = world.running().gate().policy().digest().to_owned();
        assert!(third != first && third != second);
        assert_eq!(viewer.get("/v1/clusters").await.status, 404);
    }
}

#[tokio::test]
async fn whether_somebody_may_do_something_is_answered_with_why() {
    let world = office("scopegate").await;
    for screen in EVERYONE {
        let browser = signed_in(&world, screen, "admin").await;
        browser.click("Policy").await;
        browser.select("Caller", "viewer@acme.example").await;
        browser.select("Method", "DELETE").await;
        browser.fill("Path", "/v1/clusters/prod").await;
        browser.click("Ask").await;
        let page = browser.text().await;
        assert!(page.contains("No: 403"), "{page}");
        assert!(
            page.contains("missing-permission: clusters:write"),
            "{page}"
        );
        browser.select("Method", "GET").await;
        browser.click("Ask").await;
        assert!(browser.text().await.contains("Yes"));
        browser.screenshot("policy-asked").await;
    }
}

#[tokio::test]
async fn the_audit_is_searched_by_its_address_and_followed_live() {
    let world = office("scopegate").await;
    let key = world
        .key(Key {
            name: "grafana-export",
            ..Key::default()
        })
        .await;
    key.get("/v1/clusters").await;
    key.get("/v1/no-such-thing").await;
    world.audit().await;
    for screen in EVERYONE {
        let browser = signed_in(&world, screen, "admin").await;
        browser.click("Audit").await;
        browser.select("Kind", "Requests").await;
        browser.select("Outcome", "Refused").await;
        browser.fill("Path begins with", "/v1/no-such").await;
        browser.click("Search").await;
        let address = browser.path().await;
        let page = browser.text_of("#rows").await;
        assert!(
            page.contains("GET /v1/no-such-thing") && page.contains("no-route"),
            "{page}"
        );
        assert!(!page.contains("GET /v1/clusters"), "{page}");
        // Passed on, the address shows the same.
        browser.goto("/-/").await;
        browser.goto(&address).await;
        assert_eq!(browser.text_of("#rows").await, page);
        browser.screenshot("audit-searched").await;
    }
    let browser = signed_in(&world, Screen::DESK, "admin").await;
    browser.goto("/-/audit?kind=request&path=/v1/").await;
    browser.click("Follow live").await;
    assert!(!browser.text().await.contains("/v1/just-now"));
    key.get("/v1/just-now").await;
    world.audit().await;
    browser.wait_for_text("GET /v1/just-now").await;
    browser.click("Stop following").await;
}

//! Words that are script, wherever somebody can write any: stored, and in addresses.

use super::super::{
    office,
    pages::{crawl, doors},
    signed_in,
};
use crate::harness::{Browser, Key, Screen};

/// Ends an attribute, an element and a comment, begins others, and is what some template engines count.
const WORDS: &str =
    r#"'"--></textarea><script>window.pwned=1</script><img src=x onerror="window.pwned=1">{{7*7}}"#;

/// What of it has become part of the page.
async fn injected(browser: &Browser) -> Vec<String> {
    let script = "
        const own = document.querySelectorAll('script:not([src]), img[src=x], [onerror], [style]').length;
        return window.pwned || own > 0 || document.body.innerText.includes('>49')
          ? location.href : null";
    let found = browser.script(script, Vec::new()).await;
    let mut injected: Vec<_> = found.as_str().map(str::to_owned).into_iter().collect();
    injected.extend(browser.console_errors().await);
    injected
}

#[tokio::test]
async fn stored_words_stay_words() {
    let world = office("k8cost").await;
    for owner in ["admin@acme.example", "viewer@acme.example"] {
        let key = Key {
            name: WORDS,
            owner,
            ..Key::default()
        };
        let key = world.key(key).await;
        let path = "/api/v1/clusters/%3Cscript%3Ewindow.pwned=1%3C%2Fscript%3E";
        let words = [("user-agent", WORDS), ("x-cluster-id", WORDS)];
        key.get_with(path, &words).await;
        assert_eq!(key.get("/api/v1/clusters").await.status, 200);
    }
    let browser = signed_in(&world, Screen::DESK, "admin").await;
    browser.goto("/-/settings/organization").await;
    browser.click("Rename").await;
    browser.fill("Name", WORDS).await;
    browser.click("Save").await;
    browser.goto("/-/clusters/prod/agents/new").await;
    browser.fill("Name", WORDS).await;
    browser.click("Make token").await;
    assert_eq!(browser.heading().await, "Copy the token now");
    world.audit().await;
    let (kinds, wrong) = crawl(&browser, &doors(&world), injected).await;
    assert!(kinds.len() > 20, "{kinds:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // They do stand there, as words.
    for page in [
        "/-/keys",
        "/-/settings/organization",
        "/-/clusters/prod",
        "/-/audit?kind=request&path=/api",
    ] {
        browser.goto(page).await;
        let text = browser.text().await;
        assert!(text.contains("onerror="), "{page}: {text}");
    }
}

#[tokio::test]
async fn words_in_addresses_stay_words() {
    let world = office("kubeadapt").await;
    let browser = Browser::open(&world).await;
    let words: String = url::form_urlencoded::byte_serialize(WORDS.as_bytes()).collect();
    let mut wrong = Vec::new();
    let mut visit = async |page: &str, names: &[&str]| {
        let query: Vec<_> = names.iter().map(|name| format!("{name}={words}")).collect();
        browser.goto(&format!("{page}?{}", query.join("&"))).await;
        let found = injected(&browser).await.into_iter();
        wrong.extend(found.filter(|fault| !fault.contains("status of 4")));
    };
    visit("/-/sign-in", &["next", "done", "again", "email"]).await;
    visit("/-/join", &["done", "invitation"]).await;
    super::super::sign_in(&browser, "admin@acme.example", crate::harness::PASSWORD).await;
    for (page, names) in [
        ("/-/", &["done"] as &[_]),
        ("/-/keys", &["name", "state", "sort", "cursor", "done"]),
        ("/-/keys", &["name"]),
        (
            "/-/keys/new",
            &["name", "scope", "cluster", "reach", "expires", "date"],
        ),
        ("/-/users", &["email"]),
        ("/-/audit", &["user", "path", "reason", "action", "subject"]),
        (
            "/-/audit",
            &[
                "span",
                "kind",
                "outcome",
                "from",
                "to",
                "credential",
                "cursor",
            ],
        ),
        ("/-/policy", &["who", "method", "path"]),
        ("/-/clusters", &["cursor"]),
    ] {
        visit(page, names).await;
    }
    visit(&format!("/-/clusters/{words}"), &[]).await;
    visit(&format!("/-/roles/{words}"), &[]).await;
    visit(&format!("/-/{words}"), &[]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

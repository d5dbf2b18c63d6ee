//! Forms, requests and frames of other sites, in the browser of somebody who has signed in.

use super::super::{
    office, signed_in,
    site::{Page, Site},
};
use crate::harness::{Actor, Browser, PASSWORD, Screen, World};

/// What an attacker would have the victim send: where to, and the fields.
type Forgery = (String, Vec<(&'static str, String)>);

fn forgeries(world: &World) -> Vec<Forgery> {
    let text = str::to_owned;
    let viewer = world.user("viewer@acme.example");
    vec![
        (
            text("/-/keys/new"),
            vec![
                ("name", text("forged")),
                ("reach", text("all")),
                ("do", text("make")),
            ],
        ),
        (format!("/-/users/{viewer}/disable"), Vec::new()),
        (
            text("/-/settings/organization/rename"),
            vec![("name", text("forged"))],
        ),
        (
            text("/-/profile/password"),
            vec![
                ("current", text(PASSWORD)),
                ("new", text("a forged password")),
                ("repeated", text("a forged password")),
            ],
        ),
        (text("/-/sign-out"), vec![("everywhere", text("yes"))]),
        (
            text("/-/sign-in"),
            vec![
                ("email", text("viewer@acme.example")),
                ("password", text(PASSWORD)),
            ],
        ),
    ]
}

/// A page that sends a form as soon as it is there.
fn form(target: &str, fields: &[(&str, String)], enctype: &str) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| {
            let value = value.replace('"', "&quot;");
            format!(r#"<input type="hidden" name='{name}' value="{value}">"#)
        })
        .collect();
    format!(
        r#"<!doctype html><title>Prize</title><form method="post" action="{target}" enctype="{enctype}">{fields}</form>
        <script>document.forms[0].submit()</script>"#
    )
}

/// A page that sends the same by itself, with the victim's cookies, and says when it has.
fn fetch(target: &str, fields: &[(&str, String)]) -> String {
    let fields = serde_json::json!(fields);
    format!(
        r#"<!doctype html><title>Prize</title><p id="sent"></p><script>
        fetch("{target}", {{ method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams({fields}) }})
          .catch(() => null).then(() => {{ document.getElementById("sent").textContent = "sent" }})</script>"#
    )
}

/// The proof of a form that the attacker was given in a session of their own.
async fn proof_of(world: &World, email: &str) -> String {
    let token = world
        .session(email)
        .await
        .credential_value()
        .replace("Bearer ", "");
    let request = world.anonymous().request("GET", "/-/");
    let request = request.header("cookie", format!("scopegate={token}"));
    let page = world.anonymous().send(request).await;
    hidden(&page.body)
}

/// What proves the form of this page.
pub(super) fn hidden(page: &str) -> String {
    let (_, rest) = page.split_once(r#"name="form" value=""#).expect("a form");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Fails when anything has come of it.
async fn assert_nothing_happened(admin: &Actor, browser: &Browser, attack: &str) {
    browser.goto("/-/").await;
    assert_eq!(browser.heading().await, "Overview", "{attack}");
    let who = browser.text_of(".who").await;
    assert!(who.contains("admin@acme.example"), "{attack}: {who}");
    let keys = admin.get("/-/api/organization/keys").await.json();
    assert_eq!(keys["items"], serde_json::json!([]), "{attack}");
    let users = admin.get("/-/api/users").await.body;
    assert!(!users.contains(r#""disabled_at":""#), "{attack}: {users}");
    let organization = admin.get("/-/api/organization").await.json();
    assert_eq!(organization["name"], "acme", "{attack}");
}

#[tokio::test]
async fn forged_forms_change_nothing() {
    let world = office("k8cost").await;
    let stolen = proof_of(&world, "viewer@acme.example").await;
    let mut pages = Vec::new();
    for (path, mut fields) in forgeries(&world) {
        let target = format!("{}{path}", world.url);
        let number = pages.len();
        let unproven = fetch(&target, &fields);
        fields.push(("form", stolen.clone()));
        let proven = form(&target, &fields, "application/x-www-form-urlencoded");
        pages.push((format!("/{number}/fetch"), unproven));
        pages.push((format!("/{number}/form"), proven));
    }
    // A form can write JSON, all but its name.
    let json = [(r#"{"name":"forged","x":""#, r#""}"#.to_owned())];
    let api = format!("{}/-/api/keys", world.url);
    pages.push(("/api/form".to_owned(), form(&api, &json, "text/plain")));
    let served = pages
        .iter()
        .map(|(path, html)| (path.as_str(), None, html.clone()));
    let served: Vec<Page<'_>> = served.collect();
    let site = Site::of(&served).await;
    let browser = signed_in(&world, Screen::DESK, "admin").await;
    let admin = world.session("admin").await;
    for origin in [site.same_site(), site.cross_site()] {
        for (path, _) in &pages {
            let attack = format!("{origin}{path}");
            browser.goto(&attack).await;
            if path.ends_with("/fetch") {
                browser.wait_for_text("sent").await;
            } else {
                browser.wait_for_own_page().await;
            }
            assert_nothing_happened(&admin, &browser, &attack).await;
        }
    }
    // The same is done when the page itself asks for it.
    browser.goto("/-/keys/new").await;
    browser.fill("Name", "own").await;
    browser.click("Create Token").await;
    assert_eq!(browser.heading().await, "Copy the key now");
}

#[tokio::test]
async fn no_page_can_be_framed() {
    let world = office("k8cost").await;
    let framing =
        |url: &str| format!(r#"<!doctype html><title>Prize</title><iframe src="{url}"></iframe>"#);
    let keys = format!("{}/-/keys", world.url);
    let sign_in_page = format!("{}/-/sign-in", world.url);
    let site = Site::of(&[
        ("/own", None, framing("/framed")),
        ("/framed", None, "<p>in a frame</p>".to_owned()),
        ("/keys", None, framing(&keys)),
        ("/sign-in", None, framing(&sign_in_page)),
    ])
    .await;
    let browser = signed_in(&world, Screen::DESK, "admin").await;
    for origin in [site.same_site(), site.cross_site()] {
        browser.goto(&format!("{origin}/own")).await;
        assert_eq!(browser.framed().await.1, "in a frame");
        for path in ["/keys", "/sign-in"] {
            browser.goto(&format!("{origin}{path}")).await;
            let (url, text) = browser.framed().await;
            assert!(
                url.starts_with("chrome-error:"),
                "{origin}{path}: {url}: {text}"
            );
        }
    }
}

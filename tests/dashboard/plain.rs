//! What a browser is not needed for: what pages count, what their cookie opens, what forms are believed, what files say.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::{Actor, Key, Options, PASSWORD, Reply, World};

/// Somebody with a session in a browser's cookie.
pub(super) struct Visitor {
    world: Actor,
    cookie: String,
}

impl Visitor {
    /// A user who has signed in just now.
    pub(super) async fn of(world: &World, email: &str) -> Self {
        Self::with(world, &token(world, email).await)
    }

    fn with(world: &World, token: &str) -> Self {
        Self {
            world: Actor::new(&world.management, None),
            cookie: format!("scopegate={token}"),
        }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.world
            .request(method, path)
            .header("cookie", &self.cookie)
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.world.send(self.request("GET", path)).await
    }

    /// What a page's form would send, and where from.
    async fn post(&self, path: &str, fields: &[(&str, &str)], site: &str) -> Reply {
        let form = fields.iter().fold(
            form_urlencoded::Serializer::new(String::new()),
            |mut form, (name, value)| {
                form.append_pair(name, value);
                form
            },
        );
        let mut form = form;
        let request = self
            .request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site)
            .body(form.finish());
        self.world.send(request).await
    }

    /// The same from a page of the dashboard's own, with its proof.
    pub(super) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let proof = self.proof().await;
        let mut with_proof = vec![("form", proof.as_str())];
        with_proof.extend_from_slice(fields);
        self.post(path, &with_proof, "same-origin").await
    }

    async fn proof(&self) -> String {
        let page = self.get("/-/").await;
        value_of(&page.body, "form").expect("a form with a proof")
    }
}

/// The token of a session that is opened just now.
async fn token(world: &World, email: &str) -> String {
    let body = json!({ "email": email, "password": PASSWORD });
    let reply = Actor::new(&world.management, None)
        .post("/-/login", body)
        .await;
    reply.json()["token"].as_str().expect("a token").to_owned()
}

/// The value of a hidden field.
fn value_of(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// A server whose management listener is its own.
async fn world() -> World {
    World::start("scopegate").await
}

fn remaining(reply: &Reply) -> i64 {
    let left = reply.header("x-ratelimit-remaining");
    left.parse().expect("what is left")
}

#[tokio::test]
async fn a_page_counts_as_one_request_however_much_is_on_it() {
    let world = world().await;
    let token = token(&world, "admin@acme.example").await;
    let visitor = Visitor::with(&world, &token);
    let api = world.manager_with(&token);
    for page in [
        "/-/",
        "/-/keys/new",
        "/-/policy",
        "/-/audit",
        "/-/users",
        "/-/roles",
    ] {
        let before = remaining(&api.get("/-/api/me").await);
        assert_eq!(visitor.get(page).await.status, 200, "{page}");
        let after = remaining(&api.get("/-/api/me").await);
        assert_eq!(before - after, 2, "{page}");
    }
}

#[tokio::test]
async fn a_page_over_the_limit_is_refused_in_words() {
    let world = World::with(Options {
        adjust: |contract| contract.limits.session = 3,
        ..Options::of("scopegate")
    })
    .await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    for _ in 0..3 {
        assert_eq!(visitor.get("/-/keys").await.status, 200);
    }
    let refused = visitor.get("/-/keys").await;
    assert_eq!(refused.status, 429);
    assert!(refused.body.contains("Try again in"), "{}", refused.body);
    world.clock.advance(Duration::from_secs(180));
    assert_eq!(visitor.get("/-/keys").await.status, 200);
}

#[tokio::test]
async fn the_cookie_opens_pages_and_nothing_else() {
    let world = world().await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    assert_eq!(visitor.get("/-/").await.status, 200);
    assert_eq!(visitor.get("/-/api/me").await.status, 401);
    let product = world.anonymous();
    let with_cookie = product
        .request("GET", "/v1/clusters")
        .header("cookie", &visitor.cookie);
    assert_eq!(product.send(with_cookie).await.status, 401);
    // On a listener of their own, the pages are there alone.
    let page = product
        .request("GET", "/-/keys")
        .header("cookie", &visitor.cookie);
    assert_eq!(product.send(page).await.status, 404);
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn the_cookie_never_goes_on_to_the_upstream() {
    let world = world().await;
    let key = world.key(Key::default()).await;
    let cookie = "theme=dark; scopegate=a.b.c; __Host-scopegate=d.e.f; scopegate-form=g; lang=en";
    let request = key
        .request("GET", "/v1/organization")
        .header("cookie", cookie);
    assert_eq!(key.send(request).await.status, 200);
    assert_eq!(
        world.upstream.last().header("cookie"),
        "theme=dark; lang=en"
    );
}

#[tokio::test]
async fn every_answer_has_what_keeps_other_pages_out() {
    let world = world().await;
    let visitor = Visitor::of(&world, "viewer@acme.example").await;
    let nobody = Actor::new(&world.management, None);
    let style = {
        let page = nobody.get("/-/sign-in").await.body;
        let (_, rest) = page
            .split_once("href=\"/-/assets/style.css")
            .expect("a style sheet");
        format!(
            "/-/assets/style.css{}",
            rest.split_once('"').expect("its end").0
        )
    };
    let replies = [
        visitor.get("/-/").await,
        visitor.get("/-/nothing").await,
        visitor.get("/-/users").await,
        visitor.get("/-/keys/nothing").await,
        visitor.request_of("DELETE", "/-/keys").await,
        nobody.get("/-/sign-in").await,
        nobody.get("/-/keys").await,
        nobody.get(&style).await,
    ];
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 404, 403, 404, 404, 200, 303, 200]);
    for (place, reply) in replies.iter().enumerate() {
        // `/-/nothing` is no page, and answered by the gate itself.
        if place == 1 {
            continue;
        }
        let policy = reply.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';"),
            "{place}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{place}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{place}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{place}");
        let kept = reply.header("cache-control");
        assert_eq!(kept.contains("no-store"), place != 7, "{place}: {kept}");
    }
}

impl Visitor {
    async fn request_of(&self, method: &str, path: &str) -> Reply {
        self.world.send(self.request(method, path)).await
    }
}

#[tokio::test]
async fn a_form_is_believed_from_its_own_page_alone() {
    let world = world().await;
    let (_, key) = world.mint_key(Key::default()).await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    let other = Visitor::of(&world, "editor@acme.example").await;
    let (own, others) = (visitor.proof().await, other.proof().await);
    assert_ne!(own, others);
    let path = format!("/-/keys/{key}/revoke");
    for (proof, site) in [
        ("", "same-origin"),
        (others.as_str(), "same-origin"),
        (own.as_str(), "cross-site"),
        (own.as_str(), "same-site"),
        (own.as_str(), "none"),
    ] {
        let refused = visitor.post(&path, &[("form", proof)], site).await;
        assert_eq!(refused.status, 403, "{site}: {}", refused.body);
        assert!(
            refused.body.contains("Not from this page"),
            "{}",
            refused.body
        );
    }
    // A browser that has no `Sec-Fetch-Site` says where it comes from.
    let request = visitor
        .request("POST", &path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "https://evil.example")
        .body(format!("form={own}"));
    assert_eq!(visitor.world.send(request).await.status, 403);
    // Nothing of all that revoked anything, and the form's own page does.
    let state = visitor.get(&format!("/-/keys/{key}")).await.body;
    assert!(state.contains("badge-active"), "{state}");
    let done = visitor.post(&path, &[("form", &own)], "same-origin").await;
    assert_eq!(done.header("location"), "/-/keys?done=key-revoked");
    let state = visitor.get(&format!("/-/keys/{key}")).await.body;
    assert!(state.contains("badge-revoked"), "{state}");
}

/// Signs in through the form; `further` headers are of whoever is in front.
async fn signs_in(world: &World, next: &str, further: &[(&str, &str)]) -> Reply {
    let stranger = Actor::new(&world.management, None);
    let page = stranger.get("/-/sign-in").await;
    let cookie = page
        .header("set-cookie")
        .split(';')
        .next()
        .expect("a cookie")
        .to_owned();
    let proof = value_of(&page.body, "form").expect("a proof");
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("form", &proof)
        .append_pair("next", next)
        .append_pair("email", "admin@acme.example")
        .append_pair("password", PASSWORD);
    let request = stranger
        .request("POST", "/-/sign-in")
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .body(form.finish());
    let request = further.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    stranger.send(request).await
}

#[tokio::test]
async fn signing_in_leads_on_to_pages_of_the_dashboard_alone() {
    let world = world().await;
    for (next, leads_to) in [
        ("/-/audit?outcome=refuse", "/-/audit?outcome=refuse"),
        ("", "/-/"),
        ("https://evil.example/", "/-/"),
        ("//evil.example", "/-/"),
        ("/\\evil.example", "/-/"),
        ("/-/..//evil.example", "/-/"),
        ("/-/\t/evil.example", "/-/"),
        ("/v1/clusters", "/-/"),
        ("/-/api/me", "/-/"),
        ("javascript:alert(1)", "/-/"),
        ("/-/sign-out", "/-/"),
    ] {
        let reply = signs_in(&world, next, &[]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert_eq!(reply.header("location"), leads_to, "{next}");
    }
}

#[tokio::test]
async fn the_session_is_for_https_alone_where_it_was_reached_by_that() {
    let world = World::with(Options {
        trusted_proxies: &["127.0.0.1/32"],
        ..Options::of("scopegate")
    })
    .await;
    let cookies = |reply: &Reply| -> Vec<String> {
        let lines = reply.headers.get_all("set-cookie").iter();
        let lines = lines.map(|line| line.to_str().expect("text").to_owned());
        lines.filter(|line| !line.contains("Max-Age=0")).collect()
    };
    let plain = cookies(&signs_in(&world, "", &[]).await);
    assert_eq!(plain.len(), 1, "{plain:?}");
    assert!(
        plain[0].starts_with("scopegate=")
            && plain[0].contains("; Path=/-/; HttpOnly; SameSite=Lax")
    );
    let behind = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.7"),
    ];
    let secure = cookies(&signs_in(&world, "", &behind).await);
    assert_eq!(secure.len(), 1, "{secure:?}");
    assert!(secure[0].starts_with("__Host-scopegate="), "{secure:?}");
    assert!(
        secure[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{secure:?}"
    );
}

#[tokio::test]
async fn exports_have_all_that_the_filters_find() {
    let world = world().await;
    let key = world.key(Key::default()).await;
    for path in ["/v1/clusters", "/v1/no-such-route", "/v1/=cmd"] {
        key.get(path).await;
    }
    world.running().gate().flush().await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    let lines = visitor
        .get("/-/audit/export.jsonl?kind=request&reason=no-route")
        .await;
    assert_eq!(
        lines.header("content-disposition"),
        "attachment; filename=\"audit.jsonl\""
    );
    let records: Vec<Value> = lines
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let paths: Vec<&str> = records
        .iter()
        .filter_map(|record| record["path"].as_str())
        .collect();
    assert_eq!(paths, ["/v1/=cmd", "/v1/no-such-route"]);
    // More than one page of the API.
    for _ in 0..230 {
        key.get("/v1/organization").await;
    }
    world.running().gate().flush().await;
    let csv = visitor
        .get("/-/audit/export.csv?kind=request&path=/v1/organization")
        .await;
    assert_eq!(
        csv.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    let rows: Vec<&str> = csv
        .body
        .split("\r\n")
        .filter(|row| !row.is_empty())
        .collect();
    assert!(rows[0].starts_with("seq,time,kind,name,"), "{}", rows[0]);
    // A key's limit is 200 a minute: refusals over it are recorded as one where there are many.
    assert!(rows.len() > 200, "{}", rows.len());
    // Another organization's audit is another one's.
    let viewer = Visitor::of(&world, "viewer@acme.example").await;
    assert_eq!(viewer.get("/-/audit/export.csv").await.status, 403);
}

#[tokio::test]
async fn what_a_visitor_may_not_do_is_not_shown_and_refused_anyway() {
    let world = world().await;
    let viewer = Visitor::of(&world, "viewer@acme.example").await;
    let page = viewer.get("/-/").await.body;
    for hidden in ["/-/users", "/-/audit", "/-/organizations"] {
        assert!(!page.contains(&format!("href=\"{hidden}\"")), "{hidden}");
        assert_eq!(viewer.get(hidden).await.status, 403, "{hidden}");
    }
    let (_, of_admin) = world.mint_key(Key::default()).await;
    assert_eq!(viewer.get(&format!("/-/keys/{of_admin}")).await.status, 404);
    let revoke = format!("/-/keys/{of_admin}/revoke");
    assert_eq!(viewer.submit(&revoke, &[]).await.status, 404);
    for (path, fields) in [
        (
            "/-/users/invite",
            vec![
                ("email", "x@acme.example"),
                ("role", "admin"),
                ("reach", "all"),
            ],
        ),
        ("/-/clusters/connect", vec![("id", "mine")]),
        ("/-/policy/activate", vec![("digest", "previous")]),
        ("/-/policy/shadow/promote", vec![]),
    ] {
        let refused = viewer.submit(path, &fields).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_session_that_has_ended_leads_back_to_signing_in_and_to_the_page() {
    let world = world().await;
    let token = token(&world, "admin@acme.example").await;
    let visitor = Visitor::with(&world, &token);
    assert_eq!(visitor.get("/-/keys").await.status, 200);
    let all = world.manager_with(&token);
    assert_eq!(all.call("DELETE", "/-/api/sessions").await.status, 200);
    let reply = visitor.get("/-/keys?state=active").await;
    assert_eq!(reply.status, 303);
    assert_eq!(
        reply.header("location"),
        "/-/sign-in?next=%2F-%2Fkeys%3Fstate%3Dactive"
    );
}

#[tokio::test]
async fn what_mints_needs_a_recent_sign_in_and_comes_back() {
    let world = world().await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    assert_eq!(visitor.get("/-/keys/new").await.status, 200);
    world.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(visitor.get("/-/keys").await.status, 200);
    let asked = visitor.get("/-/keys/new").await;
    assert_eq!(
        asked.header("location"),
        "/-/sign-in?next=%2F-%2Fkeys%2Fnew&again=yes"
    );
    let sent = visitor
        .submit("/-/keys/new", &[("name", "late"), ("do", "make")])
        .await;
    assert_eq!(
        sent.header("location"),
        "/-/sign-in?next=%2F-%2Fkeys%2Fnew&again=yes"
    );
}

#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_key() {
    let world = world().await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    let page = visitor.get("/-/keys/new").await.body;
    let once = value_of(&page, "once").expect("what makes it harmless");
    let fields = [("name", "twice"), ("once", once.as_str()), ("do", "make")];
    let first = visitor.submit("/-/keys/new", &fields).await;
    assert!(
        first.body.contains("id=\"secret\">sg_live_"),
        "{}",
        first.body
    );
    let second = visitor.submit("/-/keys/new", &fields).await;
    assert_eq!(second.status, 200);
    assert!(second.body.contains("sent a second time") && !second.body.contains("sg_live_"));
    let admin = world.manager_with(&token(&world, "admin@acme.example").await);
    let found = admin.get("/-/api/keys?name=twice").await.json();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["items"][0]["scopes"], json!(null));
}

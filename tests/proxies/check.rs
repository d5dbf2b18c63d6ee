//! `/-/check` itself, without a proxy: whom it answers, and what it reads.

use scopegate_server::Dialect;

use crate::harness::{Key, Options, World, raw};

const DIALECTS: [Dialect; 4] = [
    Dialect::Nginx,
    Dialect::Traefik,
    Dialect::Caddy,
    Dialect::Envoy,
];
const TARGET: &str = "/v1/clusters/prod";

async fn world(dialect: Dialect) -> World {
    World::with(Options {
        trusted_proxies: &["127.0.0.0/8"],
        check: Some(dialect),
        ..Options::of("scopegate")
    })
    .await
}

/// The request line and the headers by which a dialect asks about this.
fn question(dialect: Dialect, method: &str, target: &str) -> (String, Vec<String>) {
    let told = |prefix: &str| {
        (
            "GET /-/check HTTP/1.1".to_owned(),
            vec![
                format!("X-{prefix}-Method: {method}"),
                format!("X-{prefix}-Uri: {target}"),
                format!("X-{prefix}-Host: api.example"),
            ],
        )
    };
    match dialect {
        Dialect::Nginx => told("Original"),
        Dialect::Traefik | Dialect::Caddy => told("Forwarded"),
        Dialect::Envoy => (format!("{method} /-/check{target} HTTP/1.1"), Vec::new()),
    }
}

async fn ask(world: &World, question: &(String, Vec<String>), more: &[&str]) -> String {
    let mut headers: Vec<&str> = question.1.iter().map(String::as_str).collect();
    headers.extend(more);
    world.raw_request(&question.0, &headers).await
}

fn header<'r>(reply: &'r str, name: &str) -> Option<&'r str> {
    let head = reply.split("\r\n\r\n").next().expect("a head");
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn only_a_trusted_proxy_finds_anything_here() {
    for dialect in DIALECTS {
        let stranger = World::with(Options {
            trusted_proxies: &["10.0.0.0/8"],
            check: Some(dialect),
            ..Options::of("scopegate")
        })
        .await;
        let nobody = World::start("scopegate").await;
        for world in [stranger, nobody] {
            let key = world.key(Key::default()).await;
            let credential = format!("X-Api-Key: {}", key.credential_value());
            let forged = "X-Forwarded-For: 10.0.0.1";
            let reply = ask(
                &world,
                &question(dialect, "GET", TARGET),
                &[&credential, forged],
            )
            .await;
            let other = world
                .raw_request("GET /-/nothing HTTP/1.1", &[&credential])
                .await;
            for reply in [&reply, &other] {
                assert_eq!(raw::status_of(reply), 404, "{dialect:?}: {reply}");
                assert!(reply.contains("\"code\":\"no-route\""), "{reply}");
            }
        }
    }
}

#[tokio::test]
async fn it_is_on_the_public_listener_alone() {
    let world = world(Dialect::Nginx).await;
    let management = world.management.strip_prefix("http://").expect("http");
    let asked = question(Dialect::Nginx, "GET", "/v1/health");
    assert_eq!(raw::status_of(&ask(&world, &asked, &[]).await), 200);
    let headers: Vec<&str> = asked.1.iter().map(String::as_str).collect();
    let there = raw::raw_request(management.parse().expect("an address"), &asked.0, &headers);
    assert_eq!(raw::status_of(&there.await), 404);
}

#[tokio::test]
async fn an_allow_is_a_200_without_a_body_and_with_every_header() {
    for dialect in DIALECTS {
        let world = world(dialect).await;
        let key = world.key(Key::default()).await;
        let credential = format!("X-Api-Key: {}", key.credential_value());
        let reply = ask(&world, &question(dialect, "GET", TARGET), &[&credential]).await;
        assert_eq!(raw::status_of(&reply), 200, "{dialect:?}: {reply}");
        assert!(reply.ends_with("\r\n\r\n"), "{reply}");
        assert_eq!(header(&reply, "content-length"), Some("0"), "{reply}");
        for name in [
            "x-scopegate-subject",
            "x-scopegate-organization",
            "x-scopegate-credential",
            "x-scopegate-roles",
            "x-scopegate-scopes",
            "x-scopegate-clusters",
            "x-request-id",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ] {
            assert!(
                header(&reply, name).is_some_and(|value| !value.is_empty()),
                "{reply}"
            );
        }
        let target = header(&reply, "x-scopegate-uri");
        assert_eq!(
            target,
            (dialect == Dialect::Nginx).then_some(TARGET),
            "{dialect:?}"
        );
        let removed = header(&reply, "x-envoy-auth-headers-to-remove");
        assert_eq!(removed.is_some(), dialect == Dialect::Envoy, "{dialect:?}");
        if let Some(removed) = removed {
            assert!(removed.contains("authorization") && removed.contains("x-api-key"));
            assert!(!removed.contains("x-scopegate-"), "{removed}");
        }
        assert_eq!(world.upstream.count(), 0);
    }
}

#[tokio::test]
async fn the_headers_of_other_dialects_say_nothing() {
    for dialect in DIALECTS {
        let world = world(dialect).await;
        // `/v1/health` is open to everybody.
        let lies = [
            "X-Original-URI: /v1/health",
            "X-Original-Method: GET",
            "X-Forwarded-Uri: /v1/health",
            "X-Forwarded-Method: GET",
            "X-Original-URL: /v1/health",
            "X-Rewrite-URL: /v1/health",
            "X-HTTP-Method-Override: GET",
        ];
        let own = match dialect {
            Dialect::Nginx => "X-Original-",
            Dialect::Traefik | Dialect::Caddy => "X-Forwarded-",
            Dialect::Envoy => "none",
        };
        let foreign: Vec<&str> = lies
            .into_iter()
            .filter(|line| !line.starts_with(own) || line.contains("-URL"))
            .collect();
        let reply = ask(&world, &question(dialect, "GET", TARGET), &foreign).await;
        assert_eq!(raw::status_of(&reply), 401, "{dialect:?}: {reply}");
        // And without its own, there is no question.
        if dialect != Dialect::Envoy {
            let reply = world.raw_request("GET /-/check HTTP/1.1", &foreign).await;
            assert_eq!(raw::status_of(&reply), 400, "{dialect:?}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    for dialect in [Dialect::Nginx, Dialect::Traefik, Dialect::Caddy] {
        let world = world(dialect).await;
        let (line, headers) = question(dialect, "GET", "/v1/health");
        let [method, target, host] = headers.as_slice() else {
            panic!("three");
        };
        let twice = [method, target, method, target, host].map(String::as_str);
        let cases: [(&str, &[&str]); 9] = [
            ("nothing", &[]),
            ("no target", &[method]),
            ("no method", &[target]),
            ("all twice", &twice),
            ("another target", &[method, target, target]),
            ("another host", &[method, target, host, host]),
            (
                "no path",
                &[method, &target.replace("/v1/health", "v1/health")],
            ),
            ("a star", &[method, &target.replace("/v1/health", "*")]),
            (
                "a method in lower case",
                &[&method.replace("GET", "get"), target],
            ),
        ];
        for (what, headers) in cases {
            let reply = world.raw_request(&line, headers).await;
            assert_eq!(raw::status_of(&reply), 400, "{dialect:?}: {what}: {reply}");
        }
        let reply = world
            .raw_request(&line, &[method, target, "Connection: X-Cluster-Id"])
            .await;
        assert_eq!(raw::status_of(&reply), 400, "{dialect:?}: {reply}");
        for other in ["POST", "HEAD", "PUT", "OPTIONS"] {
            let line = line.replace("GET", other);
            let reply = world.raw_request(&line, &[method, target]).await;
            assert_eq!(raw::status_of(&reply), 405, "{dialect:?}: {other}: {reply}");
            assert_eq!(header(&reply, "allow"), Some("GET"));
        }
        let reply = world
            .raw_request(&line.replace("check", "check/v1/health"), &[method, target])
            .await;
        assert_eq!(raw::status_of(&reply), 404, "{dialect:?}: {reply}");
    }
    let world = world(Dialect::Envoy).await;
    for (path, status) in [
        ("/-/check", 400),
        ("/-/checks/v1/health", 404),
        ("/-/check?/v1/health", 400),
    ] {
        let reply = world
            .raw_request(&format!("GET {path} HTTP/1.1"), &[])
            .await;
        assert_eq!(raw::status_of(&reply), status, "{path}: {reply}");
    }
    for method in ["GET", "HEAD"] {
        let line = format!("{method} /-/check/v1/health HTTP/1.1");
        assert_eq!(
            raw::status_of(&world.raw_request(&line, &[]).await),
            200,
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_target_that_the_proxy_forwards_as_it_came_must_be_in_its_normal_form() {
    for dialect in DIALECTS {
        let world = world(dialect).await;
        let key = world.key(Key::default()).await;
        let credential = format!("X-Api-Key: {}", key.credential_value());
        for target in [
            "/v1//clusters/prod",
            "/v1/./clusters/prod",
            "/v1/%63lusters/prod",
        ] {
            let reply = ask(&world, &question(dialect, "GET", target), &[&credential]).await;
            if dialect == Dialect::Nginx {
                assert_eq!(raw::status_of(&reply), 200, "{target}: {reply}");
                assert_eq!(header(&reply, "x-scopegate-uri"), Some(TARGET));
            } else {
                assert_eq!(
                    raw::status_of(&reply),
                    400,
                    "{dialect:?}: {target}: {reply}"
                );
            }
        }
    }
}

/// nginx drops bodies, so it gets the reason apart; the others hand every header on to the client.
#[tokio::test]
async fn the_reason_is_apart_where_bodies_are_dropped() {
    for dialect in DIALECTS {
        let world = world(dialect).await;
        let reply = ask(&world, &question(dialect, "GET", TARGET), &[]).await;
        assert_eq!(raw::status_of(&reply), 401, "{reply}");
        assert_eq!(
            header(&reply, "x-scopegate-reason"),
            (dialect == Dialect::Nginx).then_some("not-authenticated"),
            "{dialect:?}"
        );
        assert_eq!(
            header(&reply, "www-authenticate"),
            Some("Bearer realm=\"scopegate\"")
        );
    }
}

#[tokio::test]
async fn the_client_is_whom_the_proxy_names() {
    for dialect in DIALECTS {
        let world = world(dialect).await;
        let asked = question(dialect, "GET", "/v1/health");
        ask(
            &world,
            &asked,
            &["X-Forwarded-For: 6.6.6.6, 198.51.100.7, 127.0.0.3"],
        )
        .await;
        ask(&world, &asked, &["X-Real-IP: 6.6.6.6"]).await;
        let records = world.audit().await;
        let addresses: Vec<_> = records.iter().map(|record| &record["address"]).collect();
        assert_eq!(addresses, ["198.51.100.7", "127.0.0.1"], "{dialect:?}");
        // The client's request is what is on record, and not the question.
        assert_eq!(records[0]["path"], "/v1/health");
    }
}

/// A body that never comes is not waited for.
#[tokio::test]
async fn the_body_is_not_read() {
    let world = world(Dialect::Envoy).await;
    let agent = world.agent("prod").await;
    let credential = format!("X-Api-Key: {}", agent.credential_value());
    let headers = [credential.as_str(), "Content-Length: 1000000"];
    let begun = std::time::Instant::now();
    let reply = world
        .raw_request("POST /-/check/v1/metrics HTTP/1.1", &headers)
        .await;
    assert_eq!(raw::status_of(&reply), 200, "{reply}");
    assert!(begun.elapsed().as_secs() < 5);
}

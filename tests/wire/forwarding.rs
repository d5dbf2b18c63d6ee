//! What the upstream gets: the identity that the gate found out, and nothing that a client could make up.

use serde_json::json;

use crate::harness::{CLUSTERS, Key, Options, World, json_reply};

const PATH: &str = "/api/v1/clusters/prod";

#[tokio::test]
async fn identity_is_complete_for_every_kind_of_caller() {
    let world = World::start("k8cost").await;
    let organization = world.organization.to_string();

    world.session("editor").await.get(PATH).await;
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-scopegate-organization"), organization);
    assert_eq!(seen.header("x-scopegate-roles"), "editor");
    assert_eq!(seen.header("x-scopegate-clusters"), "prod");
    assert_eq!(seen.header("x-scopegate-scopes"), "*");
    assert!(!seen.header("x-scopegate-subject").is_empty());
    assert!(!seen.header("x-request-id").is_empty());

    let key = world
        .key(Key {
            owner: "viewer@acme.example",
            clusters: &["prod", "dev"],
            ..Key::default()
        })
        .await;
    assert_eq!(
        key.get("/api/v1/reports/monthly?cluster_id=dev")
            .await
            .status,
        200
    );
    let seen = world.upstream.last();
    assert_eq!(
        seen.header("x-scopegate-credential"),
        key.id.unwrap().to_string()
    );
    assert_eq!(seen.header("x-scopegate-clusters"), "dev");

    let agent = world.agent("staging").await;
    assert_eq!(agent.post("/api/v1/metrics", json!({})).await.status, 200);
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-scopegate-clusters"), "staging");
    assert_eq!(seen.header("x-cluster-id"), "staging");

    world.anonymous().get("/api/v1/health").await;
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-scopegate-subject"), "anonymous");
    assert_eq!(seen.header("x-scopegate-clusters"), "!none");
    for name in ["organization", "credential", "roles", "scopes"] {
        assert!(
            !seen.header(&format!("x-scopegate-{name}")).is_empty(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn no_spelling_of_an_identity_header_gets_through() {
    let world = World::start("k8cost").await;
    let viewer = world.session("viewer").await;
    let credential = format!("Authorization: {}", viewer.credential_value());
    let spoofed = [
        "X-Scopegate-Subject: root",
        "x-scopegate-subject: root",
        "X_Scopegate_Subject: root",
        "X-Scopegate_Roles: admin",
        "x_scopegate-clusters: *",
        "X-SCOPEGATE-CLUSTERS: *",
        "X-Scopegate-Clusters: root",
        "X-Scopegate-Anything: root",
        "X-Request-Id: root",
        "X_Request_Id: root",
        "X-HTTP-Method-Override: root",
        "X-HTTP-Method: root",
        "X-Method-Override: root",
        "X-Original-URL: /root",
        "X-Rewrite-URL: /root",
        "X_Api_Key: root",
    ];
    for header in spoofed {
        let reply = world
            .raw_request(&format!("GET {PATH} HTTP/1.1"), &[&credential, header])
            .await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{header}: {reply}");
        let seen = world.upstream.last();
        let (name, value) = header.split_once(": ").unwrap();
        let values = seen.headers.get_all(name.to_ascii_lowercase());
        assert!(
            !values.iter().any(|seen| seen == value),
            "{header} got through"
        );
        for (name, value) in &seen.headers {
            assert!(
                !value.to_str().unwrap_or_default().contains("root"),
                "{header} got through as {name}"
            );
            assert!(
                !name.as_str().contains('_'),
                "{header} got through as {name}"
            );
        }
        assert_eq!(seen.header("x-scopegate-roles"), "viewer", "{header}");
        assert_eq!(seen.header("x-scopegate-clusters"), "prod", "{header}");
    }
}

#[tokio::test]
async fn connection_cannot_take_the_gates_headers_off() {
    let world = World::start("k8cost").await;
    let credential = format!(
        "Authorization: {}",
        world.session("viewer").await.credential_value()
    );
    let mut text = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n{credential}\r\n");
    text.push_str("Connection: close, X-Scopegate-Subject, x-scopegate-clusters, X-Request-Id, X-Private\r\nX-Private: 1\r\n\r\n");
    let reply = world.raw(&text).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-scopegate-clusters"), "prod");
    assert_eq!(seen.header("connection"), "");
    assert_eq!(seen.header("x-private"), "");
}

/// A header that the policy judged must not be gone when the upstream looks for it.
#[tokio::test]
async fn connection_cannot_take_a_judged_header_off() {
    let world = World::start("k8cost").await;
    let key = world
        .key(Key {
            owner: "admin@acme.example",
            clusters: &["dev"],
            ..Key::default()
        })
        .await;
    let text = format!(
        "POST /api/v1/metrics HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nX-Cluster-Id: dev\r\nConnection: close, X-Cluster-Id\r\nContent-Length: 0\r\n\r\n",
        key.credential_value()
    );
    let reply = world.raw(&text).await;
    assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
    assert!(reply.contains("cluster-required"), "{reply}");
}

#[tokio::test]
async fn the_credential_stays_here_unless_configured() {
    let world = World::start("k8cost").await;
    let session = world.session("admin").await;
    session.get(PATH).await;
    assert_eq!(world.upstream.last().header("authorization"), "");
    let key = world.key(Key::default()).await;
    key.get(PATH).await;
    assert_eq!(world.upstream.last().header("x-api-key"), "");

    let world = World::with(Options {
        forward_credentials: true,
        ..Options::of("k8cost")
    })
    .await;
    let key = world.key(Key::default()).await;
    key.get(PATH).await;
    assert_eq!(
        world.upstream.last().header("x-api-key"),
        key.credential_value()
    );
}

#[tokio::test]
async fn hop_by_hop_headers_end_here_in_both_directions() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|_| {
        let mut reply = json_reply(200, json!({}));
        for (name, value) in [
            ("connection", "x-internal"),
            ("x-internal", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("x-shown", "1"),
        ] {
            reply.headers_mut().append(name, value.parse().unwrap());
        }
        reply
    });
    let admin = world.session("admin").await;
    let reply = admin
        .get_with(
            PATH,
            &[
                ("keep-alive", "timeout=9"),
                ("proxy-connection", "x"),
                ("proxy-authorization", "Basic x"),
                ("te", "gzip"),
            ],
        )
        .await;
    assert_eq!((reply.status, reply.header("x-shown")), (200, "1"));
    for name in [
        "x-internal",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "upgrade",
    ] {
        assert_eq!(reply.header(name), "", "{name} came back");
    }
    let seen = world.upstream.last();
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "connection",
    ] {
        assert_eq!(seen.header(name), "", "{name} went on");
    }
}

#[tokio::test]
async fn where_the_client_is_only_we_and_trusted_proxies_say() {
    let forged = [
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/admin"),
        ("forwarded", "for=198.51.100.7"),
        ("x-real-ip", "198.51.100.7"),
    ];
    let world = World::start("k8cost").await;
    let host = world.url.strip_prefix("http://").unwrap().to_owned();
    world.session("admin").await.get_with(PATH, &forged).await;
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.header("x-forwarded-host"), host);
    assert_eq!(seen.header("x-forwarded-proto"), "http");
    for name in ["x-forwarded-prefix", "forwarded", "x-real-ip"] {
        assert_eq!(seen.header(name), "", "{name} went on");
    }
    assert_eq!(
        seen.header("host"),
        world.upstream.url.strip_prefix("http://").unwrap()
    );

    let world = World::with(Options {
        trusted_proxies: &["127.0.0.0/8"],
        ..Options::of("k8cost")
    })
    .await;
    world.session("admin").await.get_with(PATH, &forged).await;
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-forwarded-for"), "198.51.100.7, 127.0.0.1");
    assert_eq!(seen.header("x-forwarded-host"), "evil.example");
    assert_eq!(seen.header("x-forwarded-proto"), "https");
    assert_eq!(seen.header("x-forwarded-prefix"), "");
}

#[tokio::test]
async fn the_path_that_was_judged_is_the_one_that_is_asked_for() {
    let world = World::start("k8cost").await;
    let credential = format!(
        "Authorization: {}",
        world.session("admin").await.credential_value()
    );
    for raw in [
        "/api/v1//clusters/prod?a=%20b&c",
        "/api/v1/x/../clusters/./prod?a=%20b&c",
        "/%61pi/v1/clusters/%70rod?a=%20b&c",
    ] {
        let reply = world
            .raw_request(&format!("GET {raw} HTTP/1.1"), &[&credential])
            .await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{raw}: {reply}");
        let seen = world.upstream.last();
        assert_eq!(
            (seen.path.as_str(), seen.query.as_str()),
            (PATH, "a=%20b&c"),
            "{raw}"
        );
    }
}

#[tokio::test]
async fn an_upstream_with_a_path_gets_it_in_front() {
    let mut options = Options::of("k8cost");
    let plain = World::start("k8cost").await;
    options.upstream = Some(format!("{}/base/", plain.upstream.url));
    let world = World::with(options).await;
    world
        .session("admin")
        .await
        .get("/api/v1/clusters/prod?x=1")
        .await;
    let seen = plain.upstream.last();
    assert_eq!(
        (seen.path.as_str(), seen.query.as_str()),
        ("/base/api/v1/clusters/prod", "x=1")
    );
}

#[tokio::test]
async fn the_gates_own_cookie_stays_here() {
    let world = World::start("k8cost").await;
    let admin = world.session("admin").await;
    admin
        .get_with(
            PATH,
            &[("cookie", "theme=dark; __Host-scopegate=secret; lang=en")],
        )
        .await;
    assert_eq!(
        world.upstream.last().header("cookie"),
        "theme=dark; lang=en"
    );
}

#[tokio::test]
async fn a_star_means_the_registered_clusters() {
    let world = World::start("k8cost").await;
    let admin = world.session("admin").await;
    admin.get("/api/v1/recommendations/7").await;
    assert_eq!(world.upstream.last().header("x-scopegate-clusters"), "*");
    assert_eq!(CLUSTERS.len(), 3);
}

#[tokio::test]
async fn failures_of_the_upstream_are_in_the_contracts_words() {
    let nowhere = Some("http://127.0.0.1:9".to_owned());
    let world = World::with(Options {
        upstream: nowhere,
        ..Options::of("scopegate")
    })
    .await;
    let reply = world
        .session("admin")
        .await
        .get("/api/v1/clusters/prod")
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "bad-gateway"),
        "{}",
        reply.body
    );
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.header("x-ratelimit-limit").is_empty());
    assert!(!reply.body.contains("127.0.0.1"), "{}", reply.body);

    for nonsense in [
        &b"220 smtp.example ESMTP\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ] {
        let upstream = Some(crate::harness::upstream::raw_upstream(nonsense).await);
        let world = World::with(Options {
            upstream,
            ..Options::of("kubeadapt")
        })
        .await;
        let reply = world
            .key(Key::default())
            .await
            .get("/v1/clusters/prod")
            .await;
        assert_eq!(reply.status, 502, "{}", reply.body);
        assert!(reply.json()["detail"].is_string());
    }
}

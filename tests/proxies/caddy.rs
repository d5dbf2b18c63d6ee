//! Caddy, where it is unlike the others: it would keep what the client sent in a header that the reply lacks.

use super::{Kind, modes::through};
use crate::harness::Key;

/// Every identity header that the gate knows is listed, so that none is ever the client's own.
#[test]
fn every_identity_header_is_listed() {
    let configuration = include_str!("../../adapters/server/examples/Caddyfile");
    let listed = configuration
        .lines()
        .find_map(|line| line.trim().strip_prefix("copy_headers "))
        .expect("a list");
    for name in [
        "X-Scopegate-Subject",
        "X-Scopegate-Organization",
        "X-Scopegate-Credential",
        "X-Scopegate-Roles",
        "X-Scopegate-Scopes",
        "X-Scopegate-Clusters",
        "X-Request-Id",
        "Cookie",
    ] {
        assert!(listed.split(' ').any(|other| other == name), "{name}");
    }
}

/// Without a credential there is something in each of them all the same.
#[tokio::test]
async fn of_an_anonymous_caller_every_header_says_so() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let anonymous = through(&proxy, &world.anonymous());
        let reply = anonymous
            .get_with(
                "/v1/health",
                &[
                    ("x-scopegate-subject", "admin"),
                    ("x-scopegate-roles", "admin"),
                ],
            )
            .await;
        assert_eq!(reply.status, 200, "{kind:?}: {}", reply.body);
        let seen = world.upstream.last();
        assert_eq!(seen.header("x-scopegate-subject"), "anonymous", "{kind:?}");
        assert_eq!(seen.header("x-scopegate-roles"), "-", "{kind:?}");
        assert_eq!(seen.header("x-scopegate-organization"), "-", "{kind:?}");
    }
}

/// An upgrade is asked about like any request, and then opened.
#[tokio::test]
async fn a_websocket_is_asked_about() {
    for kind in Kind::ALL {
        let (world, proxy) = kind.world("scopegate").await;
        let key = world.key(Key::default()).await;
        let upgrade = [
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let credential = format!("X-Api-Key: {}", key.credential_value());
        let ask = async |headers: &[&str]| {
            let mut text = "GET /v1/clusters/prod HTTP/1.1\r\nHost: gate.example\r\n".to_owned();
            for line in headers {
                text.push_str(line);
                text.push_str("\r\n");
            }
            crate::harness::raw::raw(proxy.address, &format!("{text}\r\n")).await
        };
        let mut with = upgrade.to_vec();
        with.push(&credential);
        let reply = ask(&with).await;
        assert_eq!(
            crate::harness::raw::status_of(&reply),
            200,
            "{kind:?}: {reply}"
        );
        let seen = world.upstream.last();
        assert_eq!(seen.header("upgrade"), "websocket", "{kind:?}");
        assert!(
            seen.header("connection").eq_ignore_ascii_case("upgrade"),
            "{kind:?}"
        );
        let reply = ask(&upgrade).await;
        assert_eq!(
            crate::harness::raw::status_of(&reply),
            401,
            "{kind:?}: {reply}"
        );
        assert_eq!(world.upstream.count(), 1, "{kind:?}");
    }
}

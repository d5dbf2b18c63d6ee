//! What a client sends to be taken for somebody else, or to have another request judged than the one that is made:
//! whatever reaches the upstream is what the gate said.

use std::{net::SocketAddr, time::Duration};

use scopegate_host::headers;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Kind, Proxy};
use crate::harness::{Actor, Key, Seen, World, raw::status_of, upstream::IDENTITY};

/// Each is one line of a request.
const LIES: [&[u8]; 34] = [
    b"X-Scopegate-Subject: evil",
    b"x-scopegate-subject: evil",
    b"X-SCOPEGATE-SUBJECT: evil",
    b"X_Scopegate_Subject: evil",
    b"X-Scopegate_Subject: evil",
    b"x_scopegate-Subject: evil",
    b"X-Scopegate-Organization: evil",
    b"X-Scopegate-Credential: evil",
    b"X-Scopegate-Roles: evil",
    b"X_SCOPEGATE_ROLES: evil",
    b"X-Scopegate-Scopes: evil",
    b"X-Scopegate-Clusters: evil",
    b"X-Scopegate-Clusters: *\r\nX-Scopegate-Clusters: evil",
    b"X-Scopegate_Clusters: evil",
    b"X-Request-Id: evil",
    b"X_Request_Id: evil",
    b"X-Scopegate-Subject:",
    b"X-Scopegate-Subject: \xffevil\xfe",
    b"X-Scopegate-Roles: evil\tevil",
    b"Connection: close, X-Scopegate-Clusters, X-Scopegate-Subject",
    b"Connection: X-Scopegate-Roles\r\nConnection: x-request-id",
    b"Connection: X-Api-Key",
    b"X-Original-URI: /v1/health",
    b"X-Original-URI: /v1/health\r\nX-Original-Method: GET",
    b"X-Original-Host: evil",
    b"X-Forwarded-Uri: /v1/health",
    b"X-Forwarded-Uri: /v1/health\r\nX-Forwarded-Method: GET",
    b"X-Forwarded-Host: evil\r\nX-Forwarded-Proto: evil",
    b"X-Original-URL: /v1/health\r\nX-Rewrite-URL: /v1/health",
    b"X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE",
    b"X-Envoy-Original-Path: /v1/health\r\nX-Envoy-Auth-Headers-To-Remove: x-scopegate-clusters",
    b"Proxy-Authorization: Basic ZXZpbA==",
    b"X_Api_Key: evil",
    b"X-Scopegate-Uri: /v1/health\r\nX-Scopegate-Reason: evil",
];

/// Targets and methods by which a caller who may see `prod` would like to see `dev`.
const SMUGGLED: [&[u8]; 29] = [
    b"GET /v1/clusters/dev HTTP/1.1",
    b"GET /v1/clusters/prod/../dev HTTP/1.1",
    b"GET /v1/clusters/prod/%2e%2e/dev HTTP/1.1",
    b"GET /v1/clusters/prod/%2E%2E/dev HTTP/1.1",
    b"GET /v1/clusters/prod%2f..%2fdev HTTP/1.1",
    b"GET /v1/clusters/prod/..%2fdev HTTP/1.1",
    b"GET /v1/clusters/prod/..;/dev HTTP/1.1",
    b"GET /v1/clusters/prod;/../dev HTTP/1.1",
    b"GET /v1/clusters/prod\\..\\dev HTTP/1.1",
    b"GET /v1/clusters/prod%5c..%5cdev HTTP/1.1",
    b"GET /v1/clusters/prod/%252e%252e/dev HTTP/1.1",
    b"GET /v1/clusters/prod%00/../dev HTTP/1.1",
    b"GET /v1/clusters/prod\x00/../dev HTTP/1.1",
    b"GET //v1//clusters//dev HTTP/1.1",
    b"GET /v1/clusters/%64ev HTTP/1.1",
    b"GET /v1/clusters/dev?/v1/clusters/prod HTTP/1.1",
    b"GET /v1/clusters/dev#/v1/clusters/prod HTTP/1.1",
    b"GET http://gate.example/v1/clusters/dev HTTP/1.1",
    b"GET http://evil.example/v1/clusters/dev HTTP/1.1",
    b"GET /v1/CLUSTERS/dev HTTP/1.1",
    b"GET /v1/clusters/d\xc3\xa9v/../dev HTTP/1.1",
    b"GET /v1/clusters/dev HTTP/1.0",
    b"GET /v1/clusters/dev HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked",
    b"POST /v1/clusters/prod HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /v1/clusters/dev HTTP/1.1",
    b"POST /v1/clusters/prod HTTP/1.1\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\nGET /v1/clusters/dev HTTP/1.1",
    b"get /v1/clusters/dev HTTP/1.1",
    b"TRACE /v1/clusters/dev HTTP/1.1",
    b"GET /-/check/v1/clusters/dev HTTP/1.1",
    b"GET /auth/../v1/clusters/dev HTTP/1.1",
];

async fn send(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    // Whoever refuses early may have hung up by the time the rest is written.
    let _ = stream.write_all(bytes).await;
    let (mut all, mut more) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(length @ 1..)) =
        timeout(Duration::from_millis(1500), stream.read(&mut more)).await
    {
        all.extend_from_slice(&more[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn message(line: &[u8], lines: &[&[u8]], credential: &str) -> Vec<u8> {
    let mut bytes = line.to_vec();
    bytes.extend_from_slice(b"\r\nHost: gate.example\r\n");
    for line in lines {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("X-Api-Key: {credential}\r\n").as_bytes());
    if !lines.iter().any(|line| line.starts_with(b"Connection")) {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

async fn ready(kind: Kind) -> (World, Proxy, Actor) {
    let (world, proxy) = kind.world("scopegate").await;
    let key = world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    (world, proxy, key)
}

/// The upstream was told of this caller, and of nobody else.
fn is_the_callers(seen: &Seen, plain: &Seen, shown: &str) {
    seen.has_one_identity(shown);
    for name in IDENTITY.into_iter().filter(|name| *name != "x-request-id") {
        assert_eq!(seen.header(name), plain.header(name), "{shown}: {name}");
    }
    for (name, value) in &seen.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let is_where_from = name.as_str().starts_with("x-forwarded-") || name == "x-original-host";
        assert!(
            !headers::is_reserved(name) || !value.contains("evil"),
            "{shown}: {name}: {value}"
        );
        assert!(
            !headers::is_reserved(name)
                || name.as_str().starts_with("x-scopegate-")
                || name == "x-request-id",
            "{shown}: {name} went on"
        );
        assert!(
            is_where_from || !headers::is_credential(name),
            "{shown}: {name} went on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_for_somebody_else() {
    for kind in Kind::ALL {
        let (world, proxy, key) = ready(kind).await;
        let line = b"GET /v1/clusters/prod HTTP/1.1";
        let reply = send(proxy.address, &message(line, &[], key.credential_value())).await;
        assert_eq!(status_of(&reply), 200, "{kind:?}: {reply}");
        let plain = world.upstream.last();
        let long = [b"X-Scopegate-Roles: evil".as_slice(), &[b'x'; 6000]].concat();
        let lies = LIES.into_iter().chain([long.as_slice()]);
        let (mut through, mut refused) = (0, 0);
        for (index, lie) in lies.enumerate() {
            if index % 15 == 0 {
                world.clock.advance(Duration::from_secs(61));
            }
            let shown = format!(
                "{kind:?}: {}",
                String::from_utf8_lossy(&lie[..lie.len().min(90)])
            );
            let before = world.upstream.count();
            let reply = send(
                proxy.address,
                &message(line, &[lie], key.credential_value()),
            )
            .await;
            if world.upstream.count() == before {
                let status = status_of(&reply);
                assert!((400..=503).contains(&status), "{shown}: {reply}");
                refused += 1;
                continue;
            }
            through += 1;
            let seen = world.upstream.last();
            assert_eq!(
                (seen.method.as_str(), seen.path.as_str()),
                ("GET", "/v1/clusters/prod"),
                "{shown}"
            );
            is_the_callers(&seen, &plain, &shown);
            // What is closed stays closed.
            let closed = b"GET /v1/clusters/dev HTTP/1.1";
            let before = world.upstream.count();
            let reply = send(
                proxy.address,
                &message(closed, &[lie], key.credential_value()),
            )
            .await;
            assert_ne!(status_of(&reply), 200, "{shown}: {reply}");
            assert_eq!(world.upstream.count(), before, "{shown}: {reply}");
        }
        println!("{kind:?}: {through} lies taken off, {refused} refused");
        assert!(through > 20, "{kind:?}: only {through}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_as_another_request() {
    for kind in Kind::ALL {
        let (world, proxy, key) = ready(kind).await;
        for (index, line) in SMUGGLED.into_iter().enumerate() {
            if index % 15 == 0 {
                world.clock.advance(Duration::from_secs(61));
            }
            let shown = format!("{kind:?}: {}", String::from_utf8_lossy(line));
            let before = world.upstream.count();
            let reply = send(proxy.address, &message(line, &[], key.credential_value())).await;
            for number in before..world.upstream.count() {
                let seen = world.upstream.seen(number);
                let path = format!("{}?{}", seen.path, seen.query);
                assert!(
                    !path.contains("dev"),
                    "{shown}: the upstream saw {path}: {reply}"
                );
                assert_eq!(seen.header("x-scopegate-clusters"), "prod", "{shown}");
            }
        }
        // And the proxy still serves.
        let reply = send(
            proxy.address,
            &message(
                b"GET /v1/clusters/prod HTTP/1.1",
                &[],
                key.credential_value(),
            ),
        )
        .await;
        assert_eq!(status_of(&reply), 200, "{kind:?}: {reply}");
    }
}

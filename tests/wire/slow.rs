//! Those who take their time: a client that never finishes its header or its body, an upstream that never answers
//! or falls silent.

use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use scopegate_server::{ConnectionLimits, ProxyLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Key, Options, World, raw::read_some};

const SHORT: Duration = Duration::from_millis(300);

async fn impatient() -> World {
    let proxy = ProxyLimits {
        connect: SHORT,
        response: SHORT,
        idle: SHORT,
        tunnel_idle: SHORT,
        ..ProxyLimits::default()
    };
    let connections = ConnectionLimits {
        header: SHORT,
        ..ConnectionLimits::default()
    };
    World::with(Options {
        proxy,
        connections,
        ..Options::of("k8cost")
    })
    .await
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_504() {
    let world = impatient().await;
    world.upstream.streams(|_| std::future::pending());
    let key = world.key(Key::default()).await;
    let reply = key.get("/api/v1/clusters/prod").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (504, "gateway-timeout")
    );
    let reply = key.post("/api/v1/clusters", serde_json::json!({})).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (504, "gateway-timeout")
    );
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_in_time_is_504() {
    let proxy = ProxyLimits {
        connect: SHORT,
        ..ProxyLimits::default()
    };
    // An address that swallows packets (RFC 5737); where there is no route to it, connecting fails at once.
    let upstream = Some("http://192.0.2.1:81".to_owned());
    let world = World::with(Options {
        proxy,
        upstream,
        ..Options::of("k8cost")
    })
    .await;
    let reply = world
        .key(Key::default())
        .await
        .get("/api/v1/clusters/prod")
        .await;
    assert!([502, 504].contains(&reply.status), "{}", reply.body);
}

#[tokio::test]
async fn an_upstream_that_falls_silent_breaks_the_reply_off() {
    let world = impatient().await;
    world.upstream.streams(|_| async {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first"))]);
        Response::new(Body::from_stream(first.chain(stream::pending())))
    });
    let reply = world
        .key(Key::default())
        .await
        .request("GET", "/api/v1/clusters/prod")
        .send()
        .await
        .unwrap();
    let mut body = reply.bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "first");
    assert!(body.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_list_that_falls_silent_is_502() {
    let world = impatient().await;
    world.upstream.streams(|_| async {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(
            b"{\"clusters\":[]",
        ))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        Response::builder()
            .header("content-type", "application/json")
            .body(body)
            .unwrap()
    });
    let reply = world
        .key(Key::default())
        .await
        .get("/api/v1/clusters")
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "unfilterable-list")
    );
}

#[tokio::test]
async fn a_client_whose_body_stops_coming_is_told_so() {
    let world = impatient().await;
    let key = world.key(Key::default()).await;
    let mut stream = world.connect().await;
    let head = format!(
        "POST /api/v1/clusters HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nContent-Length: 10\r\n\r\nhalf",
        key.credential_value()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = vec![0; 4096];
    let length = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut reply))
        .await
        .unwrap()
        .unwrap();
    let reply = String::from_utf8_lossy(&reply[..length]).into_owned();
    assert!(reply.starts_with("HTTP/1.1 400"), "{reply}");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_header_is_cut() {
    let world = impatient().await;
    for start in ["", "P", "PRI * HTTP/2", "GET / HTTP/1.1\r\nHo"] {
        let mut stream = world.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let since = Instant::now();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest))
            .await
            .unwrap()
            .ok();
        assert!(since.elapsed() < Duration::from_secs(4), "{start:?}");
    }
}

#[tokio::test]
async fn slow_clients_take_no_place_from_others_for_long() {
    let connections = ConnectionLimits {
        connections_max: 2,
        header: SHORT,
        ..ConnectionLimits::default()
    };
    let world = World::with(Options {
        connections,
        ..Options::of("k8cost")
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(world.connect().await);
    }
    let reply = tokio::time::timeout(
        Duration::from_secs(10),
        world.anonymous().get("/api/v1/health"),
    )
    .await
    .unwrap();
    assert_eq!(reply.status, 200);
    for mut stream in idle {
        assert_eq!(read_some(&mut stream).await, "");
    }
}

//! Bodies stream both ways, whole and in order, within their bounds.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use scopegate_server::ProxyLimits;
use tokio::sync::mpsc;

use crate::harness::{Options, World, json_reply};

/// What a receiver gives, as a body.
fn pieces(receiver: mpsc::Receiver<&'static str>) -> Body {
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        Some((
            Ok::<_, Infallible>(Bytes::from(receiver.recv().await?)),
            receiver,
        ))
    }))
}

#[tokio::test]
async fn a_reply_streams_as_it_comes() {
    let world = World::start("k8cost").await;
    let (sender, receiver) = mpsc::channel(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    world.upstream.streams(move |_| {
        let body = pieces(receiver.lock().unwrap().take().unwrap());
        async move { Response::new(body) }
    });
    let reply = world
        .session("admin")
        .await
        .request("GET", "/api/v1/clusters/prod")
        .send()
        .await
        .unwrap();
    let mut body = reply.bytes_stream();
    for piece in ["one", "two", "three"] {
        // Each piece is there before the next one is sent.
        sender.send(piece).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), piece);
    }
    drop(sender);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_request_streams_as_it_comes() {
    let world = World::start("k8cost").await;
    let (seen, mut arrived) = mpsc::channel(1);
    world.upstream.streams(move |request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(piece)) = body.next().await {
                seen.send(piece).await.unwrap();
            }
            json_reply(200, serde_json::json!({}))
        }
    });
    let (sender, receiver) = mpsc::channel::<&'static str>(1);
    let admin = world.session("admin").await;
    let body = stream::unfold(receiver, |mut receiver| async move {
        Some((Ok::<_, Infallible>(receiver.recv().await?), receiver))
    });
    let request = admin
        .request("POST", "/api/v1/clusters")
        .body(reqwest::Body::wrap_stream(body));
    let sent = tokio::spawn(request.send());
    for piece in ["one", "two"] {
        sender.send(piece).await.unwrap();
        assert_eq!(arrived.recv().await.unwrap(), piece);
    }
    drop(sender);
    assert_eq!(sent.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let world = World::start("k8cost").await;
    world
        .upstream
        .answers(|seen| Response::new(Body::from(seen.body)));
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect();
    let reply = world
        .session("admin")
        .await
        .request("POST", "/api/v1/clusters")
        .body(bytes.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(reply.bytes().await.unwrap(), bytes);
    assert_eq!(world.upstream.last().header("content-length"), "3000000");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_413_announced_or_not() {
    let proxy = ProxyLimits {
        body_bytes_max: 1000,
        ..ProxyLimits::default()
    };
    let world = World::with(Options {
        proxy,
        ..Options::of("k8cost")
    })
    .await;
    let admin = world.session("admin").await;
    let announced = admin
        .send(
            admin
                .request("POST", "/api/v1/clusters")
                .body("x".repeat(1001)),
        )
        .await;
    assert_eq!(
        (announced.status, announced.code().as_str()),
        (413, "body-too-large")
    );
    let chunks = stream::iter(vec![Ok::<_, Infallible>("x".repeat(600)); 2]);
    let request = admin
        .request("POST", "/api/v1/clusters")
        .body(reqwest::Body::wrap_stream(chunks));
    let chunked = admin.send(request).await;
    assert_eq!(
        (chunked.status, chunked.code().as_str()),
        (413, "body-too-large")
    );
    let exact = admin
        .send(
            admin
                .request("POST", "/api/v1/clusters")
                .body("x".repeat(1000)),
        )
        .await;
    assert_eq!(exact.status, 200);
}

#[tokio::test]
async fn the_client_is_told_to_go_on_only_when_it_is_let_in() {
    let world = World::start("k8cost").await;
    let head = "POST /api/v1/clusters HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n";
    let refused = world.raw(&format!("{head}\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let admin = world.session("admin").await;
    let credential = admin.credential_value();
    let admitted = world
        .raw(&format!("{head}Authorization: {credential}\r\n\r\n{{}}"))
        .await;
    assert!(admitted.starts_with("HTTP/1.1 100 Continue"), "{admitted}");
    assert!(admitted.contains("HTTP/1.1 200 OK"), "{admitted}");
    assert_eq!(world.upstream.last().header("expect"), "");
    assert_eq!(world.upstream.last().body, "{}");
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|seen| {
        assert_eq!(seen.method, "HEAD");
        Response::builder()
            .header("content-length", "4096")
            .body(Body::empty())
            .unwrap()
    });
    let reply = world
        .session("admin")
        .await
        .call("HEAD", "/api/v1/clusters/prod")
        .await;
    assert_eq!(
        (
            reply.status,
            reply.header("content-length"),
            reply.body.as_str()
        ),
        (200, "4096", "")
    );
}

#[tokio::test]
async fn trailers_pass() {
    let world = World::start("k8cost").await;
    world.upstream.streams(|_| async {
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("0"),
        )]);
        let data = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(
            b"data",
        )))]);
        let body =
            StreamBody::new(data).with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
        Response::builder()
            .header("trailer", "grpc-status")
            .body(Body::new(body))
            .unwrap()
    });
    let admin = world.session("admin").await;
    let credential = format!("Authorization: {}", admin.credential_value());
    let reply = world
        .raw_request(
            "GET /api/v1/clusters/prod HTTP/1.1",
            &[&credential, "TE: trailers"],
        )
        .await;
    assert!(reply.contains("grpc-status: 0"), "{reply}");
}

#[tokio::test]
async fn an_upstream_that_hangs_up_early_breaks_the_reply_off() {
    let reply: &'static [u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let upstream = Some(crate::harness::upstream::raw_upstream(reply).await);
    let world = World::with(Options {
        upstream,
        ..Options::of("k8cost")
    })
    .await;
    let admin = world.session("admin").await;
    let reply = admin
        .request("GET", "/api/v1/clusters/prod")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    tokio::time::timeout(Duration::from_secs(5), reply.bytes())
        .await
        .unwrap()
        .unwrap_err();
}

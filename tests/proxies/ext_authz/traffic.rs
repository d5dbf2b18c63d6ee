//! What else goes through Envoy: HTTP/2, gRPC, WebSockets, large headers, bodies that take their time, and the client's
//! address.

use std::{net::SocketAddr, time::Duration};

use axum::{
    RequestExt,
    body::Body,
    extract::ws::{Message as Sent, WebSocketUpgrade},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::{Stand, anywhere, unlimited};
use crate::harness::{Key, Options, World, raw::raw_request};

const PATH: &str = "/v1/clusters/prod";

type Outgoing = BoxBody<Bytes, std::io::Error>;

async fn http2(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Outgoing> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn empty() -> Outgoing {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed()
}

fn request(stand: &Stand, method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("{}{path}", stand.envoy.url()))
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_judged_as_http1_is() {
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), str::to_owned).await;
    let key = stand
        .world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let (name, value) = key.credential.clone().unwrap();
    let mut sender = http2(stand.envoy.address).await;
    for (path, status) in [(PATH, 200), ("/v1/clusters/dev", 403), ("/v1/nothing", 404)] {
        let asked = request(&stand, "GET", path).header(name, &value);
        let reply = sender
            .send_request(asked.body(empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(reply.status(), status, "{path}");
        assert!(reply.headers().contains_key("x-ratelimit-limit"));
    }
    let asked = request(&stand, "GET", PATH).body(empty()).unwrap();
    let reply = sender.send_request(asked).await.unwrap();
    assert_eq!(reply.status(), 401);
    assert!(reply.headers().contains_key("www-authenticate"));
    // Another host than the one that was asked.
    let asked = request(&stand, "GET", PATH)
        .header(name, &value)
        .header("host", "other.example");
    let reply = sender.send_request(asked.body(empty()).unwrap()).await;
    if let Ok(reply) = reply {
        assert!(
            reply.status() != 200 || stand.world.upstream.last().header("host") != "other.example"
        );
    }
}

/// A call with messages both ways and trailers, allowed and not.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_goes_through_and_is_refused_in_its_own_words() {
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), str::to_owned).await;
    stand.world.upstream.streams(|request| async move {
        let body = request.into_body().into_data_stream();
        let messages = body.map(|part| part.map(Frame::data));
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("0"),
        )]);
        let end = stream::iter([Ok(Frame::trailers(trailers))]);
        Response::builder()
            .header("content-type", "application/grpc")
            .body(Body::new(StreamBody::new(messages.chain(end))))
            .unwrap()
    });
    let agent = stand.world.agent("prod").await;
    let (name, value) = agent.credential.clone().unwrap();
    let mut sender = http2(stand.envoy.address).await;
    let call = |value: &str| {
        let message = stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(
            b"\0\0\0\0\x02hi",
        )))]);
        request(&stand, "POST", "/v1/metrics")
            .header(name, value)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(BodyExt::boxed(StreamBody::new(message)))
            .unwrap()
    };
    let reply = sender.send_request(call(&value)).await.unwrap();
    assert_eq!(reply.status(), 200);
    let body = reply.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(&body.to_bytes()[..], b"\0\0\0\0\x02hi");

    let reply = sender
        .send_request(call("Bearer sg_agent_nonsense"))
        .await
        .unwrap();
    assert_eq!(reply.status(), 200, "gRPC says it in its own status");
    assert_eq!(reply.headers()["grpc-status"], "16", "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_are_judged_and_carried() {
    let world = World::with(Options {
        contract: "k8cost",
        ..unlimited()
    })
    .await;
    let stand = Stand::with(world, anywhere(), str::to_owned).await;
    stand.world.upstream.streams(|mut request| async move {
        let upgrade: WebSocketUpgrade = request.extract_parts().await.unwrap();
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Sent::Text(_)) && socket.send(message).await.is_err() {
                    return;
                }
            }
        })
    });
    let open = async |credential: Option<(&'static str, String)>| {
        let url = format!("ws://{}/api/v1/clusters/prod/watch", stand.envoy.address);
        let mut request = url.into_client_request().unwrap();
        if let Some((name, value)) = credential {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        connect_async(request).await
    };
    let viewer = stand.world.session("viewer").await;
    let (mut socket, reply) = open(viewer.credential.clone()).await.unwrap();
    assert!(reply.headers().contains_key("x-ratelimit-limit"));
    for text in ["one".to_owned(), "x".repeat(100_000)] {
        socket.send(Message::text(text.clone())).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        assert_eq!(message.into_text().unwrap(), text.as_str());
    }
    socket.close(None).await.unwrap();
    let Err(Error::Http(reply)) = open(None).await else {
        panic!("it was let in")
    };
    assert_eq!(reply.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_headers_go_through() {
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), str::to_owned).await;
    let key = stand.through(&stand.world.key(Key::default()).await);
    let large = "a".repeat(50 << 10);
    let reply = key.get_with(PATH, &[("x-large", &large)]).await;
    assert_eq!(
        reply.status,
        200,
        "{}",
        &reply.body[..reply.body.len().min(300)]
    );
    assert_eq!(stand.world.upstream.last().header("x-large"), large);
}

/// The gate needs no body: the upstream reads one as it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_held_back_for_the_gate() {
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), str::to_owned).await;
    let (came, mut coming) = mpsc::unbounded_channel();
    stand.world.upstream.streams(move |request| {
        let came = came.clone();
        async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(part)) = body.next().await {
                let _ = came.send(part);
            }
            Response::new(Body::empty())
        }
    });
    let agent = stand.world.agent("prod").await;
    let (name, value) = agent.credential.clone().unwrap();
    let (sent, sending) = mpsc::unbounded_channel::<Bytes>();
    let parts = stream::unfold(sending, |mut sending| async {
        let part = sending.recv().await?;
        Some((Ok::<_, std::io::Error>(Frame::data(part)), sending))
    });
    let stream = TcpStream::connect(stand.envoy.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let asked = Request::builder()
        .method("POST")
        .uri("/v1/metrics")
        .header("host", "api.example")
        .header(name, value)
        .body(StreamBody::new(parts))
        .unwrap();
    let reply = tokio::spawn(async move { sender.send_request(asked).await });
    for part in [&b"first"[..], b"second"] {
        sent.send(Bytes::from_static(part)).unwrap();
        let came = timeout(Duration::from_secs(20), coming.recv()).await;
        assert_eq!(came.expect("before the end").unwrap(), part);
    }
    assert!(!reply.is_finished());
    drop(sent);
    assert_eq!(reply.await.unwrap().unwrap().status(), 200);
}

/// Who is counted: the connection's other end, or whom a trusted proxy before Envoy names.
#[tokio::test(flavor = "multi_thread")]
async fn the_clients_address_is_believed_from_trusted_proxies_alone() {
    for (trusted, from, wanted) in [
        (&[][..], "X-Forwarded-For: 203.0.113.9", "127.0.0.1"),
        (
            &["0.0.0.0/0", "::/0"][..],
            "X-Forwarded-For: 203.0.113.9",
            "203.0.113.9",
        ),
    ] {
        let options = Options {
            trusted_proxies: trusted,
            ..unlimited()
        };
        let stand = Stand::with(World::with(options).await, anywhere(), str::to_owned).await;
        raw_request(stand.envoy.address, "GET /v1/clusters HTTP/1.1", &[from]).await;
        let records = stand.world.audit().await;
        let record = records.last().expect("a record");
        let said = record.to_string();
        assert!(said.contains(&format!("\"{wanted}\"")), "{said}");
        assert_eq!(
            said.contains("203.0.113.9"),
            wanted == "203.0.113.9",
            "{said}"
        );
    }
}

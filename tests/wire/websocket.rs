//! WebSockets through the gate: judged like any GET, carried both ways, and ended with the credential.

use std::time::Duration;

use axum::{
    RequestExt,
    extract::ws::{Message as Sent, WebSocketUpgrade},
};
use futures_util::{SinkExt, StreamExt};
use scopegate_host::lock::StoreLock;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::harness::{Actor, Key, Options, World, raw::status_of};

const PATH: &str = "/api/v1/clusters/prod/watch";

/// An upstream that sends back what it is sent.
fn echoing(world: &World) {
    world.upstream.streams(|mut request| async move {
        let upgrade: WebSocketUpgrade = request.extract_parts().await.unwrap();
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Sent::Text(_) | Sent::Binary(_))
                    && socket.send(message).await.is_err()
                {
                    return;
                }
            }
        })
    });
}

async fn open(
    world: &World,
    actor: &Actor,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
    let mut request = format!("{}{PATH}", world.url.replace("http", "ws"))
        .into_client_request()
        .unwrap();
    if let Some((name, value)) = &actor.credential {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// Whether the socket ends, without a word or with one.
async fn ends(mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>) {
    let end = tokio::time::timeout(Duration::from_secs(10), socket.next())
        .await
        .expect("an end");
    assert!(
        matches!(end, None | Some(Err(_) | Ok(Message::Close(_)))),
        "{end:?}"
    );
}

#[tokio::test]
async fn messages_go_both_ways() {
    let world = World::start("k8cost").await;
    echoing(&world);
    let mut socket = open(&world, &world.session("viewer").await).await.unwrap();
    for text in ["one".to_owned(), "x".repeat(100_000)] {
        socket.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap().into_text().unwrap(),
            text.as_str()
        );
    }
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn who_may_not_get_may_not_upgrade() {
    let world = World::start("k8cost").await;
    echoing(&world);
    let agent = world.agent("prod").await;
    for (actor, status) in [(world.anonymous(), 401), (agent, 403)] {
        let Err(Error::Http(reply)) = open(&world, &actor).await else {
            panic!("it was let in")
        };
        assert_eq!(reply.status(), status);
    }
}

#[tokio::test]
async fn it_ends_when_the_credential_is_revoked() {
    let world = World::start("k8cost").await;
    echoing(&world);
    let key = world.key(Key::default()).await;
    let other = world.key(Key::default()).await;
    let socket = open(&world, &key).await.unwrap();
    let mut kept = open(&world, &other).await.unwrap();
    world.revoke(&key).await;
    ends(socket).await;
    kept.send(Message::text("still")).await.unwrap();
    assert_eq!(
        kept.next().await.unwrap().unwrap().into_text().unwrap(),
        "still"
    );
}

#[tokio::test]
async fn it_ends_when_the_token_expires() {
    let world = World::start("k8cost").await;
    echoing(&world);
    let socket = open(&world, &world.session("admin").await).await.unwrap();
    world.clock.advance(Duration::from_secs(24 * 3600));
    ends(socket).await;
}

#[tokio::test]
async fn it_ends_when_nothing_moves_and_when_the_server_stops() {
    let proxy = scopegate_server::ProxyLimits {
        tunnel_idle: Duration::from_millis(300),
        ..Default::default()
    };
    let world = World::with(Options {
        proxy,
        ..Options::of("k8cost")
    })
    .await;
    echoing(&world);
    ends(open(&world, &world.session("admin").await).await.unwrap()).await;

    let mut world = World::with(Options {
        drain: Duration::from_millis(200),
        ..Options::of("k8cost")
    })
    .await;
    echoing(&world);
    let socket = open(&world, &world.session("admin").await).await.unwrap();
    world.shutdown().await;
    ends(socket).await;
}

/// While one is open the server still admits by what it knows, so nobody else may change the store.
#[tokio::test]
async fn the_store_stays_locked_while_one_is_open() {
    let mut world = World::start("k8cost").await;
    echoing(&world);
    let socket = open(&world, &world.session("admin").await).await.unwrap();
    let (address, store) = (world.running().public_addr(), world.store_path());
    let stopping = tokio::spawn(world.running.take().unwrap().shutdown());
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(StoreLock::take(&store).is_err());
    drop(socket);
    let stopped = tokio::time::timeout(Duration::from_secs(10), stopping);
    stopped.await.unwrap().unwrap();
    assert!(StoreLock::take(&store).is_ok());
}

#[tokio::test]
async fn there_are_only_so_many() {
    let proxy = scopegate_server::ProxyLimits {
        tunnels_max: 1,
        ..Default::default()
    };
    let world = World::with(Options {
        proxy,
        ..Options::of("k8cost")
    })
    .await;
    echoing(&world);
    let session = world.session("admin").await;
    let first = open(&world, &session).await.unwrap();
    let Err(Error::Http(reply)) = open(&world, &session).await else {
        panic!("it was let in")
    };
    assert_eq!(reply.status(), 503);
    assert!(reply.headers().contains_key("retry-after"));
    drop(first);
    for _ in 0..80 {
        if open(&world, &session).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a closed one keeps its place");
}

#[tokio::test]
async fn other_upgrades_are_refused() {
    let world = World::start("k8cost").await;
    let credential = format!(
        "Authorization: {}",
        world.session("admin").await.credential_value()
    );
    for (method, protocol) in [
        ("GET", "h2c"),
        ("GET", "TLS/1.0"),
        ("GET", "websocket, h2c"),
        ("POST", "websocket"),
    ] {
        let text = format!(
            "{method} {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: {protocol}\r\n{credential}\r\n\r\n"
        );
        let reply = world.raw(&text).await;
        let expected = if method == "GET" { 400 } else { 404 };
        assert_eq!(status_of(&reply), expected, "{method} {protocol}: {reply}");
    }
    assert_eq!(world.upstream.count(), 0);
}

/// A list must be read to be narrowed, so it cannot become a tunnel.
#[tokio::test]
async fn a_list_is_never_a_tunnel() {
    let world = World::start("k8cost").await;
    world.upstream.answers(|seen| {
        assert!(!seen.headers.contains_key("upgrade"));
        crate::harness::json_reply(200, serde_json::json!({ "clusters": [] }))
    });
    let credential = format!(
        "Authorization: {}",
        world.session("admin").await.credential_value()
    );
    let text = format!(
        "GET /api/v1/clusters HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{credential}\r\n\r\n"
    );
    let reply = world.raw(&text).await;
    assert_eq!(status_of(&reply), 200, "{reply}");
}

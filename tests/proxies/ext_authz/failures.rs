//! The gate is away, slow or somebody else: never an allow, and no request waits longer than Envoy is told to.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{Stand, at, envoy, once};
use crate::{
    harness::{Actor, Key, World, json_reply, program::free_address},
    proxies::envoy::Envoy,
};

const PATH: &str = "/v1/clusters/prod";
/// What the example says, and what a busy machine adds.
const WITHIN: Duration = Duration::from_secs(8);

/// What a client is shown of a gate like this, by the example and by Envoy's own defaults.
async fn is_refused(world: &World, gate: SocketAddr, what: &str) {
    let key = world.key(Key::default()).await;
    let bare = |text: &str| {
        let line = "                      status_on_error: { code: ServiceUnavailable }\n";
        once(text, line, "")
    };
    for (status, envoy) in [
        (503, envoy(world, gate, str::to_owned).await),
        (403, envoy(world, gate, bare).await),
    ] {
        let through = Actor::new(&envoy.url(), key.credential.clone());
        for actor in [&through, &Actor::new(&envoy.url(), None)] {
            let began = Instant::now();
            let reply = actor.get(PATH).await;
            assert_eq!(reply.status, status, "{what}: {}", reply.body);
            assert!(began.elapsed() < WITHIN, "{what}: {:?}", began.elapsed());
        }
    }
    assert_eq!(world.upstream.count(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_away_lets_nobody_in() {
    let world = World::start("scopegate").await;
    is_refused(&world, free_address(), "nobody listens").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_says_nothing_lets_nobody_in() {
    let world = World::start("scopegate").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    is_refused(&world, address, "it says nothing").await;
    accepting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_talks_nonsense_lets_nobody_in() {
    let world = World::start("scopegate").await;
    for nonsense in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
        b"\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff\xff",
        b"",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let talking = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(nonsense).await;
                let _ = stream.shutdown().await;
            }
        });
        is_refused(&world, address, &String::from_utf8_lossy(nonsense)).await;
        talking.abort();
    }
}

/// HTTP/2, but another server: 200, 500 and 404 without gRPC in them.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_than_the_gate_lets_nobody_in() {
    let world = World::start("scopegate").await;
    for status in [200, 404, 500, 503] {
        let other = crate::harness::Upstream::start().await;
        other.answers(move |_| json_reply(status, serde_json::json!({})));
        let address = other.url.strip_prefix("http://").unwrap().parse().unwrap();
        is_refused(&world, address, &status.to_string()).await;
    }
}

/// Ended and started again: refused in between, and served again without anybody's help.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_comes_back_is_asked_again() {
    let mut stand = Stand::of("scopegate").await;
    let key = stand.world.key(Key::default()).await;
    let through = stand.through(&key);
    assert_eq!(through.get(PATH).await.status, 200);
    let before = stand.answering.take().unwrap();
    let address = before.address();
    before.shutdown().await;
    assert_eq!(through.get(PATH).await.status, 503);
    let settings = scopegate_envoy::Settings::at(address);
    stand.answering = Some(super::answering(&stand.world, settings).await);
    let began = Instant::now();
    while through.get(PATH).await.status != 200 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it is not asked again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stand.passed(), 2);
}

/// The two addresses of the example are the only ones: an Envoy whose gate has no TLS, asked by TLS, and the other way
/// round, are in `tls.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_starts_as_it_is() {
    let world = World::start("scopegate").await;
    let listen = free_address();
    let text = at(listen, &world, free_address());
    let envoy = Envoy::start(&text, listen).await;
    assert_eq!(Actor::new(&envoy.url(), None).get("/").await.status, 503);
}

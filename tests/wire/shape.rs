//! The shape of requests: what two readers could read differently is refused before anything is looked up.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::io::AsyncWriteExt;

use crate::harness::{
    World,
    raw::{read_some, status_of},
};

#[tokio::test]
async fn ambiguous_paths_are_400() {
    let world = World::start("k8cost").await;
    let credential = format!(
        "Authorization: {}",
        world.session("admin").await.credential_value()
    );
    for path in [
        "/api/v1/clusters/prod%2f..%2fdev",
        "/api/v1/clusters/prod%5cdev",
        "/api/v1/clusters/prod;x=1",
        "/api/v1/clusters/%2e%2e/%2e%2e/%2e%2e/%2e%2e/x",
        "/api/v1/clusters/prod%00",
        "/api/v1/clusters/%252e%252e",
        "/../x",
        "/api/v1/clusters/%zz",
        "/API/v1/clusters/prod",
        "/api/v1/Clusters",
    ] {
        let reply = world
            .raw_request(&format!("GET {path} HTTP/1.1"), &[&credential])
            .await;
        assert_eq!(status_of(&reply), 400, "{path}: {reply}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn methods_and_authorities() {
    let world = World::start("k8cost").await;
    let credential = format!(
        "Authorization: {}",
        world.session("admin").await.credential_value()
    );
    for line in [
        "CONNECT gate.example:443 HTTP/1.1",
        "TRACE /api/v1/clusters HTTP/1.1",
        "get /api/v1/clusters HTTP/1.1",
        "GET http://other.example/api/v1/clusters/prod HTTP/1.1",
        "GET * HTTP/1.1",
    ] {
        let reply = world.raw_request(line, &[&credential]).await;
        assert_eq!(status_of(&reply), 400, "{line}: {reply}");
    }
    let twice = format!(
        "GET /api/v1/clusters/prod HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n{credential}\r\n\r\n"
    );
    assert_eq!(status_of(&world.raw(&twice).await), 400);
    assert_eq!(world.upstream.count(), 0);
    let same = world
        .raw_request(
            "GET http://gate.example/api/v1/clusters/prod HTTP/1.1",
            &[&credential],
        )
        .await;
    assert_eq!(status_of(&same), 200, "{same}");
}

/// One request on the wire is one request at the upstream, whatever its framing claims.
#[tokio::test]
async fn nothing_is_smuggled() {
    let world = World::start("k8cost").await;
    let credential = world.session("admin").await.credential_value().to_owned();
    let head =
        format!("POST /api/v1/clusters HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\n");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (framing, body) in [
        (
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            "Content-Length: 0\r\nContent-Length: 44\r\n",
            smuggled.to_owned(),
        ),
        ("Content-Length: +5\r\n", smuggled.to_owned()),
        ("Transfer-Encoding: xchunked\r\n", smuggled.to_owned()),
        (
            "Transfer-Encoding: chunked, identity\r\n",
            smuggled.to_owned(),
        ),
        (
            "Transfer-Encoding : chunked\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            "Transfer-Encoding:\u{b}chunked\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
    ] {
        world.raw(&format!("{head}{framing}\r\n{body}")).await;
        if world.upstream.count() > 0 {
            let seen = world.upstream.last();
            assert!(!seen.path.contains("smuggled"), "{framing:?}");
            assert!(
                !seen.body.windows(8).any(|bytes| bytes == b"smuggled"),
                "{framing:?}"
            );
            let both = seen.headers.contains_key("content-length")
                && seen.headers.contains_key("transfer-encoding");
            assert!(!both, "{framing:?}");
        }
    }
}

#[tokio::test]
async fn headers_have_a_bound() {
    let world = World::start("k8cost").await;
    let large = format!("X-Large: {}", "x".repeat(70 << 10));
    let reply = world
        .raw_request("GET /api/v1/health HTTP/1.1", &[&large])
        .await;
    assert!([400, 431].contains(&status_of(&reply)), "{reply}");
    let names: Vec<String> = (0..200).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    let reply = world
        .raw_request("GET /api/v1/health HTTP/1.1", &many)
        .await;
    assert!([400, 431].contains(&status_of(&reply)), "{reply}");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn http_2_is_served_by_its_preface() {
    let world = World::start("k8cost").await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Empty<Bytes>>();
    let session = world.session("admin").await;
    let calls = (0..10).map(|_| {
        let request = http::Request::get(format!("{}/api/v1/clusters/prod", world.url))
            .header("authorization", session.credential_value())
            .body(Empty::new())
            .unwrap();
        tokio::spawn(client.request(request))
    });
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap().unwrap();
        assert_eq!(
            (reply.status().as_u16(), reply.version()),
            (200, http::Version::HTTP_2)
        );
    }
    let seen = world.upstream.last();
    assert_eq!(
        seen.header("x-forwarded-host"),
        world.url.strip_prefix("http://").unwrap()
    );
}

#[tokio::test]
async fn several_requests_on_one_connection() {
    let world = World::start("k8cost").await;
    let mut stream = world.connect().await;
    let one = "GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(one.repeat(3).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let replies = read_some(&mut stream).await;
    assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 3, "{replies}");
}

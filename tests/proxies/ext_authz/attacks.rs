//! What clients send who want to be somebody else. The upstream sees what the gate said, and no credential.

use std::net::SocketAddr;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Stand, anywhere, failing_open, once, unlimited};
use crate::harness::{
    Actor, Key, Options, World,
    raw::{raw_request, read_some, status_of},
};

const PATH: &str = "/v1/clusters/prod";
const LINE: &str = "GET /v1/clusters/prod HTTP/1.1";

/// An Envoy that lets underscores through and fails open: whatever is refused here, the gate refuses.
fn careless(text: &str) -> String {
    let text = once(
        &failing_open(text),
        "headers_with_underscores_action: REJECT_REQUEST",
        "headers_with_underscores_action: ALLOW",
    );
    once(
        &text,
        "path_with_escaped_slashes_action: REJECT_REQUEST",
        "path_with_escaped_slashes_action: KEEP_UNCHANGED",
    )
}

async fn careless_stand() -> Stand {
    Stand::with(World::with(unlimited()).await, anywhere(), careless).await
}

/// The line of a caller's credential.
fn header_of(actor: &Actor) -> String {
    let (name, value) = actor.credential.as_ref().expect("a credential");
    format!("{name}: {value}")
}

/// Bytes that need not be text.
async fn bytes(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("written");
    read_some(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_gets_through() {
    let stand = careless_stand().await;
    let key = stand
        .world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let credential = header_of(&key);
    let long = format!("X-Scopegate-Roles: {}", "admin,".repeat(3000));
    let spoofed = [
        "X-Scopegate-Subject: root",
        "x-scopegate-subject: root",
        "X_Scopegate_Subject: root",
        "X-Scopegate_Roles: root",
        "x_scopegate-clusters: root",
        "X-SCOPEGATE-CLUSTERS: root",
        "X-Scopegate-Anything: root",
        "X-Request-Id: root",
        "X_Request_Id: root",
        "X-HTTP-Method-Override: root",
        "X-Method-Override: root",
        "X-Original-URL: /root",
        "X-Rewrite-URL: /root",
        "X_Api_Key: root",
        "Proxy-Authorization: root",
        long.as_str(),
    ];
    for header in spoofed {
        let twice = [credential.as_str(), header, header];
        let reply = raw_request(stand.envoy.address, LINE, &twice).await;
        assert_eq!(status_of(&reply), 200, "{header}: {reply}");
        let seen = stand.world.upstream.last();
        let sent = header.split_once(": ").unwrap();
        for (name, value) in &seen.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(
                value != sent.1 && !value.contains("root"),
                "{header}: {name}: {value}"
            );
        }
        assert_eq!(seen.header("x-scopegate-clusters"), "prod");
        seen.has_one_identity(header);
        assert!(!seen.headers.contains_key("authorization"));
    }
}

/// The example refuses underscores before anybody is asked.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_takes_no_underscores() {
    let stand = Stand::of("scopegate").await;
    let key = stand.world.key(Key::default()).await;
    let credential = header_of(&key);
    for header in ["X_Api_Key: x", "X_Scopegate_Subject: root", "a_b: c"] {
        let reply = raw_request(stand.envoy.address, LINE, &[&credential, header]).await;
        assert_eq!(status_of(&reply), 400, "{header}: {reply}");
    }
    assert_eq!(stand.passed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_credentials_are_none() {
    let stand = careless_stand().await;
    let key = stand.world.key(Key::default()).await;
    let good = key.credential_value().to_owned();
    let token = good.strip_prefix("Bearer ").unwrap_or(&good);
    let bearer = format!("Authorization: Bearer {token}");
    let api_key = format!("X-API-Key: {token}");
    let sets: [&[&str]; 5] = [
        &[&bearer, &bearer],
        &[&bearer, &api_key],
        &[&api_key, &api_key],
        &[&bearer, "X-API-Key: sg_live_nonsense"],
        &["Authorization: Bearer nonsense", &bearer],
    ];
    for headers in sets {
        let reply = raw_request(stand.envoy.address, LINE, headers).await;
        assert!(
            matches!(status_of(&reply), 400 | 401),
            "{headers:?}: {reply}"
        );
    }
    // Without raw headers Envoy merges them, and what is merged is no credential.
    let merged = |text: &str| {
        once(
            &careless(text),
            "encode_raw_headers: true",
            "encode_raw_headers: false",
        )
    };
    let answering = stand.answering.as_ref().unwrap().address();
    let envoy = super::envoy(&stand.world, answering, merged).await;
    for headers in sets {
        let reply = raw_request(envoy.address, LINE, headers).await;
        assert!(
            matches!(status_of(&reply), 400 | 401),
            "merged {headers:?}: {reply}"
        );
    }
    assert_eq!(stand.passed(), 0);
    let reply = raw_request(envoy.address, LINE, &[&bearer]).await;
    assert_eq!(status_of(&reply), 200, "{reply}");
    let seen = stand.world.upstream.last();
    assert!(!seen.headers.contains_key("authorization"));
    // An empty one beside it Envoy itself takes away, before it asks: neither the gate nor the upstream knows of it.
    let empty = [bearer.as_str(), "Authorization:"];
    let reply = raw_request(stand.envoy.address, LINE, &empty).await;
    assert_eq!(status_of(&reply), 200, "{reply}");
    let seen = stand.world.upstream.last();
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_own_cookies_do_not_go_on() {
    let stand = careless_stand().await;
    let good = header_of(&stand.world.key(Key::default()).await);
    for (cookies, left) in [
        (
            &[
                "Cookie: __Host-scopegate=secret; a=1",
                "Cookie: scopegate_x=secret; b=2",
            ][..],
            "a=1; b=2",
        ),
        (&["Cookie: a=1"][..], "a=1"),
        (&["Cookie: scopegate=secret"][..], ""),
    ] {
        let headers = [&[good.as_str()], cookies].concat();
        let reply = raw_request(stand.envoy.address, LINE, &headers).await;
        assert_eq!(status_of(&reply), 200, "{reply}");
        assert_eq!(stand.world.upstream.last().header("cookie"), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_text_is_not_let_in_by_its_being_so() {
    let stand = careless_stand().await;
    let key = stand.world.key(Key::default()).await;
    let good = format!("{}\r\n", header_of(&key));
    let head = |line: &[u8], headers: &[u8]| {
        let host: &[u8] = b" HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n";
        [line, host, headers, b"\r\n"].concat()
    };
    let refused = [
        head(b"GET /v1/clusters/\xff\xfe", good.as_bytes()),
        head(b"GET /v1/clusters/prod?q=\xe9", b""),
        head(
            b"GET /v1/clusters/prod",
            b"Authorization: Bearer \xff\xfe\r\n",
        ),
        head(b"GET /v1/clusters/prod", b"X-API-Key: \xc3\x28\r\n"),
        head(b"GET /v1/clusters/prod", b"X-Scopegate-Subject: \xff\r\n"),
        head(b"G\xcbT /v1/clusters/prod", good.as_bytes()),
        head(b"get /v1/clusters/prod", good.as_bytes()),
        head(b"GET /v1/clusters/prod;x", good.as_bytes()),
        head(b"GET /v1/clusters%2fprod", good.as_bytes()),
        head(b"GET /v1/clusters/prod%00", good.as_bytes()),
        head(b"GET /v1/clusters/%2570rod", good.as_bytes()),
        head(b"GET /V1/clusters/prod", good.as_bytes()),
        head(b"GET /-/ready", good.as_bytes()),
        head(b"TRACE /v1/clusters/prod", good.as_bytes()),
        head(b"CONNECT /v1/clusters/prod", good.as_bytes()),
    ];
    for request in refused {
        let reply = bytes(stand.envoy.address, &request).await;
        let status = status_of(&reply);
        assert!(
            (400..600).contains(&status) || reply.is_empty(),
            "{}: {reply}",
            String::from_utf8_lossy(&request)
        );
    }
    assert_eq!(stand.passed(), 0);
    // Beside a good credential it is a header as any other.
    let odd = [good.as_bytes(), b"X-Name: \xff\xfe\r\n"].concat();
    let reply = bytes(stand.envoy.address, &head(b"GET /v1/clusters/prod", &odd)).await;
    assert_eq!(status_of(&reply), 200, "{reply}");
    assert_eq!(
        stand.world.upstream.last().headers["x-name"].as_bytes(),
        b"\xff\xfe"
    );
}

/// Two requests in one: what stands in the body of the first is not judged as a second one, and not forwarded as one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_smuggled_is_judged_or_not_forwarded() {
    let stand = careless_stand().await;
    let key = stand
        .world
        .key(Key {
            clusters: &["prod"],
            ..Key::default()
        })
        .await;
    let good = header_of(&key);
    let hidden = "GET /v1/clusters/dev HTTP/1.1\r\nHost: a\r\nX-Scopegate-Subject: root\r\n\r\n";
    let requests = [
        format!(
            "{LINE}\r\nHost: a\r\n{good}\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!(
            "{LINE}\r\nHost: a\r\n{good}\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n{hidden}"
        ),
        format!("{LINE}\r\nHost: a\r\n{good}\r\nTransfer-Encoding: xchunked\r\n\r\n{hidden}"),
        format!(
            "{LINE}\r\nHost: a\r\n{good}\r\nContent-Length : {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!("{LINE}\r\nHost: a\r\n{good}\r\n\r\n{hidden}"),
        format!("GET /v1/clusters/prod HTTP/1.1\r\nHost: a\r\nHost: b\r\n{good}\r\n\r\n"),
        format!("GET http://b/v1/clusters/dev HTTP/1.1\r\nHost: a\r\n{good}\r\n\r\n"),
    ];
    for request in requests {
        let before = stand.passed();
        let reply = bytes(stand.envoy.address, request.as_bytes()).await;
        let passed = stand.passed() - before;
        assert!(passed <= 1, "{request}: {reply}");
        if passed == 1 {
            let seen = stand.world.upstream.last();
            assert_eq!(
                (seen.path.as_str(), seen.header("x-scopegate-clusters")),
                (PATH, "prod")
            );
        }
    }
}

/// What `Connection` names ends there: nothing is judged that the upstream does not read, and nothing of the gate's or of
/// Envoy's is taken off.
#[tokio::test(flavor = "multi_thread")]
async fn connection_takes_nothing_away_that_was_judged() {
    let world = World::with(Options {
        contract: "k8cost",
        ..unlimited()
    })
    .await;
    let stand = Stand::with(world, anywhere(), careless).await;
    let agent = stand.world.agent("staging").await;
    let credential = header_of(&agent);
    let line = "POST /api/v1/metrics HTTP/1.1";
    for named in [
        "x-cluster-id",
        "x-scopegate-clusters, x-scopegate-subject",
        "x-forwarded-for, x-forwarded-proto",
        "authorization",
        "x-request-id",
    ] {
        let connection = format!("Connection: close, {named}");
        let headers = [
            credential.as_str(),
            "X-Cluster-Id: staging",
            &connection,
            "Content-Length: 0",
        ];
        let before = stand.passed();
        let reply = raw_request(stand.envoy.address, line, &headers).await;
        if stand.passed() == before {
            assert!(status_of(&reply) >= 400, "{named}: {reply}");
            continue;
        }
        let seen = stand.world.upstream.last();
        assert_eq!(seen.header("x-scopegate-clusters"), "staging", "{named}");
        assert_eq!(seen.header("x-cluster-id"), "staging", "{named}");
        assert!(!seen.header("x-forwarded-for").is_empty(), "{named}");
        assert!(!seen.headers.contains_key("authorization"), "{named}");
        assert!(!seen.headers.contains_key("x-api-key"), "{named}");
    }
}

/// A question larger than is read would be a gRPC error, and an allow where Envoy fails open.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_too_large_to_read_is_refused() {
    let change = |text: &str| {
        let text = careless(text);
        once(
            &text,
            "stat_prefix: public\n",
            "stat_prefix: public\n                max_request_headers_kb: 8192\n",
        )
    };
    let stand = Stand::with(World::with(unlimited()).await, anywhere(), change).await;
    let key = stand.world.key(Key::default()).await;
    let good = header_of(&key);
    for (bytes, status) in [(70 << 10, 400), (2 << 20, 400)] {
        let large = format!("X-Large: {}", "a".repeat(bytes));
        let reply = raw_request(stand.envoy.address, LINE, &[&good, &large]).await;
        assert_eq!(
            status_of(&reply),
            status,
            "{bytes}: {}",
            &reply[..reply.len().min(300)]
        );
    }
    let many: Vec<String> = (0..90).map(|index| format!("X-{index}: a")).collect();
    let more: Vec<&str> = many.iter().chain(&many).map(String::as_str).collect();
    let reply = raw_request(
        stand.envoy.address,
        LINE,
        &[&[good.as_str()], &more[..]].concat(),
    )
    .await;
    assert!(status_of(&reply) >= 400, "{reply}");
    assert_eq!(stand.passed(), 0);
}

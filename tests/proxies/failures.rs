//! The gate away, silent, broken or somebody else: nobody is let in, and nobody waits for ever.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::TcpListener;

use super::{Kind, behind::address_of};
use crate::harness::{Actor, Upstream, program::free_address, raw, tls, upstream::raw_upstream};

const NOT_THERE: &str = "it is not there";

/// What stands where the gate should be.
pub(super) async fn impostors() -> Vec<(&'static str, SocketAddr)> {
    let replies: [(&str, &'static [u8]); 9] = [
        (
            "it answers 500",
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "it answers 503",
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "it answers 302",
            b"HTTP/1.1 302 Found\r\nLocation: /v1/health\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "it answers 404",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "it answers 100 and hangs up",
            b"HTTP/1.1 100 Continue\r\n\r\n",
        ),
        ("it hangs up", b""),
        (
            "it hangs up in the header",
            b"HTTP/1.1 200 OK\r\nX-Scopegate-Subj",
        ),
        ("it speaks something else", b"220 smtp.example ESMTP\r\n"),
        (
            "its lengths differ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        ),
    ];
    let mut all = vec![
        (NOT_THERE, free_address()),
        ("it says nothing", silent().await),
    ];
    for (what, reply) in replies {
        all.push((what, address_of(&raw_upstream(reply).await)));
    }
    all
}

/// Takes connections and never answers.
async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    address
}

/// With a second for an answer, where the ready configuration gives it ten.
fn impatient(text: String) -> String {
    text.replace("proxy_read_timeout 10s", "proxy_read_timeout 1s")
        .replace("response_header_timeout 10s", "response_header_timeout 1s")
        .replace("timeout: 10s", "timeout: 1s")
}

async fn is_refused(kind: Kind, what: &str, address: SocketAddr, upstream: &Upstream) {
    // How long Traefik waits cannot be said to it.
    let within = Duration::from_secs(if kind == Kind::Traefik { 35 } else { 10 });
    let credentials = [
        None,
        Some(("x-api-key", "sg_live_anything".to_owned())),
        Some(("authorization", "Bearer eyJ.eyJ.x".to_owned())),
    ];
    let asked = credentials.map(async |credential| {
        let begun = Instant::now();
        let caller = Actor::new(&format!("http://{address}"), credential);
        let reply = caller.get("/v1/health").await;
        assert!(reply.status >= 300, "{kind:?}: {what}: {reply:?}");
        if what == NOT_THERE {
            // As docs/proxies.md says.
            let status = match kind {
                Kind::Nginx | Kind::Envoy => 503,
                Kind::Caddy => 502,
                Kind::Traefik => 500,
            };
            assert_eq!(reply.status, status, "{kind:?}: {reply:?}");
        }
        assert!(begun.elapsed() < within, "{kind:?}: {what}");
    });
    futures_util::future::join_all(asked).await;
    assert_eq!(upstream.count(), 0, "{kind:?}: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_by_a_gate_that_is_none() {
    let impostors = impostors().await;
    for kind in Kind::ALL {
        let upstream = Upstream::start().await;
        for (what, gate) in &impostors {
            // Those that Caddy and Envoy hand on as they are, and nginx as what it is: a refusal all the same.
            let proxy = kind
                .start(*gate, address_of(&upstream.url), impatient)
                .await;
            is_refused(kind, what, proxy.address, &upstream).await;
        }
    }
}

/// A yes that names nobody is not the gate's, whoever gave it.
#[tokio::test]
async fn a_yes_without_a_name_is_none() {
    let upstream = Upstream::start().await;
    for reply in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        for kind in [Kind::Nginx, Kind::Caddy] {
            let gate = address_of(&raw_upstream(reply).await);
            let proxy = kind.start(gate, address_of(&upstream.url), impatient).await;
            is_refused(kind, "a yes", proxy.address, &upstream).await;
        }
    }
}

/// Only a 200 is a yes to Envoy; to nginx and Caddy any 2xx is one, which is why the gate has no other.
#[tokio::test]
async fn another_2xx_is_no_yes_to_envoy() {
    let upstream = Upstream::start().await;
    for reply in [
        &b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let gate = address_of(&raw_upstream(reply).await);
        let proxy = Kind::Envoy
            .start(gate, address_of(&upstream.url), impatient)
            .await;
        raw::raw_request(proxy.address, "GET /v1/health HTTP/1.1", &[]).await;
        assert_eq!(upstream.count(), 0);
    }
}

/// What says yes to everything.
const YES: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Scopegate-Subject: anybody\r\nX-Scopegate-Uri: /v1/health\r\nConnection: close\r\n\r\n";

/// The ready configuration, asking over TLS whoever this authority signed for.
fn over_tls(kind: Kind, text: String, gate: SocketAddr, authority: &str) -> String {
    let text = impatient(text);
    match kind {
        Kind::Nginx => text.replace(
            "proxy_pass http://scopegate;",
            &format!("proxy_pass https://scopegate; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate {authority};"),
        ),
        Kind::Caddy => text
            .replace(
                &format!("forward_auth 127.0.0.1:{}", gate.port()),
                &format!("forward_auth https://127.0.0.1:{}", gate.port()),
            )
            .replace(
                "dial_timeout 2s",
                &format!("dial_timeout 2s\n\t\t\t\ttls_server_name localhost\n\t\t\t\ttls_timeout 2s\n\t\t\t\ttls_trusted_ca_certs {authority}"),
            ),
        Kind::Envoy => text.replacen(
            "    - name: scopegate\n      type: STRICT_DNS\n",
            &format!("    - name: scopegate\n      type: STRICT_DNS\n      transport_socket:\n        name: envoy.transport_sockets.tls\n        typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n          sni: localhost\n          common_tls_context: {{ validation_context: {{ trusted_ca: {{ filename: {authority} }}, match_typed_subject_alt_names: [{{ san_type: DNS, matcher: {{ exact: localhost }} }}] }} }}\n"),
            1,
        ),
        Kind::Traefik => text.replace(
            &format!("address: http://127.0.0.1:{}/-/check", gate.port()),
            &format!("address: https://127.0.0.1:{}/-/check\n        tls: {{ ca: {authority} }}", gate.port()),
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_with_a_wrong_certificate_is_not_believed() {
    let encrypted = tls::before(address_of(&raw_upstream(YES).await)).await;
    let gate = encrypted.address;
    let directory = tempfile::tempdir().expect("a directory");
    let authorities = [
        ("right.pem", &encrypted.authority),
        ("wrong.pem", &encrypted.stranger),
    ];
    for (name, pem) in authorities {
        std::fs::write(directory.path().join(name), pem).expect("written");
    }
    let place = |name: &str| directory.path().join(name).display().to_string();
    for kind in Kind::ALL {
        let upstream = Upstream::start().await;
        let api = address_of(&upstream.url);
        let start = async |gate: SocketAddr, authority: &str| {
            let authority = place(authority);
            kind.start(gate, api, |text| over_tls(kind, text, gate, &authority))
                .await
        };
        let proxy = start(gate, "wrong.pem").await;
        is_refused(kind, "another authority", proxy.address, &upstream).await;
        // One that speaks no TLS at all.
        let plain =
            address_of(&raw_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
        let proxy = start(plain, "right.pem").await;
        is_refused(kind, "no TLS", proxy.address, &upstream).await;
        // That it was the certificate shows where it is the right one.
        let proxy = start(gate, "right.pem").await;
        let caller = Actor::new(&format!("http://{}", proxy.address), None);
        let reply = caller.get("/v1/health").await;
        assert_eq!(
            (reply.status, upstream.count()),
            (200, 1),
            "{kind:?}: {}",
            reply.body
        );
    }
}

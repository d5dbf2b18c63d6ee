//! `X-Forwarded-For`, `-Proto` and `-Host`: what the upstream is told of the client's side of the connection. Only a
//! trusted proxy's word is carried on; everyone else's is dropped, in every spelling, and ours takes its place.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, HeaderValue, header::HOST, request::Parts};
use ipnet::IpNet;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Sets the three, and takes off every other that says where a request came from.
pub(super) fn set(parts: &mut Parts, trusted: &[IpNet]) {
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_canonical());
    let is_trusted = peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer)));
    let headers = &mut parts.headers;
    let before = is_trusted.then(|| joined(headers)).flatten();
    let [proto, host] =
        [PROTO, FORWARDED_HOST].map(|name| headers.get(name).filter(|_| is_trusted).cloned());
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| says_where_from(name))
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
    if let Some(chain) = chain(before, peer) {
        headers.insert(FOR, chain);
    }
    headers.insert(PROTO, proto.unwrap_or(HeaderValue::from_static("http")));
    let own = || {
        parts
            .uri
            .authority()
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
    };
    if let Some(host) = host.or_else(|| headers.get(HOST).cloned()).or_else(own) {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// The addresses so far, in one line.
fn joined(headers: &HeaderMap) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn chain(before: Option<String>, peer: Option<IpAddr>) -> Option<HeaderValue> {
    let chain = match (before, peer) {
        (Some(before), Some(peer)) => format!("{before}, {peer}"),
        (None, Some(peer)) => peer.to_string(),
        (before, None) => before?,
    };
    HeaderValue::from_str(&chain).ok()
}

/// Whether a header of this name speaks of the client's side: `Forwarded` (RFC 7239), `X-Forwarded-*`,
/// `X-Original-*`, `X-Real-IP`, with `_` for `-` as well.
fn says_where_from(name: &HeaderName) -> bool {
    let name = name.as_str();
    if !name.starts_with(['x', 'f']) {
        return false;
    }
    let name = name.replace('_', "-");
    name == "forwarded"
        || name == "x-real-ip"
        || name == "x-forwarded"
        || name.starts_with("x-forwarded-")
        || name.starts_with("x-original-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut request = http::Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let peer: SocketAddr = peer.parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        set(&mut parts, &["10.0.0.0/8".parse().unwrap()]);
        parts.headers
    }

    #[test]
    fn a_strangers_word_is_replaced() {
        let headers = told(
            "203.0.113.9:1234",
            &[
                ("host", "api.example.com"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x_forwarded_for", "127.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-prefix", "/admin"),
                ("x-original-uri", "/admin"),
                ("forwarded", "for=127.0.0.1"),
                ("x-real-ip", "127.0.0.1"),
            ],
        );
        assert_eq!(headers[FOR], "203.0.113.9");
        assert_eq!(headers[PROTO], "http");
        assert_eq!(headers[FORWARDED_HOST], "api.example.com");
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a_trusted_proxys_word_is_carried_on() {
        let headers = told(
            "[::ffff:10.1.2.3]:1234",
            &[
                ("host", "scopegate:8080"),
                ("x-forwarded-for", "198.51.100.7"),
                ("x-forwarded-for", "10.9.9.9"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "api.example.com"),
                ("x-forwarded-prefix", "/admin"),
            ],
        );
        assert_eq!(headers[FOR], "198.51.100.7, 10.9.9.9, 10.1.2.3");
        assert_eq!(headers[PROTO], "https");
        assert_eq!(headers[FORWARDED_HOST], "api.example.com");
        assert_eq!(headers.len(), 4);
    }
}

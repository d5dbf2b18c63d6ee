//! Headers of one connection stay on it (RFC 9110, section 7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, UPGRADE},
    request::Parts,
};
use scopegate_host::{Cause, headers};

use crate::cookie;

/// Whether the request wants to become a WebSocket.
///
/// # Errors
/// When it wants to become anything else: a tunnel of an unknown protocol goes around the gate.
pub(super) fn upgrade(parts: &Parts) -> Result<bool, Cause> {
    let mut wanted = parts.headers.get_all(UPGRADE).iter();
    let Some(protocol) = wanted.next() else {
        return Ok(false);
    };
    let is_websocket = wanted.next().is_none()
        && protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && parts.method == Method::GET
        && parts.version == Version::HTTP_11;
    if is_websocket {
        Ok(true)
    } else {
        Err(Cause::InvalidRequest(
            "only WebSocket upgrades, by GET over HTTP/1.1, are served".into(),
        ))
    }
}

/// Whether a 101 answers with what was asked for.
pub(super) fn switches_to_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Takes off what ends at this hop. `Expect` is answered here: the client is told to go on as soon as its body is
/// wanted.
pub(super) fn clean_request(headers: &mut HeaderMap, upgrade: bool) {
    let trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value
                .split(',')
                .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
        })
    });
    clean(headers);
    // The dashboard's session is no business of the upstream's.
    cookie::take_own(headers);
    headers.remove(EXPECT);
    // What it announces ends here: see `body`.
    headers.remove(TRAILER);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if upgrade {
        set_upgrade(headers);
        // A request that becomes a tunnel has no body that anybody agrees on.
        headers.remove(CONTENT_LENGTH);
    }
}

/// Takes off what the upstream meant for this connection alone.
pub(super) fn clean_reply(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers::connection_named(headers).collect();
        for name in named {
            headers.remove(name);
        }
    }
    clean(headers);
}

fn clean(headers: &mut HeaderMap) {
    for name in headers::HOP_BY_HOP {
        // Announces fields for whoever reads the message at its end.
        if name != TRAILER {
            headers.remove(name);
        }
    }
}

/// Asks for a WebSocket, or answers with one.
pub(super) fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// A header's value.
pub(super) fn value(text: &str) -> Result<HeaderValue, Cause> {
    HeaderValue::from_str(text).map_err(|_| Cause::InvalidRequest("the host is not a host".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        assert_eq!(upgrade(&parts(&[])), Ok(false));
        assert_eq!(upgrade(&parts(&[("upgrade", "WebSocket")])), Ok(true));
        for other in ["h2c", "websocket, h2c", "TLS/1.0", ""] {
            assert!(upgrade(&parts(&[("upgrade", other)])).is_err(), "{other}");
        }
        assert!(upgrade(&parts(&[("upgrade", "websocket"), ("upgrade", "h2c")])).is_err());
        let mut post = parts(&[("upgrade", "websocket")]);
        post.method = Method::POST;
        assert!(upgrade(&post).is_err());
    }

    #[test]
    fn what_belongs_to_one_connection_stays_on_it() {
        let mut headers = parts(&[
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip, Trailers;q=1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ])
        .headers;
        clean_request(&mut headers, false);
        assert_eq!(
            headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            ["accept"]
        );

        headers.insert(TE, HeaderValue::from_static("deflate, trailers"));
        clean_request(&mut headers, false);
        assert_eq!(headers[TE], "trailers");
    }

    #[test]
    fn what_the_upstream_says_to_this_hop_stops_here() {
        let mut headers = parts(&[
            ("connection", "close, X-Internal"),
            ("x-internal", "1"),
            ("keep-alive", "timeout=5"),
            ("content-type", "text/plain"),
        ])
        .headers;
        clean_reply(&mut headers);
        assert_eq!(
            headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            ["content-type"]
        );
    }
}

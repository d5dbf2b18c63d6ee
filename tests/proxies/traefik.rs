//! Traefik is in no package that tests could install. In its place stands a client that reads the ready configuration and
//! behaves as the documentation of Traefik 3.3 says of `forwardAuth`, `headers` and `trustForwardHeader`
//! (doc.traefik.io/traefik/v3.3/reference/routing-configuration/http/middlewares/forwardauth): a GET with the client's
//! headers and `X-Forwarded-*`, a 2xx lets through, the headers that match are taken off and copied from the reply, and
//! any other reply is the client's.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use regex::Regex;
use scopegate_host::headers::{HOP_BY_HOP, connection_named};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

struct Traefik {
    gate: SocketAddr,
    check: String,
    api: SocketAddr,
    trusts_forwarded: bool,
    copied: Regex,
    removed: Vec<HeaderName>,
}

/// Serves what the dynamic configuration says, as long as the test runs.
pub(super) async fn serve(text: &str, address: SocketAddr) {
    let traefik = Arc::new(Traefik::read(text));
    let listener = TcpListener::bind(address).await.expect("a free port");
    let app = Router::new()
        .fallback(
            move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>| {
                let traefik = Arc::clone(&traefik);
                async move { traefik.answer(peer, request).await }
            },
        )
        .into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
}

impl Traefik {
    fn read(text: &str) -> Self {
        let all: Value = serde_saphyr::from_str(text).expect("YAML");
        let http = &all["http"];
        let routers = http["routers"].as_object().expect("routers");
        assert_eq!(
            routers["api"]["middlewares"],
            serde_json::json!(["scopegate", "no-credentials"])
        );
        let auth = &http["middlewares"]["scopegate"]["forwardAuth"];
        let url: http::Uri = auth["address"]
            .as_str()
            .expect("a URL")
            .parse()
            .expect("a URL");
        let headers = &http["middlewares"]["no-credentials"]["headers"]["customRequestHeaders"];
        let headers = headers.as_object().expect("headers");
        assert!(headers.values().all(|value| value == ""));
        let server = |name: &str| {
            let url = http["services"][name]["loadBalancer"]["servers"][0]["url"].as_str();
            super::behind::address_of(url.expect("a URL"))
        };
        assert_eq!(
            url.authority().expect("an authority").as_str(),
            server("scopegate").to_string()
        );
        Self {
            gate: server("scopegate"),
            check: url.path().to_owned(),
            api: server("api"),
            trusts_forwarded: auth["trustForwardHeader"].as_bool().expect("said"),
            copied: Regex::new(auth["authResponseHeadersRegex"].as_str().expect("said"))
                .expect("an expression"),
            removed: headers
                .keys()
                .map(|name| name.parse().expect("a name"))
                .collect(),
        }
    }

    async fn answer(&self, peer: SocketAddr, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        let target = parts.uri.path_and_query().expect("a target").to_string();
        let forwarded = self.forwarded(&parts, peer, &target);
        let is_upgrade = parts.headers.contains_key(header::UPGRADE);
        assert!(!is_upgrade, "no test needs it here");
        if !target.starts_with("/auth/") {
            let mut headers = end_to_end(&parts.headers);
            headers.remove(header::CONTENT_LENGTH);
            headers.insert(
                header::HOST,
                HeaderValue::from_str(&self.gate.to_string()).expect("a host"),
            );
            for (name, value) in &forwarded {
                headers.insert(name, value.clone());
            }
            let question = message("GET", &self.check, headers, Bytes::new());
            let Some(reply) = send(self.gate, question).await else {
                return status(StatusCode::INTERNAL_SERVER_ERROR);
            };
            if !reply.status().is_success() {
                return reply;
            }
            let matching = |name: &HeaderName| self.copied.is_match(name.as_str());
            let stripped: Vec<HeaderName> = parts
                .headers
                .keys()
                .filter(|name| matching(name))
                .cloned()
                .collect();
            for name in stripped {
                parts.headers.remove(name);
            }
            for (name, value) in reply.headers().iter().filter(|(name, _)| matching(name)) {
                parts.headers.append(name, value.clone());
            }
            for name in &self.removed {
                parts.headers.remove(name);
            }
        }
        let to = if target.starts_with("/auth/") {
            self.gate
        } else {
            self.api
        };
        let mut headers = end_to_end(&parts.headers);
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
            let value = forwarded.get(name).cloned();
            headers.insert(HeaderName::from_static(name), value.expect("always there"));
        }
        let message = message(parts.method.as_str(), &target, headers, body.to_bytes());
        send(to, message)
            .await
            .unwrap_or_else(|| status(StatusCode::BAD_GATEWAY))
    }

    /// What it tells of the client's side. A client's own word counts only where it is trusted.
    fn forwarded(&self, parts: &http::request::Parts, peer: SocketAddr, target: &str) -> HeaderMap {
        let sent = |name: &str| parts.headers.get(name).filter(|_| self.trusts_forwarded);
        let own = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a value");
        let host = parts.headers.get(header::HOST).cloned();
        let before = sent("x-forwarded-for").map(|before| before.to_str().expect("text"));
        let chain = match before {
            Some(before) => format!("{before}, {}", peer.ip()),
            None => peer.ip().to_string(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", own(&chain));
        for (name, own) in [
            ("x-forwarded-method", own(parts.method.as_str())),
            ("x-forwarded-proto", own("http")),
            ("x-forwarded-host", host.unwrap_or_else(|| own(""))),
            ("x-forwarded-uri", own(target)),
        ] {
            headers.insert(name, sent(name).cloned().unwrap_or(own));
        }
        headers
    }
}

/// Without the headers of one connection, and those that `Connection` names.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in connection_named(headers).chain(HOP_BY_HOP) {
        kept.remove(name);
    }
    kept
}

fn message(method: &str, target: &str, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut message = Request::builder()
        .method(method)
        .uri(target)
        .body(Full::new(body))
        .expect("a request");
    *message.headers_mut() = headers;
    message
}

fn status(status: StatusCode) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    reply
}

async fn send(to: SocketAddr, message: Request<Full<Bytes>>) -> Option<Response<Body>> {
    let stream = TcpStream::connect(to).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let reply = sender.send_request(message).await.ok()?;
    let (mut parts, body) = reply.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    parts.headers = end_to_end(&parts.headers);
    Some(Response::from_parts(parts, Body::from(body)))
}

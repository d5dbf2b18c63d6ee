//! `/-/check`: forward auth. A proxy asks about each request before it forwards it, and reads the answer from the
//! status: 200, and nothing else, lets the request through.
//!
//! Only trusted proxies are answered, in the one configured dialect. To everybody else there is nothing here.

mod allow;
mod asked;

use std::{net::SocketAddr, sync::Arc};

use axum::{body::Body, extract::ConnectInfo};
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::ALLOW, request::Parts,
};
use ipnet::IpNet;
use scopegate_axum::{Clock, convert, refused};
use scopegate_host::{Cause, Gate, Refusal, Rewriting, Verdict};

use asked::Asked;

/// Where proxies ask.
const PATH: &str = "/-/check";
/// Why a request was refused, for a proxy that drops bodies.
const REASON: HeaderName = HeaderName::from_static("x-scopegate-reason");

/// How a proxy asks, and what it makes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `auth_request` of nginx: the request is in `X-Original-*`, and the target that was judged goes back.
    Nginx,
    /// `ForwardAuth` of Traefik: the request is in `X-Forwarded-*`.
    Traefik,
    /// `forward_auth` of Caddy: the same headers. Caddy encodes a target that a reply gives it once more, so it is given none.
    Caddy,
    /// Envoy's `ext_authz` over HTTP: the request itself, without its body, under `/-/check`.
    Envoy,
}

impl Dialect {
    fn rewriting(self) -> Rewriting {
        match self {
            Self::Nginx => Rewriting::Target,
            Self::Traefik | Self::Caddy | Self::Envoy => Rewriting::Nothing,
        }
    }

    /// Whether this path is a question.
    fn is_at(self, path: &str) -> bool {
        match path.strip_prefix(PATH) {
            Some("") => true,
            Some(rest) => self == Self::Envoy && rest.starts_with('/'),
            None => false,
        }
    }

    /// What the proxy is told by for this status. Envoy takes a 5xx for a failure of the gate, which `failure_mode_allow`
    /// would let through: then whoever provokes one would be let in.
    fn status(self, status: StatusCode) -> StatusCode {
        match self {
            Self::Envoy if status.is_server_error() => StatusCode::FORBIDDEN,
            _ => status,
        }
    }
}

/// What answers proxies that ask. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    dialect: Dialect,
    gate: Arc<Gate>,
    clock: Clock,
    trusted: Arc<[IpNet]>,
}

impl Check {
    /// Answers these proxies in this dialect.
    pub(crate) fn new(
        dialect: Dialect,
        gate: Arc<Gate>,
        clock: Clock,
        trusted: Vec<IpNet>,
    ) -> Self {
        Self {
            dialect,
            gate,
            clock,
            trusted: trusted.into(),
        }
    }

    /// Whether this is a question of a trusted proxy. Anything else finds nothing here.
    pub(crate) fn is_asked(&self, request: &Request<Body>) -> bool {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        self.dialect.is_at(request.uri().path())
            && peer.is_some_and(|ConnectInfo(peer)| {
                let peer = peer.ip().to_canonical();
                self.trusted.iter().any(|net| net.contains(&peer))
            })
    }

    /// Answers a question. Its body is not read.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        if self.dialect != Dialect::Envoy && parts.method != Method::GET {
            let mut reply = self.malformed(Cause::MethodNotAllowed, &parts).await;
            reply
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return reply;
        }
        let asked = match Asked::read(self.dialect, &parts) {
            Ok(asked) => asked,
            Err(cause) => return self.malformed(cause, &parts).await,
        };
        let around = convert(&parts, self.clock.now_ms());
        let question = asked.question(around.peer, around.now_ms);
        let verdict = self.gate.advise(&question, self.dialect.rewriting()).await;
        match verdict {
            Verdict::Refuse(refusal) => self.refused(*refusal, &parts.method),
            Verdict::Admit(admission) => {
                match allow::reply(self.dialect, &admission, &asked.headers) {
                    Ok(reply) => reply,
                    Err(cause) => {
                        let refusal = self.gate.refuse_admitted(cause, &admission).await;
                        self.refused(refusal, &parts.method)
                    }
                }
            }
        }
    }

    /// A question that is none: the proxy is not set up as the dialect wants it, or somebody meddled.
    async fn malformed(&self, cause: Cause, parts: &Parts) -> Response<Body> {
        let question = convert(parts, self.clock.now_ms());
        let refusal = self.gate.refuse(cause, &question).await;
        self.refused(refusal, &parts.method)
    }

    fn refused(&self, refusal: Refusal, method: &Method) -> Response<Body> {
        let reason = match self.dialect {
            Dialect::Nginx => HeaderValue::from_str(refusal.code()).ok(),
            Dialect::Traefik | Dialect::Caddy | Dialect::Envoy => None,
        };
        let status = self.dialect.status(refusal.status);
        let mut reply = refused(refusal, method);
        *reply.status_mut() = status;
        if let Some(reason) = reason {
            reply.headers_mut().insert(REASON, reason);
        }
        reply
    }
}

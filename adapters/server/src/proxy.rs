//! The reverse proxy: carries an admitted request to the upstream and its reply back, streaming both ways.
//!
//! The upstream is spoken to in HTTP/1.1, which is what carries WebSockets; `https` upstreams are verified against
//! the web's roots or a configured authority. `Host` names the upstream unless the configuration preserves the
//! client's, which the upstream finds in `X-Forwarded-Host` either way.

use std::{error::Error as _, io, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, Uri, request, uri};
use http_body::Body as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use ipnet::IpNet;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use scopegate_host::Cause;

mod body;
mod forwarded;
mod headers;
mod tunnel;

pub use tunnel::Tunnels;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Scheme, authority and, if there is one, a path that is put before every request's.
    pub url: Uri,
    /// Whether the client's `Host` goes on, instead of the upstream's authority.
    pub preserve_host: bool,
    /// The authority that signed an `https` upstream's certificate; empty: the web's.
    pub roots: Vec<CertificateDer<'static>>,
}

/// What a request to the upstream may take.
#[derive(Clone, Copy, Debug)]
pub struct ProxyLimits {
    /// For opening a connection.
    pub connect: Duration,
    /// From the last byte of the request to the reply's header.
    pub response: Duration,
    /// Without a byte of a body in either direction.
    pub idle: Duration,
    /// Without a byte on a WebSocket in either direction.
    pub tunnel_idle: Duration,
    /// WebSockets that are open at once; more are 503.
    pub tunnels_max: usize,
    /// For a request's body; more is 413.
    pub body_bytes_max: u64,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(600),
            tunnels_max: 4096,
            body_bytes_max: 64 << 20,
        }
    }
}

/// An upstream that cannot be proxied to.
#[derive(Debug, thiserror::Error)]
pub enum BadUpstream {
    /// The URL is not one of a server.
    #[error("the upstream `{0}` is not an http or https URL without query")]
    Url(Uri),
    /// A root certificate cannot be read.
    #[error("the upstream's certificate authority cannot be used: {0}")]
    Roots(rustls::Error),
}

/// A reverse proxy to one upstream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    scheme: uri::Scheme,
    authority: uri::Authority,
    /// Without the slash at its end.
    base: String,
    preserve_host: bool,
    limits: ProxyLimits,
    trusted: Vec<IpNet>,
    tunnels: Tunnels,
}

impl Proxy {
    /// A proxy to this upstream. `X-Forwarded-*` of `trusted` peers is carried on.
    ///
    /// # Errors
    /// When the upstream's URL or certificates cannot be used.
    pub fn new(
        upstream: Upstream,
        limits: ProxyLimits,
        trusted: Vec<IpNet>,
    ) -> Result<Self, BadUpstream> {
        let bad = || BadUpstream::Url(upstream.url.clone());
        let parts = upstream.url.clone().into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| ["http", "https"].contains(&scheme.as_str()))
            .ok_or_else(bad)?;
        let authority = parts
            .authority
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or_else(bad)?;
        if upstream.url.query().is_some() {
            return Err(bad());
        }
        let base = upstream.url.path().trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Inner {
            client: client(&upstream.roots, limits.connect)?,
            scheme,
            authority,
            base,
            preserve_host: upstream.preserve_host,
            limits,
            trusted,
            tunnels: Tunnels::new(limits.tunnels_max),
        })))
    }

    /// The WebSockets that are open through this proxy.
    pub fn tunnels(&self) -> &Tunnels {
        &self.0.tunnels
    }

    /// Sends a request on and gives the reply, as soon as its header is there.
    ///
    /// # Errors
    /// Why there is no reply to give: the upstream's failure, its silence, a body that is too large.
    pub async fn forward(&self, request: Request<Body>) -> Result<Response<Body>, Cause> {
        let (mut parts, body) = request.into_parts();
        let upgrade = headers::upgrade(&parts)?;
        // A tunnel has left its connection's place, so it needs one of its own; taken now, so that those who wait for
        // the upstream's answer are counted.
        let place = match upgrade {
            true => Some(self.0.tunnels.place().ok_or(Cause::Overloaded)?),
            false => None,
        };
        let client_side = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let lease = parts.extensions.remove::<scopegate_axum::Lease>();
        let outgoing = self.outgoing(parts, upgrade)?;
        let method = outgoing.method.clone();
        let mut reply = self.send(outgoing, body).await?;
        if reply.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::clean_reply(reply.headers_mut());
            let whole = method == Method::HEAD || reply.body().is_end_stream();
            return Ok(reply.map(|body| {
                if whole {
                    Body::new(body)
                } else {
                    body::idle(body, self.0.limits.idle)
                }
            }));
        }
        let place = place
            .filter(|_| headers::switches_to_websocket(reply.headers()))
            .ok_or_else(|| Cause::BadGateway("it switched protocols unasked".into()))?;
        let client_side = client_side
            .ok_or_else(|| Cause::InvalidRequest("the connection cannot be upgraded".into()))?;
        let upstream_side = hyper::upgrade::on(&mut reply);
        let idle = self.0.limits.tunnel_idle;
        self.0
            .tunnels
            .open(place, client_side, upstream_side, lease, idle);
        headers::clean_reply(reply.headers_mut());
        headers::set_upgrade(reply.headers_mut());
        Ok(reply.map(|_| Body::empty()))
    }

    /// The head of the request as the upstream gets it.
    fn outgoing(&self, mut parts: request::Parts, upgrade: bool) -> Result<request::Parts, Cause> {
        let inner = &*self.0;
        forwarded::set(&mut parts, &inner.trusted);
        headers::clean_request(&mut parts.headers, upgrade);
        let host = parts
            .headers
            .remove(http::header::HOST)
            .filter(|_| inner.preserve_host);
        let host = match (host, parts.uri.authority()) {
            (Some(host), _) => host,
            (None, Some(authority)) if inner.preserve_host => headers::value(authority.as_str())?,
            (None, _) => headers::value(inner.authority.as_str())?,
        };
        parts.headers.insert(http::header::HOST, host);
        let mut target = uri::Parts::default();
        target.scheme = Some(inner.scheme.clone());
        target.authority = Some(inner.authority.clone());
        target.path_and_query = if inner.base.is_empty() {
            parts.uri.path_and_query().cloned()
        } else {
            let rest = parts
                .uri
                .path_and_query()
                .map_or("/", uri::PathAndQuery::as_str);
            uri::PathAndQuery::try_from(format!("{}{rest}", inner.base)).ok()
        };
        parts.uri = Uri::from_parts(target)
            .map_err(|_| Cause::InvalidRequest("the request target is not a URI".into()))?;
        parts.version = http::Version::HTTP_11;
        parts.extensions = http::Extensions::new();
        Ok(parts)
    }

    async fn send(
        &self,
        parts: request::Parts,
        body: Body,
    ) -> Result<Response<hyper::body::Incoming>, Cause> {
        let limits = &self.0.limits;
        if body.is_end_stream() {
            return match tokio::time::timeout(limits.response, self.send_empty(parts)).await {
                Ok(reply) => reply.map_err(|error| failed(&error)),
                Err(_) => Err(Cause::GatewayTimeout),
            };
        }
        if body.size_hint().lower() > limits.body_bytes_max {
            return Err(Cause::BodyTooLarge);
        }
        let (body, progress) = body::watched(body, limits.body_bytes_max);
        let reply = self.0.client.request(Request::from_parts(parts, body));
        tokio::select! {
            reply = reply => reply.map_err(|error| if progress.is_too_large() { Cause::BodyTooLarge } else { failed(&error) }),
            cause = progress.stalled(limits) => Err(cause),
        }
    }

    /// An upstream may close an idle connection just as a request is written to it. What can be asked twice is
    /// asked once more, on another connection.
    async fn send_empty(
        &self,
        parts: request::Parts,
    ) -> Result<Response<hyper::body::Incoming>, legacy::Error> {
        let again = parts.method.is_safe().then(|| parts.clone());
        let reply = self
            .0
            .client
            .request(Request::from_parts(parts, Body::empty()))
            .await;
        match (reply, again) {
            (Err(error), Some(parts)) if was_closed(&error) => {
                self.0
                    .client
                    .request(Request::from_parts(parts, Body::empty()))
                    .await
            }
            (reply, _) => reply,
        }
    }
}

fn client(
    roots: &[CertificateDer<'static>],
    connect: Duration,
) -> Result<Client<HttpsConnector<HttpConnector>, Body>, BadUpstream> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(BadUpstream::Roots)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(BadUpstream::Roots)?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(connect));
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new();
    let builder = if roots.is_empty() {
        builder
            .with_provider_and_webpki_roots(provider)
            .map_err(BadUpstream::Roots)?
    } else {
        builder.with_tls_config(config.with_root_certificates(store).with_no_client_auth())
    };
    let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .set_host(false)
        .build(connector))
}

/// Whether the connection ended before a byte of the reply.
fn was_closed(error: &legacy::Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>());
    !error.is_connect()
        && source.is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
}

/// The refusal for a request that got no reply. The chain of causes is for the log.
fn failed(error: &legacy::Error) -> Cause {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let timed_out = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if timed_out {
            return Cause::GatewayTimeout;
        }
        why = format!("{why}: {error}");
        source = error.source();
    }
    Cause::BadGateway(why)
}

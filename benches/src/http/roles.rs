//! What the processes of the comparison do.

use std::{
    convert::Infallible,
    future::ready,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use axum::{Json, Router, body::Body, response::IntoResponse as _, routing::get};
use futures_util::{StreamExt as _, stream};
use http::{Response, Uri};
use scopegate_axum::{Clock, list::LIST_BYTES_MAX};
use scopegate_host::{Cause, engine::Isolation};
use scopegate_server::{
    ConnectionLimits, Connections, Management, Proxy, ProxyLimits, Server, ServerParts, Upstream,
    metrics,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Ready;
use crate::gate::{GateWithKey, Shared, open_shared, policies};

/// The query that asks the upstream for a reply without an end.
pub(crate) const ENDLESS: &str = "endless";

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Serves a small JSON reply, or an endless one where the query says so, for ever.
///
/// # Errors
/// When no port can be had.
pub async fn upstream() -> Result<()> {
    let reply = |uri: Uri| async move {
        match uri.query() {
            Some(ENDLESS) => endless(),
            _ => Json(json!({ "workloads": [{ "name": "api-server", "replicas": 5 }] }))
                .into_response(),
        }
    };
    let listener = TcpListener::bind(ANY_PORT).await?;
    announce(&Ready {
        address: listener.local_addr()?,
        key: None,
    })?;
    axum::serve(listener, Router::new().route("/{*path}", get(reply))).await?;
    Ok(())
}

fn endless() -> Response<Body> {
    let begun = stream::once(ready(Ok::<_, Infallible>("begun\n")));
    Response::new(Body::from_stream(begun.chain(stream::pending())))
}

/// Serves as a reverse proxy for ever: the whole server, on a store of its own or on what it shares with others; or its
/// connections and its proxy with no gate between them.
///
/// # Errors
/// When something of it cannot be set up.
pub async fn proxy(upstream: SocketAddr, gated: bool, shared: Option<Shared>) -> Result<()> {
    let to_upstream = Upstream {
        url: format!("http://{upstream}").parse()?,
        preserve_host: false,
        roots: Vec::new(),
    };
    if !gated {
        let proxy = Proxy::new(to_upstream, ProxyLimits::default(), Vec::new())?;
        let listener = TcpListener::bind(ANY_PORT).await?;
        announce(&Ready {
            address: listener.local_addr()?,
            key: None,
        })?;
        let answer = move |request| {
            let proxy = proxy.clone();
            async move {
                proxy
                    .forward(request)
                    .await
                    .unwrap_or_else(|cause| failed(&cause))
            }
        };
        let connections = Connections::new(ConnectionLimits::default(), CancellationToken::new());
        connections.serve(listener, answer, Duration::ZERO).await;
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let (own, gate, key) = match shared {
        None => {
            let own = GateWithKey::new(Isolation::Fresh).await?;
            let (gate, key) = (Arc::clone(&own.gate), own.key.clone());
            (Some(own), gate, Some(key))
        }
        Some(shared) => {
            let gate = open_shared(&shared, directory.path(), Isolation::Fresh, false).await?;
            (None, Arc::new(gate), None)
        }
    };
    let running = Server::start(ServerParts {
        policies: policies(&gate).await?,
        gate,
        policy_file: None,
        clock: Clock::System,
        listen: ANY_PORT,
        management: Management::Listen(ANY_PORT),
        public_url: None,
        upstream: to_upstream,
        proxy: ProxyLimits::default(),
        connections: ConnectionLimits::default(),
        trusted_proxies: Vec::new(),
        check: None,
        list_bytes_max: LIST_BYTES_MAX,
        command_line: None,
        metrics: metrics::recorder(),
        secret_scanning: None,
        filters: None,
        audit_keep: None,
        drain: Duration::ZERO,
    })
    .await?;
    announce(&Ready {
        address: running.public_addr(),
        key,
    })?;
    // Its directory goes with it.
    let _own = own;
    std::future::pending().await
}

fn failed(cause: &Cause) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = cause.status();
    reply
}

#[expect(
    clippy::print_stdout,
    reason = "the parent process reads this line to learn that the role is up"
)]
pub(crate) fn announce(ready: &Ready) -> Result<()> {
    println!("{}", serde_json::to_string(ready)?);
    Ok(())
}

//! What the processes of the comparison do.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use axum::{Json, Router, body::Body, routing::get};
use http::Response;
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
use crate::gate::{GateWithKey, policies};

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Serves a small JSON reply, for ever.
///
/// # Errors
/// When no port can be had.
pub async fn upstream() -> Result<()> {
    let reply =
        || async { Json(json!({ "workloads": [{ "name": "api-server", "replicas": 5 }] })) };
    let listener = TcpListener::bind(ANY_PORT).await?;
    announce(&Ready {
        address: listener.local_addr()?,
        key: None,
    })?;
    axum::serve(listener, Router::new().route("/{*path}", get(reply))).await?;
    Ok(())
}

/// Serves as a reverse proxy for ever: the whole server, or its connections and its proxy with no gate between them.
///
/// # Errors
/// When something of it cannot be set up.
pub async fn proxy(upstream: SocketAddr, gated: bool) -> Result<()> {
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
    let ready = GateWithKey::new(Isolation::Fresh).await?;
    let running = Server::start(ServerParts {
        gate: Arc::clone(&ready.gate),
        policies: policies(&ready.gate).await?,
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
        key: Some(ready.key.clone()),
    })?;
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

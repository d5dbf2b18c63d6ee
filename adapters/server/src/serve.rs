//! The server: its listeners, its socket for the command line, and its end.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::body::Body;
use http::Request;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use scopegate_axum::Clock;
use scopegate_host::{
    Gate, Policies, gate::FilterSecret, keyring::Keys, lock::StoreLock, scanning::Partners,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin_socket::{AdminSocket, BadSocket},
    check::{Check, Dialect},
    connection::{ConnectionLimits, Connections},
    front::{Front, Product},
    own::{Outsiders, Own, Surroundings},
    policy_file::PolicyFile,
    proxy::{BadUpstream, Proxy, ProxyLimits, Tunnels, Upstream},
};

/// How often the key file is looked at.
const KEYS_LOOKED_AT: Duration = Duration::from_secs(1);
/// How often what is too old is deleted.
const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// What a server is put together from.
#[derive(Debug)]
pub struct ServerParts {
    /// The gate.
    pub gate: Arc<Gate>,
    /// Its policies.
    pub policies: Policies,
    /// The file that is watched for another policy, and the key of what was found there.
    pub policy_file: Option<(PolicyFile, String)>,
    /// What time it is.
    pub clock: Clock,
    /// Where the public listener is; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the `/-/` pages are.
    pub management: Management,
    /// Where clients reach the product's API, for lines to copy; without it, as the dashboard itself was reached.
    pub public_url: Option<http::Uri>,
    /// Where admitted requests go.
    pub upstream: Upstream,
    /// What a request to it may take.
    pub proxy: ProxyLimits,
    /// What a connection may take.
    pub connections: ConnectionLimits,
    /// Whose `X-Forwarded-*` goes on to the upstream.
    pub trusted_proxies: Vec<IpNet>,
    /// The proxy that asks at `/-/check`, if there is one.
    pub check: Option<Dialect>,
    /// The largest list that is narrowed, in bytes.
    pub list_bytes_max: usize,
    /// The store's lock, held while the server runs, and where the socket for the command line is made.
    pub command_line: Option<(StoreLock, PathBuf)>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Secret scanners whose reports of found keys are believed.
    pub secret_scanning: Option<Partners>,
    /// What filters inside Envoy show; without it, none is answered.
    pub filters: Option<FilterSecret>,
    /// How long the audit's records stay in the store; without it, for ever.
    pub audit_keep: Option<Duration>,
    /// How long a shutdown waits for what is under way.
    pub drain: Duration,
}

/// Where the `/-/` pages are, health aside, which is everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Management {
    /// On a listener of their own.
    Listen(SocketAddr),
    /// On the public listener: anyone who reaches that reaches them.
    Shared,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}`: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The upstream cannot be proxied to.
    #[error(transparent)]
    Upstream(#[from] BadUpstream),
    /// The command line's socket cannot be made.
    #[error(transparent)]
    Socket(#[from] BadSocket),
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Server;

impl Server {
    /// Starts listening; when it returns, requests are answered.
    ///
    /// # Errors
    /// When an address, the upstream or the socket cannot be used. Nothing is left running then.
    pub async fn start(mut parts: ServerParts) -> Result<Running, StartError> {
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let check = check(&parts);
        let upstream = (parts.upstream.clone(), parts.trusted_proxies.clone());
        let proxy = Proxy::new(upstream.0, parts.proxy, upstream.1)?;
        let tunnels = proxy.tunnels().clone();
        let (gate, clock) = (Arc::clone(&parts.gate), parts.clock.clone());
        let product = Product::new(gate, clock, proxy, parts.list_bytes_max);
        let own = own(&mut parts, &product, &stopping);
        let (listener, public_addr) = bind(parts.listen).await?;
        let management = match parts.management {
            Management::Listen(address) => Some(bind(address).await?),
            Management::Shared => None,
        };
        let (lock, socket) = match parts.command_line {
            Some((lock, path)) => (Some(lock), Some(AdminSocket::bind(path)?)),
            None => (None, None),
        };
        let policies = parts.policies.clone();
        let front = Front::new(Arc::clone(&own), product).with_check(check);
        let connections = || Connections::new(parts.connections, stopping.clone());
        let answer = move |request: Request<Body>| front.answer(request);
        let serving = connections().serve(listener, answer, parts.drain);
        let management_addr = management.as_ref().map(|(_, address)| *address);
        if let Some((listener, _)) = management {
            let answer = move |request: Request<Body>| {
                let own = Arc::clone(&own);
                async move { own.answer(request).await }
            };
            tasks.spawn(connections().serve(listener, answer, parts.drain));
        }
        let (tunnels_closed, gate) = (tunnels.clone(), Arc::clone(&parts.gate));
        tasks.spawn(retention(
            Arc::clone(&gate),
            parts.clock.clone(),
            parts.audit_keep,
            stopping.clone(),
        ));
        let policy = (parts.policy_file, policies.clone(), parts.clock.clone());
        watch(&tasks, &stopping, gate.keys(), policy);
        let commands = socket.map(|socket| {
            let served = (Arc::clone(&gate), parts.policies.clone(), parts.clock);
            tasks.spawn(socket.serve(served, stopping.clone()))
        });
        tasks.spawn(async move {
            serving.await;
            tunnels_closed.closed().await;
            if let Some(commands) = commands {
                // One that panicked is over as well.
                let _ = commands.await;
            }
            close(&gate).await;
            drop(lock);
        });
        tasks.spawn(upkeep(parts.metrics, stopping.clone()));
        tasks.close();
        tracing::info!(public = %public_addr, management = ?management_addr, "listening");
        Ok(Running {
            public_addr,
            management_addr,
            gate: parts.gate,
            policies,
            tunnels,
            tasks,
            stopping,
            drain: parts.drain,
        })
    }
}

/// What answers the gate's own paths.
fn own(parts: &mut ServerParts, product: &Product, stopping: &CancellationToken) -> Arc<Own> {
    let around = Surroundings {
        metrics: parts.metrics.clone(),
        shared: matches!(parts.management, Management::Shared),
        stopping: stopping.clone(),
        product: product.clone(),
        public_url: parts.public_url.take(),
        outsiders: Outsiders {
            partners: parts.secret_scanning.take(),
            filters: parts.filters.take(),
        },
    };
    let (gate, policies) = (Arc::clone(&parts.gate), parts.policies.clone());
    Arc::new(Own::new(gate, policies, parts.clock.clone(), around))
}

/// What answers a proxy that asks at `/-/check`, where one does.
fn check(parts: &ServerParts) -> Option<Check> {
    let (gate, clock) = (Arc::clone(&parts.gate), parts.clock.clone());
    let trusted = parts.trusted_proxies.clone();
    parts
        .check
        .map(|dialect| Check::new(dialect, gate, clock, trusted))
}

/// When nothing is served any more.
async fn close(gate: &Gate) {
    // What was recorded goes into the store before that is closed.
    gate.close_audit().await;
    // Waits for changes that are still being made. Until here requests were admitted by what this process knows, so
    // until here nobody else may change the store.
    gate.directory().store().close().await;
}

/// A server that runs. Dropping it lets it run on; [`Running::shutdown`] ends it.
#[derive(Debug)]
pub struct Running {
    public_addr: SocketAddr,
    management_addr: Option<SocketAddr>,
    gate: Arc<Gate>,
    policies: Policies,
    tunnels: Tunnels,
    tasks: TaskTracker,
    stopping: CancellationToken,
    drain: Duration,
}

impl Running {
    /// Where the public listener is.
    pub fn public_addr(&self) -> SocketAddr {
        self.public_addr
    }

    /// Where the management listener is, if it is one of its own.
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.management_addr
    }

    /// The gate that runs here.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Its policies.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Accepts nothing more, lets what is under way finish until the drain's time is over, cuts the rest, and
    /// writes what the audit still holds.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        let over = async {
            self.tasks.wait().await;
            self.tunnels.closed().await;
        };
        // A WebSocket is not over by itself: it gets the same time as everything else.
        let _ = tokio::time::timeout(self.drain, over).await;
        self.tunnels.cut();
        self.tunnels.closed().await;
        self.tasks.wait().await;
    }
}

/// Deletes what is too old, at the start and then now and then. A pass that the end of the server interrupts is taken up
/// by the next one.
async fn retention(
    gate: Arc<Gate>,
    clock: Clock,
    keep: Option<Duration>,
    stopping: CancellationToken,
) {
    let keep_ms = keep.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let work = async {
        loop {
            match gate.directory().retain(keep_ms, clock.now_ms()).await {
                Ok(pruned) if pruned.segments > 0 => {
                    tracing::info!(
                        segments = pruned.segments,
                        records = pruned.records,
                        "pruned the audit"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "what is too old cannot be deleted"),
            }
            tokio::time::sleep(RETENTION_EVERY).await;
        }
    };
    stopping.run_until_cancelled(work).await;
}

/// Watches the files that may change while the server runs.
fn watch(
    tasks: &TaskTracker,
    stopping: &CancellationToken,
    keys: &Keys,
    (file, policies, clock): (Option<(PolicyFile, String)>, Policies, Clock),
) {
    tasks.spawn(watch_keys(keys.clone(), stopping.clone()));
    tasks.spawn(policies.clone().mind(stopping.clone()));
    tasks.spawn(policies.clone().follow(stopping.clone()));
    if let Some((file, key)) = file {
        tasks.spawn(file.watch(key, policies, clock, stopping.clone()));
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound
        .await
        .map_err(|error| StartError::Listen { address, error })
}

/// Takes over what becomes of the key file, within a second. One that cannot be used leaves the keys as they are.
async fn watch_keys(keys: Keys, stopping: CancellationToken) {
    while tokio::time::timeout(KEYS_LOOKED_AT, stopping.cancelled())
        .await
        .is_err()
    {
        let keys = keys.clone();
        match tokio::task::spawn_blocking(move || keys.reload_if_changed()).await {
            Ok(Ok(false)) | Err(_) => {}
            Ok(Ok(true)) => tracing::info!("the key file has changed and was read again"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the key file has changed, and the keys from before stay");
            }
        }
    }
}

/// Histograms are folded together now and then, so that they do not grow between two scrapes.
async fn upkeep(metrics: PrometheusHandle, stopping: CancellationToken) {
    while tokio::time::timeout(Duration::from_secs(5), stopping.cancelled())
        .await
        .is_err()
    {
        metrics.run_upkeep();
    }
}

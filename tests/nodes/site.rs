//! Everything that a test is about: gates, the PostgreSQL and the Redis that they share, and the API behind them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use http::{Method, Uri};
use scopegate_engines::{OwnPostgres, OwnRedis};
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{
    gate::{Gate, Settings, create_store},
    network::{Cable, Network},
    office::{Office, SLOW, STUCK},
};
use crate::harness::program::free_address;

/// What differs from test to test.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) nodes: usize,
    /// Whether each is in a namespace of its own.
    pub(super) is_apart: bool,
    /// Of each key, in a window.
    pub(super) limit: u32,
    /// More keys of `counters`, for each node.
    pub(super) counters: fn(usize) -> String,
    /// `store` of the configuration, with this URL.
    pub(super) store: fn(String) -> String,
    /// What a node's command begins with.
    pub(super) before: fn(usize) -> Vec<String>,
}

impl Default for Options {
    /// Three on this machine, with more patience than a gate has: tests share two cores.
    fn default() -> Self {
        Self {
            nodes: 3,
            is_apart: false,
            limit: 1_000_000,
            counters: |_| "timeout_ms: 300".to_owned(),
            store: |url| url,
            before: |_| Vec::new(),
        }
    }
}

/// A running site. Everything ends when it is dropped: the gates first, the network last.
pub(super) struct Site {
    pub(super) gates: Vec<Option<Gate>>,
    pub(super) office: Arc<Office>,
    pub(super) redis: OwnRedis,
    pub(super) postgres: OwnPostgres,
    /// How many requests the API took its time for, as it was asked to.
    pub(super) slow: watch::Sender<usize>,
    options: Options,
    addresses: Vec<SocketAddr>,
    upstream: JoinSet<()>,
    directory: TempDir,
    network: Option<Network>,
}

impl Site {
    /// Starts all of it, with a cluster `prod`.
    pub(super) async fn start(options: Options) -> Self {
        let network = options.is_apart.then(|| Network::of(options.nodes));
        let ends = |cable| {
            let here = |node| end(network.as_ref(), node, cable);
            let mut ends: Vec<_> = (0..options.nodes).map(here).collect();
            ends.dedup();
            ends
        };
        let mut site = Self {
            gates: Vec::new(),
            office: Arc::new(Office::new()),
            redis: OwnRedis::start(&ends(Cable::Redis)),
            postgres: OwnPostgres::start(&ends(Cable::Postgres)),
            slow: watch::Sender::new(0),
            addresses: Vec::new(),
            upstream: JoinSet::new(),
            directory: tempfile::tempdir().expect("a directory"),
            network,
            options,
        };
        for node in 0..site.options.nodes {
            let listen = site.place(node).await;
            site.addresses.push(listen);
        }
        create_store(&site.place_of(0));
        for node in 0..site.options.nodes {
            let gate = site.run(node);
            site.gates.push(Some(gate));
        }
        for gate in site.gates.iter_mut().flatten() {
            gate.listening().await;
        }
        site.office.sign_in(site.address(0)).await;
        let prod = Some(json!({ "id": "prod" }));
        let office = &site.office;
        let made = office.manage(site.address(0), Method::POST, "/clusters", prod);
        assert_eq!(made.await.status, 201);
        site
    }

    /// Makes the directory of a node, and the API that it reaches: where it will listen.
    async fn place(&mut self, node: usize) -> SocketAddr {
        let network = self.network.as_ref();
        let listen = match network {
            None => free_address(),
            Some(network) => SocketAddr::new(network.there(node, Cable::Front), 8080),
        };
        let upstream = TcpListener::bind((end(network, node, Cable::Front), 0)).await;
        let upstream = upstream.expect("an address of this machine");
        let settings = Settings {
            listen,
            upstream: upstream.local_addr().expect("an address"),
            store: &(self.options.store)(self.postgres.url(end(network, node, Cable::Postgres))),
            redis: &self.redis.url(end(network, node, Cable::Redis)),
            counters: &(self.options.counters)(node),
            limit: self.options.limit,
        };
        settings.write(&self.place_of(node));
        let slow = self.slow.clone();
        let app = Router::new().fallback(move |uri: Uri| {
            let slow = slow.clone();
            async move {
                let secs = match uri.query().map(|query| format!("?{query}")).as_deref() {
                    Some(SLOW) => 1,
                    Some(STUCK) => 60,
                    _ => 0,
                };
                if secs > 0 {
                    slow.send_modify(|count| *count += 1);
                    tokio::time::sleep(Duration::from_secs(secs)).await;
                }
                axum::Json(json!({ "id": "prod" }))
            }
        });
        self.upstream.spawn(async move {
            axum::serve(upstream, app).await.expect("it serves");
        });
        listen
    }

    /// A new process of a node, which may not listen yet.
    fn run(&self, node: usize) -> Gate {
        let mut before = Vec::new();
        if let Some(network) = &self.network {
            before.extend(network.on(node));
        }
        before.extend((self.options.before)(node));
        let directory = self.place_of(node);
        Gate::start(&directory, self.addresses[node], &before)
    }

    /// Runs a node again that was killed.
    pub(super) async fn run_again(&mut self, node: usize) {
        let mut gate = self.run(node);
        gate.listening().await;
        self.gates[node] = Some(gate);
    }

    /// One more process beside those there are, listening somewhere else.
    pub(super) async fn another(&mut self) -> Gate {
        let node = self.addresses.len();
        let listen = self.place(node).await;
        self.addresses.push(listen);
        let mut gate = self.run(node);
        gate.listening().await;
        gate
    }

    /// The directory that a node runs in.
    pub(super) fn place_of(&self, node: usize) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    /// Where a node listens.
    pub(super) fn address(&self, node: usize) -> SocketAddr {
        self.addresses[node]
    }

    /// Where the first nodes listen, as many as were asked for.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses[..self.options.nodes].to_vec()
    }

    pub(super) fn cut(&self, node: usize, cables: &[Cable]) {
        let network = self.network.as_ref().expect("nodes that are apart");
        cables.iter().for_each(|cable| network.cut(node, *cable));
    }

    pub(super) fn mend(&self, node: usize, cables: &[Cable]) {
        let network = self.network.as_ref().expect("nodes that are apart");
        cables.iter().for_each(|cable| network.mend(node, *cable));
    }

    /// The URL of the store from here.
    pub(super) fn store(&self) -> String {
        let network = self.network.as_ref();
        self.postgres.url(end(network, 0, Cable::Postgres))
    }
}

/// What a node reaches by a cable.
fn end(network: Option<&Network>, node: usize, cable: Cable) -> IpAddr {
    match network {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(network) => network.here(node, cable),
    }
}

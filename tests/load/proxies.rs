//! The gate killed and started again under the load of a proxy that asks it, or that decides with it: meanwhile nobody is
//! let in who should not be, and nobody waits for ever.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;

use super::{
    crash::server::Gate,
    figures::{Spread, rounds},
};
use crate::{
    cli::binary::run_ok,
    harness::{
        Upstream, json_reply,
        program::{Program, free_address},
        random::Random,
    },
    proxies::{Kind, envoy, wasm},
};

/// Requests at once.
const CLIENTS: usize = 6;
/// Longer than everything that the ready configurations wait for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands before the gate.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// It asks over HTTP, with its ready configuration.
    Asking(Kind, &'static str),
    /// Envoy as `scopegate envoy config` configures it.
    Envoy(&'static str),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_behind_nginx_while_the_gate_restarts() {
    restarts_behind(Before::Asking(Kind::Nginx, "nginx")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_behind_caddy_while_the_gate_restarts() {
    restarts_behind(Before::Asking(Kind::Caddy, "caddy")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_behind_traefik_while_the_gate_restarts() {
    restarts_behind(Before::Asking(Kind::Traefik, "traefik")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_behind_envoy_by_http_while_the_gate_restarts() {
    restarts_behind(Before::Asking(Kind::Envoy, "envoy")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_behind_envoy_by_grpc_while_the_gate_restarts() {
    restarts_behind(Before::Envoy("grpc")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_behind_the_filter_while_the_gate_restarts() {
    restarts_behind(Before::Envoy("wasm")).await;
}

impl Before {
    /// Tells the gate of it.
    fn configure(self, gate: &Gate, listen: SocketAddr) {
        let own = match self {
            Self::Asking(_, dialect) => format!("check: {{ dialect: {dialect} }}"),
            Self::Envoy("grpc") => format!("envoy: {{ listen: {} }}", free_address()),
            Self::Envoy(_) => {
                let secret = gate.directory.path().join("filter-secret");
                std::fs::write(&secret, wasm::SECRET).expect("written");
                let mine = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(&secret, mine).expect("its own");
                "filters: { secret: filter-secret }".to_owned()
            }
        };
        let own = format!("listen: {listen}\ntrusted_proxies: [127.0.0.1]\n{own}\n");
        gate.configure(|text| text.replacen("listen: 127.0.0.1:0\n", &own, 1));
    }

    /// Where clients find it, and what it is made of.
    async fn start(
        self,
        place: &Path,
        listen: SocketAddr,
        api: SocketAddr,
    ) -> (SocketAddr, Vec<Program>) {
        match self {
            Self::Asking(kind, _) => {
                let proxy = kind.start(listen, api, |text| text).await;
                (proxy.address, proxy.programs)
            }
            Self::Envoy(mode) => {
                let address = free_address();
                let text = run_ok(
                    place,
                    &[
                        "envoy",
                        "config",
                        "--mode",
                        mode,
                        "--listen",
                        &address.to_string(),
                        "--tick",
                        "100",
                        "--filter",
                        wasm::filter().to_str().expect("UTF-8"),
                    ],
                );
                let directory = tempfile::tempdir().expect("a directory");
                let program = envoy::run(directory, &text, address, 2).await;
                (address, vec![program])
            }
        }
    }
}

/// What came of the load.
#[derive(Default)]
struct Tally {
    /// Requests of the one who may, that were let through.
    admitted: AtomicUsize,
    /// Requests of the one who may, that were refused while the gate was away.
    missed: AtomicUsize,
    /// Requests of those who may not, all refused.
    refused: AtomicUsize,
}

async fn restarts_behind(before: Before) {
    let (mut random, seed) = Random::seeded();
    println!("SCOPEGATE_SEED={seed}");
    // For the clients; a server in this process would have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream = Upstream::start().await;
    let strangers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&strangers);
    upstream.streams(move |request| {
        let headers = request.headers();
        let clusters = headers.get("x-scopegate-clusters");
        let is_his = request.uri().path() == "/v1/clusters/prod"
            && clusters.is_some_and(|clusters| clusters == "prod")
            && !headers.contains_key("x-api-key");
        counted.fetch_add(usize::from(!is_his), Relaxed);
        async { json_reply(200, serde_json::json!({})) }
    });
    let gate = Gate::init(&upstream.url);
    let listen = free_address();
    before.configure(&gate, listen);
    let minted = run_ok(
        gate.directory.path(),
        &[
            "key",
            "mint",
            "--owner",
            "admin@example.com",
            "--name",
            "load",
            "--cluster",
            "prod",
            "--output",
            "json",
        ],
    );
    let minted: Value = serde_json::from_str(&minted).expect("JSON");
    let secret = minted["secret"].as_str().expect("a secret").to_owned();
    let api = upstream.url.strip_prefix("http://").expect("http");
    let api = api.parse().expect("an address");
    let (address, _programs) = before.start(gate.directory.path(), listen, api).await;
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(load(
                format!("http://{address}"),
                secret.clone(),
                Arc::clone(&tally),
                Arc::clone(&stop),
            ))
        })
        .collect();
    let (rounds, mut startups) = (rounds(2, 100), Spread::default());
    for _ in 0..rounds {
        let begun = Instant::now();
        let mut server = gate.start();
        server.listening().await;
        let already = tally.admitted.load(Relaxed);
        while tally.admitted.load(Relaxed) == already {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{before:?} does not find its gate again"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        startups.add(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(random.below(300))).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(random.below(200))).await;
    }
    stop.store(true, Relaxed);
    let mut waits = Spread::default();
    for client in clients {
        waits.append(client.await.expect("a client that did not fail"));
    }
    assert_eq!(
        strangers.load(Relaxed),
        0,
        "requests that nobody admitted reached the upstream"
    );
    let of = |count: &AtomicUsize| count.load(Relaxed);
    assert!(of(&tally.missed) > 0 && of(&tally.refused) > 0);
    println!(
        "{before:?}, {rounds} restarts: {} admitted, {} refused while the gate was away, {} refused as ever",
        of(&tally.admitted),
        of(&tally.missed),
        of(&tally.refused)
    );
    println!("  requests {waits}");
    println!("  from the start of the gate to the first request that it admits {startups}");
}

/// Asks for what is allowed and for what is not, in turn; how long each waited.
async fn load(base: String, secret: String, tally: Arc<Tally>, stop: Arc<AtomicBool>) -> Spread {
    let client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client");
    let mut waits = Spread::default();
    let his = Some(secret.as_str());
    let asked = [
        ("/v1/clusters/prod", his, true),
        ("/v1/clusters/dev", his, false),
        ("/v1/clusters/prod", None, false),
        ("/v1/clusters/prod", Some("sg_live_nobody"), false),
        ("/v1/clusters", his, false),
        ("/v1/clusters/prod/../dev", his, false),
    ];
    for (path, secret, may) in asked.into_iter().cycle() {
        if stop.load(Relaxed) {
            return waits;
        }
        let mut request = client.get(format!("{base}{path}"));
        if let Some(secret) = secret {
            request = request.header("x-api-key", secret);
        }
        let begun = Instant::now();
        let reply = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = reply.status().as_u16();
        let _ = reply.bytes().await;
        waits.add(begun.elapsed());
        match (may, status) {
            (true, 200) => tally.admitted.fetch_add(1, Relaxed),
            (true, _) => tally.missed.fetch_add(1, Relaxed),
            (false, 300..) => tally.refused.fetch_add(1, Relaxed),
            (false, _) => panic!("{path} was answered {status}"),
        };
    }
    waits
}

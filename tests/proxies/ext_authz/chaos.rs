//! The gate killed and started again under load, behind an Envoy that stays: nobody is let in who may not be, and no
//! request waits longer than Envoy is told to. `.ci/soak chaos::` does it a hundred times.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use tokio::task::JoinSet;

use super::{EXAMPLE, at};
use crate::{
    cli::{
        binary::{Running, run_ok},
        own_gate::{gate, key},
    },
    harness::{Upstream, json_reply, program::free_address},
    load::figures::rounds,
    proxies::envoy::Envoy,
};

/// The example's timeout for the gate, Envoy's for connecting, and what a busy machine adds.
const WITHIN: Duration = Duration::from_secs(10);
const CLIENTS: usize = 6;

#[derive(Default)]
struct Counts {
    admitted: AtomicUsize,
    refused: AtomicUsize,
    slowest_ms: AtomicUsize,
}

/// Asks again and again; with `may`, for something that is theirs.
async fn hammer(
    url: String,
    header: Option<String>,
    may: bool,
    done: Arc<AtomicBool>,
    counts: Arc<Counts>,
) {
    let client = Client::builder()
        .no_proxy()
        .timeout(WITHIN)
        .build()
        .expect("a client");
    while !done.load(SeqCst) {
        let mut request = client.get(&url);
        if let Some(value) = &header {
            request = request.header("authorization", value);
        }
        let began = Instant::now();
        let status = request
            .send()
            .await
            .expect("an answer in time")
            .status()
            .as_u16();
        let took = usize::try_from(began.elapsed().as_millis()).expect("short");
        counts.slowest_ms.fetch_max(took, SeqCst);
        if status == 503 {
            // The one that starts again needs the machine as well.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match (status, may) {
            (200, true) => counts.admitted.fetch_add(1, SeqCst),
            (503, _) | (401 | 403, false) => counts.refused.fetch_add(1, SeqCst),
            _ => panic!(
                "{status} for {url}, whose caller {}",
                if may { "may" } else { "may not" }
            ),
        };
    }
}

/// Until the process says that it answers Envoy.
fn start(directory: &std::path::Path) -> Running {
    let mut server = Running::start_merged(directory, &["serve"]);
    server.lines_until("answering Envoy on ");
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_restarted_under_load_behind_envoy() {
    // For the clients; a server in this process would have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream = Upstream::start().await;
    let directory = gate("scopegate");
    let place = directory.path();
    let asked: SocketAddr = free_address();
    configure(place, asked);
    run_ok(place, &["cluster", "add", "prod"]);
    run_ok(place, &["cluster", "add", "dev"]);
    let (_, good) = key(place, &["--cluster", "prod"]);
    let good = good
        .trim_start_matches("-H 'Authorization: ")
        .trim_end_matches('\'')
        .to_owned();
    let (minted, gone) = key(place, &["--cluster", "prod"]);
    let gone = gone
        .trim_start_matches("-H 'Authorization: ")
        .trim_end_matches('\'')
        .to_owned();
    run_ok(
        place,
        &["key", "revoke", minted["id"].as_str().expect("an id")],
    );

    // Nobody but the good one may reach this, and that one only `prod`.
    let wrong = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&wrong);
    upstream.answers(move |request| {
        let is_right = request.path == "/v1/clusters/prod"
            && request.header("x-scopegate-clusters") == "prod"
            && !request.headers.contains_key("authorization");
        seen.fetch_add(usize::from(!is_right), SeqCst);
        json_reply(200, serde_json::json!({}))
    });
    let listen = free_address();
    let api = upstream
        .url
        .strip_prefix("http://")
        .expect("a URL")
        .parse()
        .expect("an address");
    let mut server = start(place);
    let envoy = Envoy::start(&at(EXAMPLE, listen, api, asked), listen).await;

    let (done, counts) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Counts::default()),
    );
    let mut clients = JoinSet::new();
    for index in 0..CLIENTS {
        let (path, header, may) = match index % 4 {
            0 | 1 => ("prod", Some(good.clone()), true),
            2 => ("dev", Some(good.clone()), false),
            _ if index % 8 == 3 => ("prod", Some(gone.clone()), false),
            _ => ("prod", None, false),
        };
        let url = format!("{}/v1/clusters/{path}", envoy.url());
        clients.spawn(hammer(
            url,
            header,
            may,
            Arc::clone(&done),
            Arc::clone(&counts),
        ));
    }
    let rounds = rounds(10, 100);
    for round in 0..rounds {
        let before = counts.admitted.load(SeqCst);
        let began = Instant::now();
        // It serves again, by itself.
        while counts.admitted.load(SeqCst) < before + 20 {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "round {round}: nobody is admitted"
            );
            assert!(!clients.is_empty());
            if let Some(ended) = clients.try_join_next() {
                ended.expect("nothing wrong");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // In turn asked to stop and killed.
        let ended = server;
        server = tokio::task::spawn_blocking({
            let place = place.to_owned();
            move || {
                match round % 2 {
                    0 => drop(ended),
                    _ => drop(ended.interrupt()),
                }
                start(&place)
            }
        })
        .await
        .expect("it starts again");
    }
    done.store(true, SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("nothing wrong");
    }
    drop(server);
    assert_eq!(wrong.load(SeqCst), 0, "somebody came through who may not");
    println!(
        "{rounds} restarts behind Envoy: {} admitted, {} refused, the slowest answer after {} ms",
        counts.admitted.load(SeqCst),
        counts.refused.load(SeqCst),
        counts.slowest_ms.load(SeqCst)
    );
}

/// Where Envoy asks, and limits that are not in the way.
fn configure(place: &std::path::Path, envoy: SocketAddr) {
    const CONTRACT: &str = include_str!("../../../host/contracts/scopegate.yaml");
    let limits =
        regex::Regex::new("(?m)^  (session|api_key|agent|anonymous|failures|logins): [0-9]+$");
    let contract = limits
        .expect("an expression")
        .replace_all(CONTRACT, "  $1: 10000000");
    std::fs::write(place.join("contract.yaml"), &*contract).expect("writable");
    // Built once: a restart only loads it.
    run_ok(
        place,
        &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
    );
    let path = place.join("scopegate.yaml");
    let text = std::fs::read_to_string(&path).expect("written");
    let text = text
        .replace("contract: scopegate", "contract: contract.yaml")
        .replace("policy: policy.yaml", "policy: policy.wasm");
    std::fs::write(&path, format!("{text}\nenvoy:\n  listen: {envoy}\n")).expect("writable");
}

//! Envoy asking over gRPC.

mod attacks;
mod failures;
mod replies;
mod tls;
mod traffic;

use std::{net::SocketAddr, sync::Arc};

use scopegate_envoy::{Listener, Running, Settings};

use super::envoy::Envoy;
use crate::{
    corpus::{
        self,
        over_http::{self, Front},
    },
    harness::{Actor, Options, World, program::free_address},
};

/// What `docs/envoy.md` tells people to begin with.
pub const EXAMPLE: &str = include_str!("../../adapters/envoy/examples/ext-authz-grpc.yaml");

/// The example with addresses of a test. Each stands in it once.
pub fn at(listen: SocketAddr, world: &World, asked: SocketAddr) -> String {
    let mut text = EXAMPLE.to_owned();
    for (host, port, address) in [
        ("0.0.0.0", 8000, listen),
        ("127.0.0.1", 3000, api(world)),
        ("127.0.0.1", 8080, world.running().public_addr()),
        ("127.0.0.1", 9191, asked),
    ] {
        let stands = format!("address: {host}, port_value: {port} ");
        let becomes = format!("address: {}, port_value: {} ", address.ip(), address.port());
        text = once(&text, &stands, &becomes);
    }
    text
}

/// Replaces what is there once.
pub fn once(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}`");
    text.replace(from, to)
}

/// Answers Envoy for a world's gate.
pub async fn answering(world: &World, settings: Settings) -> Running {
    let clock = world.clock.clone();
    let listener = Listener::bind(settings).await.expect("a listener");
    let gate = Arc::clone(world.running().gate());
    listener.serve(gate, Arc::new(move || clock.now_ms())).await
}

/// Any free port.
pub fn anywhere() -> Settings {
    Settings::at("127.0.0.1:0".parse().expect("an address"))
}

/// A world, what answers Envoy for it, and the Envoy.
pub struct Stand {
    pub world: World,
    pub answering: Option<Running>,
    pub envoy: Envoy,
}

impl Stand {
    /// The example as it is, before a world of this contract.
    pub async fn of(contract: &'static str) -> Self {
        Self::with(World::start(contract).await, anywhere(), str::to_owned).await
    }

    /// The same with the example changed.
    pub async fn with(
        world: World,
        settings: Settings,
        change: impl FnOnce(&str) -> String,
    ) -> Self {
        let answering = answering(&world, settings).await;
        let envoy = envoy(&world, answering.address(), change).await;
        Self {
            world,
            answering: Some(answering),
            envoy,
        }
    }

    /// A caller, but through Envoy.
    pub fn through(&self, actor: &Actor) -> Actor {
        Actor::new(&self.envoy.url(), actor.credential.clone())
    }

    /// How many requests came through.
    pub fn passed(&self) -> usize {
        self.world.upstream.count()
    }
}

/// The example, changed, before a world's upstream.
pub async fn envoy(world: &World, gate: SocketAddr, change: impl FnOnce(&str) -> String) -> Envoy {
    let listen = free_address();
    let configuration = change(&at(listen, world, gate));
    Envoy::start(&configuration, listen).await
}

/// Where a world's upstream is.
pub fn api(world: &World) -> SocketAddr {
    let address = world.upstream.url.strip_prefix("http://");
    address
        .and_then(|text| text.parse().ok())
        .expect("an address")
}

/// What would let everything in if the gate made an error of a refusal.
pub fn failing_open(text: &str) -> String {
    once(
        text,
        "failure_mode_allow: false",
        "failure_mode_allow: true",
    )
}

/// Without limits in the way.
pub fn unlimited() -> Options {
    Options {
        adjust: |contract| {
            let limits = &mut contract.limits;
            (limits.session, limits.api_key, limits.agent) = (1 << 30, 1 << 30, 1 << 30);
            (limits.anonymous, limits.failures, limits.logins) = (1 << 30, 1 << 30, 1 << 30);
        },
        ..Options::of("scopegate")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_through_envoy() {
    let mut differences = Vec::new();
    let files = corpus::files();
    for file in files.iter().filter(|file| !corpus::is_of_routes(file)) {
        let trusting = |options: &mut Options| {
            // Envoy says where a client of this machine comes from by the machine's own address, whatever that is; what
            // stands before it, a case's own address, is then the client's.
            options.trusted_proxies = &["0.0.0.0/0", "::/0"];
        };
        let front = async |world: &World| {
            let answering = answering(world, anywhere()).await;
            let envoy = envoy(world, answering.address(), str::to_owned).await;
            Front {
                address: envoy.address,
                asks: true,
                decides: None,
                programs: vec![envoy.program],
            }
        };
        differences.extend(over_http::differences_through(file, trusting, front).await);
    }
    assert!(
        differences.is_empty(),
        "{} cases through Envoy:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

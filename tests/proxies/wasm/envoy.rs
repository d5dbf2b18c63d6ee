//! Envoy with the filter, configured by `scopegate envoy config`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use scopegate_host::gate::FilterSecret;
use serde_json::Value;

use crate::{
    cli::binary,
    harness::{
        Actor, Options, World,
        program::{Program, free_address},
    },
    proxies::envoy,
};

/// What the filter shows to the gate.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// How often it asks what has changed.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// An Envoy that runs.
pub(crate) struct Envoy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) program: Program,
    /// The listeners that it watches.
    listeners: PathBuf,
    folder: PathBuf,
}

/// How an Envoy is set up.
pub(crate) struct Setup {
    /// The policy document.
    pub(crate) policy: String,
    /// How often the filter asks.
    pub(crate) tick: Duration,
    /// Changes the filter's configuration.
    pub(crate) adjust: fn(&mut Value),
    /// The worker threads.
    pub(crate) threads: u32,
    /// Where it looks for the gate, if not where that is.
    pub(crate) gate: Option<SocketAddr>,
    /// How it reaches the gate, if not plainly: Envoy's `transport_socket`.
    pub(crate) transport: Option<Value>,
}

impl Setup {
    /// Of this policy document.
    pub(crate) fn of(policy: &str) -> Self {
        Self {
            policy: policy.to_owned(),
            tick: TICK,
            adjust: |_| {},
            threads: 2,
            gate: None,
            transport: None,
        }
    }
}

/// A world whose gate answers filters on this machine.
pub(crate) fn answers_filters(options: Options) -> Options {
    Options {
        filters: FilterSecret::of(SECRET),
        trusted_proxies: &["127.0.0.0/8"],
        ..options
    }
}

/// The filter's file, written once.
pub(crate) fn filter() -> &'static Path {
    static FILTER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, file) = FILTER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("filter.wasm");
        let out = file.to_str().expect("UTF-8").to_owned();
        binary::run_ok(folder.path(), &["envoy", "filter", "--out", &out]);
        (folder, file)
    });
    file
}

/// What `scopegate envoy config` prints for a world with this policy and these further lines in its configuration.
pub(crate) fn printed(
    world: &World,
    folder: &Path,
    policy: &str,
    further: &str,
    arguments: &[&str],
) -> String {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
    write("policy.yaml", policy);
    write("keys.json", "{}");
    write("filter-secret", SECRET);
    let configuration = format!(
        "listen: {}\ncontract: {}\npolicy: policy.yaml\nupstream: {}\nstore: sqlite://gate.db\n\
         sessions: {{ keys: keys.json }}\ntrusted_proxies: [127.0.0.0/8]\nfilters: {{ secret: filter-secret }}\n{further}",
        world.running().public_addr(),
        world.contract.name,
        world.upstream.url,
    );
    write("scopegate.yaml", &configuration);
    let start = ["envoy", "config"];
    binary::run_ok(folder, &[&start, arguments].concat())
}

impl Envoy {
    /// Starts one before a world.
    pub(crate) async fn start(world: &World, setup: Setup) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().to_owned();
        let address = free_address();
        let listeners = folder.join("listeners.yaml");
        let bootstrap = write_config(world, &folder, &setup, address, &listeners);
        let program = envoy::run(directory, &bootstrap, address, setup.threads).await;
        let envoy = Self {
            address,
            program,
            listeners,
            folder,
        };
        envoy.settle(setup.tick).await;
        envoy
    }

    /// Waits until it has asked the gate, and so has its time.
    pub(crate) async fn settle(&self, tick: Duration) {
        tokio::time::sleep(tick * 4).await;
    }

    /// Gives it another configuration of the filter, while it runs.
    pub(crate) fn swap(&self, world: &World, setup: &Setup) {
        write_config(world, &self.folder, setup, self.address, &self.listeners);
    }

    /// An actor's requests through it.
    pub(crate) fn through(&self, actor: &Actor) -> Actor {
        Actor::new(
            &format!("http://{}", self.address),
            actor.credential.clone(),
        )
    }
}

/// Writes a bootstrap that watches a file of listeners, and the file: what a control plane does, with files.
fn write_config(
    world: &World,
    folder: &Path,
    setup: &Setup,
    address: SocketAddr,
    listeners: &Path,
) -> String {
    let gate = setup.gate.unwrap_or(world.running().public_addr());
    let arguments = [
        "--mode",
        "wasm",
        "--listen",
        &address.to_string(),
        "--gate",
        &gate.to_string(),
        "--filter",
        filter().to_str().expect("UTF-8"),
        "--tick",
        &setup.tick.as_millis().to_string(),
    ];
    let printed = printed(world, folder, &setup.policy, "", &arguments);
    let mut config: Value = serde_saphyr::from_str(&printed).expect("YAML");
    let mut listener = config["static_resources"]["listeners"][0].take();
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    // Tests name addresses by X-Forwarded-For, as a load balancer does.
    manager["xff_num_trusted_hops"] = 1.into();
    let plugin = &mut manager["http_filters"][0]["typed_config"]["config"]["configuration"];
    let text = plugin["value"]
        .as_str()
        .expect("the filter's configuration");
    let mut filter: Value = serde_json::from_str(text).expect("JSON");
    (setup.adjust)(&mut filter);
    plugin["value"] = filter.to_string().into();
    listener["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
    let watched = serde_json::json!({ "resources": [listener] }).to_string();
    // Envoy takes what is moved there.
    let new = folder.join("listeners.new");
    fs::write(&new, watched).expect("written");
    fs::rename(new, listeners).expect("moved");

    config["static_resources"]["listeners"] = Value::Array(Vec::new());
    if let Some(transport) = &setup.transport {
        let gate = &mut config["static_resources"]["clusters"][0];
        assert_eq!(gate["name"], "scopegate");
        gate["transport_socket"] = transport.clone();
    }
    config["node"] = serde_json::json!({ "id": "test", "cluster": "test" });
    config["dynamic_resources"] = serde_json::json!({
        "lds_config": {
            "resource_api_version": "V3",
            "path_config_source": { "path": listeners },
        },
    });
    config.to_string()
}

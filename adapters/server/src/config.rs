//! `scopegate.yaml`: read whole, checked whole, every mistake reported at once with its place.
//!
//! What comes out cannot be wrong in itself: addresses are addresses, paths are absolute (those in the file are
//! relative to it), files that it names are there, secrets are set. A secret is named, by a file or an environment
//! variable, and never stands in the file.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use scopegate_axum::list;
use scopegate_host::{
    audit::Sink,
    authenticate::{IssuerConfig, KubernetesConfig},
    counters::redis::RedisConfig,
    engine::{Compiler, Isolation, Limits},
    limit::Window,
    scanning::PartnerKeys,
};
use scopegate_policy::yaml::{Reader, Report};

use crate::{check::Dialect, connection::ConnectionLimits, proxy::ProxyLimits, serve::Management};

mod audit;
mod check;
mod counters;
mod envoy;
mod filters;
mod issuers;
mod kubernetes;
mod limits;
mod read;
mod store;
mod traces;

pub use envoy::{EnvoyConfig, EnvoyTls};
pub use store::StoreConfig;
pub use traces::TracesConfig;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public listener.
    pub listen: SocketAddr,
    /// How the gate speaks.
    pub contract: ContractSource,
    /// The rules.
    pub policy: PolicySource,
    /// How much of the machine they get.
    pub policy_limits: Limits,
    /// Where they are compiled. No configuration says so: whoever starts the server knows what else to start.
    pub policy_compiler: Compiler,
    /// The files of the keys of which one must have signed every policy that is not built in; none: nobody signs.
    pub policy_keys: Vec<PathBuf>,
    /// Where admitted requests go.
    pub upstream: UpstreamConfig,
    /// Where what lasts is kept.
    pub store: StoreConfig,
    /// Where calls are counted.
    pub counters: CountersConfig,
    /// How decisions are kept apart.
    pub isolation: Isolation,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The proxy that asks at `/-/check`, if there is one.
    pub check: Option<Dialect>,
    /// Where audit records go, and for how long.
    pub audit: AuditConfig,
    /// Where the `/-/` pages are.
    pub management: Management,
    /// Where clients reach the product's API, for lines to copy: scheme, authority and perhaps a path.
    pub public_url: Option<http::Uri>,
    /// Where Envoy asks about requests, if it does.
    pub envoy: Option<EnvoyConfig>,
    /// The keys that sign sessions; a contract with a log-in needs them.
    pub session_keys: Option<PathBuf>,
    /// Others whose tokens are sessions here.
    pub issuers: Vec<IssuerConfig>,
    /// Clusters whose workloads may call.
    pub kubernetes: Vec<KubernetesConfig>,
    /// Where the public keys of secret scanners come from, whose reports of found keys are believed.
    pub secret_scanning: Option<PartnerKeys>,
    /// The file of the secret that filters inside Envoy show.
    pub filters: Option<PathBuf>,
    /// Whether the upstream gets the caller's credential.
    pub forward_credentials: bool,
    /// What a request to the upstream may take.
    pub proxy: ProxyLimits,
    /// What a connection may take.
    pub connections: ConnectionLimits,
    /// The largest list that is narrowed, in bytes.
    pub list_bytes_max: usize,
    /// How long a shutdown waits for what is under way.
    pub drain: Duration,
    /// Where spans go, if they go anywhere.
    pub traces: Option<TracesConfig>,
}

/// Where calls are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountersConfig {
    /// For how long a limit of requests is.
    pub window: Window,
    /// The Redis that other gates share; without it, calls are counted in this process.
    pub redis: Option<RedisConfig>,
}

impl CountersConfig {
    fn redis(redis: RedisConfig) -> Self {
        Self {
            window: redis.window,
            redis: Some(redis),
        }
    }
}

/// Where the contract comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContractSource {
    /// One that is built in, by name.
    Builtin(String),
    /// A file.
    File(PathBuf),
}

/// Where the policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// The one that goes with the contract.
    OfContract,
    /// One that is built in, by name.
    Builtin(String),
    /// A policy document.
    Document(PathBuf),
    /// A policy component.
    Component(PathBuf),
}

/// Where admitted requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Scheme, authority and perhaps a path that is put before every request's.
    pub url: http::Uri,
    /// Whether the client's `Host` goes on.
    pub preserve_host: bool,
    /// The certificates of whoever signed the upstream's, in PEM; without it, the web's roots.
    pub ca: Option<PathBuf>,
}

/// Where audit records go, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// Where JSON lines go.
    pub lines: Sink,
    /// Whether requests are recorded in the store; changes always are.
    pub store: bool,
    /// What the chain in the store is signed with.
    pub seal: Option<SealConfig>,
    /// How long records stay in the store; without it, for ever.
    pub keep: Option<Duration>,
}

/// What the audit's chain is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealConfig {
    /// The file of the key.
    pub key: PathBuf,
    /// The file that heads are exported to.
    pub heads: PathBuf,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What it says is wrong, everything at once.
    #[error("{0}")]
    Text(Box<Report>),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, BadConfig> {
        let failed = |error| BadConfig::File {
            path: path.to_owned(),
            error,
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        Self::read(&path.display().to_string(), &text, directory, |name| {
            std::env::var(name).ok()
        })
        .map_err(|report| BadConfig::Text(Box::new(report)))
    }

    /// Reads a text; `name` is what errors call it, relative paths start at `directory`, and `environment` gives
    /// the value of a variable.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(
        name: &str,
        text: &str,
        directory: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Report> {
        let (reader, root) = Reader::open(name, text)?;
        let config = read::config(
            &read::Context {
                reader: &reader,
                directory,
                environment: &environment,
            },
            &root,
        );
        reader.finish(config)
    }

    /// What every configuration starts from: the `scopegate` contract and its policy, on loopback.
    pub(crate) const LISTEN: SocketAddr = loopback(8080);
    pub(crate) const MANAGEMENT: SocketAddr = loopback(9080);
    pub(crate) const LIST_BYTES_MAX: usize = list::LIST_BYTES_MAX;
    pub(crate) const DRAIN: Duration = Duration::from_secs(25);
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests;

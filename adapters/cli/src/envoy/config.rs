//! `scopegate envoy config`: a configuration of Envoy that works, from the gate's own.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use http::Uri;
use scopegate_host::{
    Contract,
    contract::LOGOUT_PATH,
    engine::{Sandbox, SandboxConfig, carried_document},
};
use scopegate_policy::wire::filter;
use scopegate_server::{
    Config as GateConfig, Dialect,
    assemble::{self, AssembleError},
};

use super::template::{Place, Template, indented, quoted};
use crate::{Common, assembly, failure::Failure, output};

const EXAMPLES: &str = "\
Examples:
  scopegate envoy config > envoy.yaml
  scopegate envoy config --mode wasm --filter /etc/envoy/scopegate-filter.wasm
  scopegate envoy config --mode grpc --gate gate.internal:8080

It is a whole configuration, which runs as it is: `envoy --config-path envoy.yaml`. For one that you have, take the
filter, the cluster `scopegate` and the lines above them that say why. In mode wasm Envoy's own environment has
SCOPEGATE_FILTER_SECRET, which is what the file of `filters.secret` says.";

/// The name of the gate's cluster in Envoy's configuration.
const CLUSTER: &str = "scopegate";

/// Where Debian has the certificates of the web.
const WEB_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

const WASM: &str = include_str!("../../../proxy-wasm/examples/envoy.yaml");
const GRPC: &str = include_str!("../../../envoy/examples/ext-authz-grpc.yaml");
const GRPC_TLS: &str = include_str!("../../../envoy/examples/ext-authz-grpc-tls.yaml");
const HTTP: &str = include_str!("../../../server/examples/envoy-ext-authz-http.yaml");

/// Print a configuration of Envoy
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Config {
    /// Who decides, and how Envoy asks
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Where Envoy listens
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:10000")]
    listen: SocketAddr,
    /// Where Envoy reaches the gate: a host and a port [default: where the gate listens]
    #[arg(long, value_name = "HOST:PORT")]
    gate: Option<String>,
    /// Where Envoy reaches your API: a URL [default: the gate's upstream]
    #[arg(long, value_name = "URL")]
    upstream: Option<Uri>,
    /// The filter's file, in mode wasm
    #[arg(long, value_name = "FILE", default_value = "scopegate-filter.wasm")]
    filter: PathBuf,
    /// How often the filter asks what has changed, in milliseconds: a revocation takes so long
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    tick: u64,
    /// Only the filter's own configuration, in JSON: what a control plane puts into it
    #[arg(long)]
    only_filter: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// A filter inside Envoy decides, by the policy document.
    #[default]
    Wasm,
    /// Envoy asks the gate by gRPC (ext_authz).
    Grpc,
    /// Envoy asks the gate by HTTP (ext_authz).
    Http,
}

pub(super) fn run(asked: Config, common: &Common) -> Result<()> {
    let config = assembly::configuration(&common.config)?;
    let contract = assembly::contract(&config)?;
    if asked.only_filter {
        if asked.mode != Mode::Wasm {
            bail!(Failure::usage("`--only-filter` goes with `--mode wasm`"));
        }
        return output::line(&plugin(&config, &contract, &asked)?);
    }
    let mut text = match asked.mode {
        Mode::Wasm => wasm(&config, &contract, &asked)?,
        Mode::Grpc => grpc(&config, &contract, &asked)?,
        Mode::Http => http(&config, &contract, &asked)?,
    };
    text.put("0.0.0.0", 8000, &Place::exactly(asked.listen));
    let (upstream, is_tls) = upstream(asked.upstream.as_ref().unwrap_or(&config.upstream.url))?;
    text.put("127.0.0.1", 3000, &upstream);
    if is_tls {
        let roots = config.upstream.ca.as_deref();
        let roots = roots.unwrap_or(Path::new(WEB_ROOTS)).display().to_string();
        let tls = include_str!("tls.yaml")
            .replace("{HOST}", &quoted(&upstream.host))
            .replace("{CA}", &quoted(&roots));
        let api = "      connect_timeout: 5s\n";
        text.replace(api, &format!("{api}{tls}"))?;
    }
    output::line(text.into_text().trim_end())
}

/// Where the gate's own listener is, for Envoy.
fn gate(config: &GateConfig, asked: &Config) -> Result<Place> {
    match &asked.gate {
        Some(gate) => Place::of(gate),
        None => Ok(Place::near(config.listen)),
    }
}

fn wasm(config: &GateConfig, contract: &Contract, asked: &Config) -> Result<Template> {
    let mut text = Template::of(WASM);
    text.put("127.0.0.1", 8080, &gate(config, asked)?);
    let file = std::path::absolute(&asked.filter)?.display().to_string();
    text.replace(
        "filename: scopegate-filter.wasm",
        &format!("filename: {}", quoted(&file)),
    )?;
    let plugin = plugin(config, contract, asked)?;
    text.replace_block("value: |", |block| {
        let line = block.lines().next().unwrap_or_default();
        let deeper = line.len() - line.trim_start().len() + 2;
        format!("{line}\n{}", indented(&plugin, deeper))
    })?;
    sign_in(&mut text, contract)?;
    Ok(text)
}

fn grpc(config: &GateConfig, contract: &Contract, asked: &Config) -> Result<Template> {
    let envoy = config.envoy.as_ref();
    let gate = match (&asked.gate, envoy) {
        (Some(gate), _) => Place::of(gate)?,
        (None, Some(envoy)) => Place::near(envoy.listen),
        (None, None) => bail!(
            Failure::new("nothing answers Envoy over gRPC: `envoy` is not in the configuration")
                .help("add `envoy: { listen: 127.0.0.1:9191 }`, or say where it is with `--gate`")
        ),
    };
    if envoy.is_some_and(|envoy| envoy.tls.is_some()) {
        output::note(
            "Envoy's own certificate and key, and who signed the gate's, are expected in /etc/envoy/tls",
        );
        output::note("signing in is not in it: `listen` speaks no TLS");
        let mut text = Template::of(GRPC_TLS);
        text.replace("scopegate.internal", &gate.host)?;
        text.put(&gate.host, 9191, &gate);
        return Ok(text);
    }
    let mut text = Template::of(GRPC);
    text.put("127.0.0.1", 9191, &gate);
    let listener = Place {
        host: gate.host,
        port: config.listen.port(),
    };
    text.put("127.0.0.1", 8080, &listener);
    sign_in(&mut text, contract)?;
    Ok(text)
}

fn http(config: &GateConfig, contract: &Contract, asked: &Config) -> Result<Template> {
    if config.check != Some(Dialect::Envoy) {
        output::note(
            "`check: { dialect: envoy }` is not in the configuration: the gate will not answer Envoy",
        );
    }
    let mut text = Template::of(HTTP);
    text.put("127.0.0.1", 8080, &gate(config, asked)?);
    sign_in(&mut text, contract)?;
    Ok(text)
}

/// What the filter is configured with.
fn plugin(config: &GateConfig, contract: &Contract, asked: &Config) -> Result<String> {
    let file = assemble::policy_file(&config.policy, contract);
    let found = file.read().map_err(assembly::with_help)?;
    let policy = Sandbox::new(SandboxConfig::default())?.load(&found.component);
    let policy = policy.map_err(|error| {
        assembly::with_help(AssembleError::Policy {
            name: found.name.clone(),
            error: error.into(),
        })
    })?;
    // That a component carries a document proves nothing.
    let document = carried_document(&found.component).filter(|_| policy.is_from_document());
    let Some(document) = document else {
        bail!(
            Failure::new(format!(
                "`{}` was written by hand: it is a component, which Envoy does not run",
                found.name
            ))
            .help("let Envoy ask the gate: `--mode grpc`")
        );
    };
    if config.filters.is_none() {
        output::note(
            "`filters.secret` is not set in the configuration: the gate will not answer the filter",
        );
    }
    let plugin = filter::Config {
        policy: document.to_owned(),
        contract: filter::Contract {
            prefix: contract.key_prefix.clone(),
            schemes: contract.schemes.clone(),
            sessions: contract.sessions_on_api || !config.kubernetes.is_empty(),
            limits: contract.limits,
            errors: contract.errors.clone(),
        },
        gate: filter::Gate {
            cluster: CLUSTER.to_owned(),
            timeout_ms: 1000,
            secret: None,
        },
        cache: filter::Cache::default(),
        tick_ms: asked.tick,
        window_secs: config.counters.window.secs(),
        forward_credentials: config.forward_credentials,
    };
    Ok(serde_json::to_string_pretty(&plugin)?)
}

/// Where one logs in, refreshes and logs out: the gate answers there itself.
fn sign_in(text: &mut Template, contract: &Contract) -> Result<()> {
    let login = contract.login.as_ref().map(|login| login.path.as_str());
    let refresh = contract.refresh_path.as_deref();
    let logout = login.map(|_| LOGOUT_PATH);
    let paths = [login, refresh, logout].into_iter().flatten();
    text.replace_block("match: { prefix: /auth/ }", |route| {
        let route = |path| route.replace("prefix: /auth/", &format!("path: {}", quoted(path)));
        paths.map(route).collect()
    })
}

impl Place {
    fn exactly(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }

    /// Where a listener is found on its own machine.
    fn near(address: SocketAddr) -> Self {
        let mut place = Self::exactly(address);
        if address.ip().is_unspecified() {
            place.host = match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.to_string(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.to_string(),
            };
        }
        place
    }

    fn of(text: &str) -> Result<Self> {
        let place = text.rsplit_once(':').and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some(Self {
                host: Some(host).filter(|host| !host.is_empty())?.to_owned(),
                port: port.parse().ok()?,
            })
        });
        match place {
            Some(place) => Ok(place),
            None => bail!(
                Failure::usage(format!("`{text}` is not a host and a port"))
                    .help("write one such as `gate.internal:8080`")
            ),
        }
    }
}

/// Where the upstream is, and whether it speaks TLS.
fn upstream(url: &Uri) -> Result<(Place, bool)> {
    let is_tls = url.scheme_str() == Some("https");
    let Some(host) = url.host() else {
        bail!(
            Failure::usage(format!("`{url}` is not the URL of a server"))
                .help("write one such as `http://api.internal:3000`")
        );
    };
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Ok((Place { host, port }, is_tls))
}

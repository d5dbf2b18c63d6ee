//! `scopegate envoy config`: a configuration of Envoy that works, from the gate's own.

use std::{
    net::SocketAddr,
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
    Config as GateConfig,
    assemble::{self, AssembleError},
};
use serde_json::json;

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

const FRAME: &str = include_str!("frame.yaml");
const SESSION_ROUTE: &str = include_str!("session-route.yaml");

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

impl Mode {
    fn template(self) -> &'static str {
        match self {
            Self::Wasm => include_str!("wasm.yaml"),
            Self::Grpc => include_str!("grpc.yaml"),
            Self::Http => include_str!("http.yaml"),
        }
    }
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
    let gate = match &asked.gate {
        Some(gate) => Place::of(gate)?,
        None => Place {
            host: config.listen.ip().to_string(),
            port: config.listen.port(),
        },
    };
    let url = asked.upstream.as_ref().unwrap_or(&config.upstream.url);
    let (upstream, is_tls) = upstream(url)?;
    let roots = config
        .upstream
        .ca
        .as_deref()
        .unwrap_or(Path::new(WEB_ROOTS));
    let roots = roots.display().to_string();
    let decides = match asked.mode {
        Mode::Wasm => {
            let path = std::path::absolute(&asked.filter)?;
            Mode::Wasm
                .template()
                .replace("{FILTER}", &quoted(&path.display().to_string()))
                .replace("{VARIABLE}", filter::SECRET_VARIABLE)
                .replace(
                    "{PLUGIN}",
                    indented(&plugin(&config, &contract, &asked)?, 20).trim_start(),
                )
        }
        mode => mode.template().to_owned(),
    };
    let text = FRAME
        .replace("{SESSIONS}", &sessions(&contract, asked.mode))
        .replace("{LISTEN_HOST}", &quoted(&asked.listen.ip().to_string()))
        .replace("{LISTEN_PORT}", &asked.listen.port().to_string())
        .replace("{GATE}", &gate.endpoint())
        .replace(
            "{GATE_PROTOCOL}",
            match asked.mode {
                Mode::Grpc => include_str!("http2.yaml"),
                Mode::Wasm | Mode::Http => "",
            },
        )
        .replace("{UPSTREAM}", &upstream.endpoint())
        .replace(
            "{UPSTREAM_TLS}",
            &match is_tls {
                true => include_str!("tls.yaml")
                    .replace("{HOST}", &quoted(&upstream.host))
                    .replace("{CA}", &quoted(&roots)),
                false => String::new(),
            },
        )
        // Last: a policy may say whatever it likes.
        .replace("{FILTER}", decides.trim_end());
    output::line(&text)
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
            sessions: contract.sessions_on_api,
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
        forward_credentials: config.forward_credentials,
    };
    Ok(serde_json::to_string_pretty(&plugin)?)
}

/// Where one logs in, refreshes and logs out: the gate answers there itself.
fn sessions(contract: &Contract, mode: Mode) -> String {
    let Some(login) = &contract.login else {
        return String::new();
    };
    let filter = match mode {
        Mode::Wasm => "scopegate",
        Mode::Grpc | Mode::Http => "envoy.filters.http.ext_authz",
    };
    let refresh = contract.refresh_path.as_deref();
    let paths = [Some(login.path.as_str()), refresh, Some(LOGOUT_PATH)];
    let routes = paths.into_iter().flatten().map(|path| {
        SESSION_ROUTE
            .replace("{PATH}", &quoted(path))
            .replace("{FILTER}", &quoted(filter))
    });
    routes.collect()
}

/// A host and a port.
struct Place {
    host: String,
    port: u16,
}

impl Place {
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

    /// As Envoy has it.
    fn endpoint(&self) -> String {
        json!({ "address": self.host, "port_value": self.port }).to_string()
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

/// JSON is YAML.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn indented(text: &str, by: usize) -> String {
    let lines = text.lines().map(|line| format!("{:by$}{line}\n", ""));
    lines.collect()
}

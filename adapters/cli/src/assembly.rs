//! From a configuration to a gate that runs, and what to do about it where that does not work.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, Result};
use scopegate_envoy::{Listener, Settings, Tls};
use scopegate_host::{
    Contract,
    audit::SealError,
    engine::{Sandbox, SandboxConfig},
    lock::LockError,
    store::{OpenError, Purpose},
};
use scopegate_policy::Description;
use scopegate_server::{
    Config, Running, Server, ServerParts,
    assemble::{self, AssembleError, assemble},
    config::EnvoyConfig,
};

use crate::{compile_policy, failure::Failure};

/// Reads the configuration; all its mistakes at once.
pub(crate) fn configuration(path: &Path) -> Result<Config> {
    if !path.exists() {
        return Err(
            Failure::new(format!("there is no configuration at `{}`", path.display()))
                .help("`scopegate init` writes one; `--config FILE` names another")
                .into(),
        );
    }
    Ok(Config::load(path)?)
}

/// The contract that the configuration names.
pub(crate) fn contract(config: &Config) -> Result<Contract> {
    assemble::contract(&config.contract).map_err(with_help)
}

/// What the configuration's policy says of itself.
pub(crate) fn description(config: &Config, contract: &Contract) -> Result<Description> {
    let file = assemble::policy_file(&config.policy, contract);
    let found = file.read().map_err(with_help)?;
    let policy = Sandbox::new(SandboxConfig::default())?.load(&found.component);
    let policy = policy.map_err(|error| {
        with_help(AssembleError::Policy {
            name: found.name,
            error: error.into(),
        })
    })?;
    Ok(Description::clone(policy.description()))
}

/// A gate that runs: its server, and what answers Envoy if that is configured.
pub(crate) struct Gateway {
    pub(crate) server: Running,
    envoy: Option<scopegate_envoy::Running>,
}

impl Gateway {
    /// Where Envoy asks.
    pub(crate) fn envoy_addr(&self) -> Option<SocketAddr> {
        self.envoy.as_ref().map(scopegate_envoy::Running::address)
    }

    /// Accepts nothing more, and lets what is under way finish.
    pub(crate) async fn shutdown(self) {
        // First: the server closes the audit, and nothing is decided after that.
        if let Some(envoy) = self.envoy {
            envoy.shutdown().await;
        }
        self.server.shutdown().await;
    }
}

/// Starts the gate. When this returns, requests are answered.
pub(crate) async fn start(mut config: Config, purpose: Purpose) -> Result<Gateway> {
    config.policy_compiler =
        compile_policy::compiler().context("this program does not know where it is")?;
    let envoy = config.envoy.take();
    let parts = assemble(config, purpose).await.map_err(with_help)?;
    // Bound before anything runs: a mistake ends the start, and nothing else has to be ended.
    let listener = match envoy {
        Some(envoy) => Some(Listener::bind(settings(envoy, &parts)).await?),
        None => None,
    };
    let (gate, clock) = (Arc::clone(&parts.gate), parts.clock.clone());
    let server = Server::start(parts).await?;
    let envoy = match listener {
        Some(listener) => {
            let now = Arc::new(move || clock.now_ms());
            Some(listener.serve(gate, now).await)
        }
        None => None,
    };
    Ok(Gateway { server, envoy })
}

fn settings(envoy: EnvoyConfig, parts: &ServerParts) -> Settings {
    Settings {
        tls: envoy.tls.map(|tls| Tls {
            certificate: tls.certificate,
            key: tls.key,
            client_ca: tls.client_ca,
        }),
        trusted_proxies: parts.trusted_proxies.clone(),
        ..Settings::at(envoy.listen)
    }
}

/// What is wrong, and what to do about it.
pub(crate) fn with_help(error: impl Into<AssembleError>) -> anyhow::Error {
    let error = error.into();
    let help = match &error {
        AssembleError::Store(OpenError::Missing(_)) => "`scopegate init` makes one",
        AssembleError::Store(OpenError::WrongPurpose { .. }) => {
            "name another store, or let `scopegate init` make one"
        }
        AssembleError::Lock(LockError::Held { .. }) => {
            "another server runs on it: end that one first"
        }
        AssembleError::Seal(SealError::Behind { .. } | SealError::Differs { .. }) => {
            "`scopegate audit verify` says what is missing; once that is settled, move the heads file away and keep it"
        }
        AssembleError::NoKeys => {
            "name a key file with `sessions: { keys: FILE }`; `scopegate init` writes one"
        }
        AssembleError::Policy { error: why, .. } => why.help(),
        _ => return error.into(),
    };
    Failure::new(error.to_string()).help(help).into()
}

//! The gate as an operator starts it: the program, a configuration, a key.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Program, free_address};
use crate::http::SERVER_CORE;

/// What the filter shows to the gate.
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A gate that serves, and a key that it admits as often as it is asked.
pub(super) struct Gate {
    program: Program,
    scopegate: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) key: String,
}

impl Gate {
    pub(super) fn start(scopegate: &Path, directory: &Path, upstream: SocketAddr) -> Result<Self> {
        ensure!(
            scopegate.is_file(),
            "`{}` is not there: `cargo build --release -p scopegate`",
            scopegate.display()
        );
        let scopegate = fs::canonicalize(scopegate)?;
        run(&scopegate, directory, &["init", "gate"])?;
        let directory = directory.join("gate");
        let contract = include_str!("../../../host/contracts/scopegate.yaml");
        fs::write(directory.join("contract.yaml"), without_limits(contract))?;
        let secret = directory.join("filter-secret");
        fs::write(&secret, SECRET)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        run(
            &scopegate,
            &directory,
            &["envoy", "filter", "--out", "scopegate-filter.wasm"],
        )?;
        let (listen, management, envoy) = (free_address()?, free_address()?, free_address()?);
        let config = format!(
            "listen: {listen}\n\
             contract: contract.yaml\n\
             policy: scopegate\n\
             upstream: http://{upstream}\n\
             store: sqlite://scopegate.db\n\
             sessions: {{ keys: signing-keys.json }}\n\
             trusted_proxies: [127.0.0.1]\n\
             management: {{ listen: {management} }}\n\
             envoy: {{ listen: {envoy} }}\n\
             check: {{ dialect: envoy }}\n\
             filters: {{ secret: filter-secret }}\n"
        );
        fs::write(directory.join("scopegate.yaml"), config)?;
        let serve = [scopegate.as_os_str().to_owned(), "serve".into()];
        let program = Program::start(
            SERVER_CORE,
            serve.into(),
            &directory.join("serve.log"),
            envoy,
            &directory,
        )?;
        run(&scopegate, &directory, &["cluster", "add", "prod"])?;
        let mint = [
            "key",
            "mint",
            "--owner",
            "admin@example.com",
            "--name",
            "bench",
            "--cluster",
            "prod",
            "--output",
            "json",
        ];
        let minted: Value = serde_json::from_str(&run(&scopegate, &directory, &mint)?)?;
        let key = minted
            .get("secret")
            .and_then(Value::as_str)
            .context("no key was minted")?;
        Ok(Self {
            program,
            scopegate,
            directory,
            key: key.to_owned(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.program.id()
    }

    /// What `scopegate envoy config` prints for this mode, perhaps asking somebody else.
    pub(super) fn envoy_config(
        &self,
        mode: &str,
        listen: SocketAddr,
        upstream: SocketAddr,
        instead: Option<SocketAddr>,
    ) -> Result<String> {
        let (listen, upstream) = (listen.to_string(), format!("http://{upstream}"));
        let config = [
            "envoy",
            "config",
            "--mode",
            mode,
            "--listen",
            &listen,
            "--upstream",
            &upstream,
        ];
        let instead = instead.map(|address| address.to_string());
        let other = instead.iter().flat_map(|address| ["--gate", address]);
        let config: Vec<&str> = config.into_iter().chain(other).collect();
        let text = run(&self.scopegate, &self.directory, &config)?;
        Ok(without_log(&text))
    }
}

/// A configuration without its access log, which the others of the comparison have not either.
fn without_log(text: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let mut log = None;
    let kept = text.lines().filter(|line| {
        if line.trim() == "access_log:" {
            log = Some(indentation(line));
            return false;
        }
        if log.is_some_and(|log| indentation(line) <= log) {
            log = None;
        }
        log.is_none()
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// The contract, with limits that no bench reaches.
fn without_limits(contract: &str) -> String {
    let mut is_limits = false;
    let lines = contract.lines().map(|line| {
        if !line.starts_with(' ') {
            is_limits = line == "limits:";
        }
        match line.split_once(": ") {
            Some((name, value)) if is_limits && value.parse::<u32>().is_ok() => {
                format!("{name}: 10000000\n")
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

fn run(program: &Path, directory: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()?;
    ensure!(
        output.status.success(),
        "`scopegate {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

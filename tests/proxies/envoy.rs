//! Envoy, the real one.

use std::{fs, net::SocketAddr, process::Command};

use tempfile::TempDir;

use super::wasm::SECRET;
use crate::harness::{
    Actor,
    program::{self, Program, free_address},
};

/// Starts it in this directory, with a configuration whose listener is at `address`.
pub(crate) async fn run(
    directory: TempDir,
    configuration: &str,
    address: SocketAddr,
    threads: u32,
) -> Program {
    let file = directory.path().join("envoy.yaml");
    fs::write(&file, configuration).expect("written");
    let mut command = Command::new(program::envoy());
    command
        .arg("--config-path")
        .arg(&file)
        .args(["--concurrency", &threads.to_string()])
        .args(["--disable-hot-restart", "--log-level", "warning"])
        // The access log at once, and not every ten seconds.
        .args(["--file-flush-interval-msec", "100"])
        .env("SCOPEGATE_FILTER_SECRET", SECRET);
    let mut program = Program::start("envoy", command, directory);
    program.listening(address).await;
    program
}

/// One with an admin interface.
pub struct Envoy {
    /// Where its listener is.
    pub address: SocketAddr,
    /// Where its statistics are.
    admin: SocketAddr,
    /// The process, which ends with this.
    pub program: Program,
}

impl Envoy {
    /// Starts it with this configuration, whose listener is at `address` and which has no admin interface yet.
    pub async fn start(configuration: &str, address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let admin = free_address();
        let (ip, port) = (admin.ip(), admin.port());
        let text = format!(
            "{configuration}\nadmin:\n  address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}\n"
        );
        let program = run(directory, &text, address, 2).await;
        Self {
            address,
            admin,
            program,
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value of one of its counters.
    pub async fn counter(&self, name: &str) -> u64 {
        let admin = Actor::new(&format!("http://{}", self.admin), None);
        let text = admin.get(&format!("/stats?filter=^{name}$")).await.body;
        let value = text.trim().rsplit(' ').next();
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

//! Envoy, the real one.

use std::{fs, net::SocketAddr, process::Command};

use crate::harness::{
    Actor,
    program::{self, Program, free_address},
};

/// An Envoy that runs.
pub struct Envoy {
    /// Where its listener is.
    pub address: SocketAddr,
    /// Where its statistics are.
    pub admin: SocketAddr,
    /// The process, which ends with this.
    pub program: Program,
}

impl Envoy {
    /// Starts it with this configuration, whose listener is at `address` and which has no admin interface yet.
    pub async fn start(configuration: &str, address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let admin = free_address();
        let file = directory.path().join("envoy.yaml");
        let (ip, port) = (admin.ip(), admin.port());
        let text = format!(
            "{configuration}\nadmin:\n  address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}\n"
        );
        fs::write(&file, text).expect("written");
        let mut command = Command::new(program::envoy());
        command
            .arg("--config-path")
            .arg(&file)
            .args(["--disable-hot-restart", "--concurrency", "2"])
            .args(["--log-level", "warning"]);
        let mut program = Program::start("envoy", command, directory);
        program.listening(address).await;
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

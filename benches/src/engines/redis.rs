//! A Redis on a port of its own, which saves nothing.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::on_core;
use crate::http::require;

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A running server; it ends with this value.
pub(crate) struct Redis {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Redis {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, with the command that installs it, or does not answer.
    pub(crate) fn start(core: Option<&str>) -> Result<Self> {
        require("redis-server", "redis-server")?;
        let directory = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = on_core(core, "redis-server".as_ref())
            .args(["--bind", "127.0.0.1", "--port"])
            .arg(address.port().to_string())
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self {
            process,
            address,
            _directory: directory,
        };
        let begun = Instant::now();
        while !server.answers() {
            ensure!(begun.elapsed() < START, "redis-server does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it says of itself, such as `redis 7.0.15`.
    pub(crate) fn version(&self) -> String {
        let info = self.ask("INFO server\r\n").unwrap_or_default();
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        format!("redis {}", version.unwrap_or("?").trim())
    }

    /// How many scripts it has run.
    pub(crate) fn scripts(&self) -> Result<f64> {
        let info = self.ask("INFO commandstats\r\n")?;
        let calls = info
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="))
            .and_then(|rest| rest.split(',').next());
        Ok(calls.unwrap_or("0").parse()?)
    }

    fn answers(&self) -> bool {
        self.ask("PING\r\n")
            .is_ok_and(|said| said.starts_with("+PONG"))
    }

    /// The beginning of what it says to a line.
    fn ask(&self, line: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(line.as_bytes())?;
        let mut said = [0; 16 << 10];
        let length = stream.read(&mut said)?;
        Ok(String::from_utf8_lossy(said.get(..length).unwrap_or_default()).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! A Redis server of a test's own, which stops, is killed and comes back.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::port::free_port;

/// How long it may take to start or to answer, on a machine that does something else besides.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that keeps what it is told to save, and nothing else.
#[derive(Debug)]
pub struct OwnRedis {
    process: Option<Child>,
    directory: TempDir,
    addresses: Vec<IpAddr>,
    port: u16,
}

impl OwnRedis {
    /// One that listens at these addresses.
    ///
    /// # Panics
    /// When Redis is not installed, with the command that installs it, or does not start.
    pub fn start(addresses: &[IpAddr]) -> Self {
        let mut server = Self {
            process: None,
            directory: tempfile::tempdir().expect("a directory"),
            addresses: addresses.to_vec(),
            port: free_port(*addresses.first().expect("an address")),
        };
        server.run();
        server
    }

    /// Its URL, by one of its addresses.
    pub fn url(&self, address: IpAddr) -> String {
        format!("redis://{address}:{}", self.port)
    }

    /// Starts it again, from what it saved.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--save", "", "--appendonly", "no", "--protected-mode", "no"])
            .args(["--port", &self.port.to_string(), "--bind"])
            .args(self.addresses.iter().map(ToString::to_string))
            .arg("--dir")
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("redis-server: {error}; `apt-get install -y --no-install-recommends redis-server` installs it")
        });
        self.process = Some(process);
        let begun = Instant::now();
        while self.say("PING").ok().as_deref() != Some("+PONG") {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not answer");
            sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it is not there.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    /// The first line of the answer to a command in words.
    ///
    /// # Errors
    /// When nobody answers.
    ///
    /// # Panics
    /// When it has no address.
    pub fn say(&self, words: &str) -> io::Result<String> {
        let address = SocketAddr::new(*self.addresses.first().expect("an address"), self.port);
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{words}\r\n").as_bytes())?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while stream.read(&mut byte)? == 1 && byte != *b"\r" {
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

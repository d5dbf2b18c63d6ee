//! A real `redis-server` for tests, and what may happen to one.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use scopegate_engines::free_port;
use tempfile::TempDir;

use super::{Clock, Redis, RedisConfig, WhenAway};
use crate::counters::Counters;

pub(crate) struct RedisServer {
    process: Option<Child>,
    directory: TempDir,
    port: u16,
    /// The arguments after the port's.
    options: Vec<String>,
}

impl RedisServer {
    /// One that keeps what it is told to save, and nothing else.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        let mut all = vec!["--save", "", "--appendonly", "no", "--dir", &path];
        all.extend(options);
        let options = all.into_iter().map(str::to_owned).collect();
        Self::running(directory, options).await
    }

    /// A sentinel that watches a server under this name, with more lines of its configuration.
    pub(crate) async fn sentinel_of(server: &Self, name: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // It writes into its configuration.
        let path = directory.path().join("sentinel.conf");
        let watch = format!(
            "sentinel monitor {name} 127.0.0.1 {} 1\n{more}\n",
            server.port
        );
        std::fs::write(&path, watch).unwrap();
        let options = vec![path.display().to_string(), "--sentinel".to_owned()];
        Self::running(directory, options).await
    }

    async fn running(directory: TempDir, options: Vec<String>) -> Self {
        let mut server = Self {
            process: None,
            directory,
            port: free_port(Ipv4Addr::LOCALHOST.into()),
            options,
        };
        server.run().await;
        server
    }

    /// Starts it again, from what it saved.
    pub(crate) async fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(&self.options)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .current_dir(self.directory.path())
            .stdout(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("redis-server: {error}; `apt-get install -y redis-server` installs it")
        });
        self.process = Some(process);
        for _ in 0..500 {
            if let Ok(mut connection) = self.connection().await
                && redis::cmd("PING").exec_async(&mut connection).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not answer");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops answering, and goes on: `SIGSTOP`, `SIGCONT`.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let process = self.process.as_ref().unwrap();
        let id = rustix::process::Pid::from_child(process);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// A command in words, and its answer.
    pub(crate) async fn say(&self, words: &str) -> redis::Value {
        let mut connection = self.connection().await.unwrap();
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut connection).await.unwrap()
    }

    async fn connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(("127.0.0.1", self.port))?;
        // Beside whatever else a machine does that runs tests.
        let patience = Some(Duration::from_secs(20));
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(patience)
            .set_response_timeout(patience);
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What is meant where nothing else is said, with more patience than a server has: tests share two cores.
    pub(crate) fn config(&self) -> RedisConfig {
        let url = format!("redis://127.0.0.1:{}", self.port);
        RedisConfig {
            clock: Clock::Caller,
            when_away: WhenAway::Confirm,
            timeout: Duration::from_secs(2),
            ..RedisConfig::new(url.parse().unwrap())
        }
    }

    /// A gate's counters in it.
    pub(crate) async fn counters(&self) -> Counters {
        Counters::Redis(Redis::open(&self.config()).await.unwrap())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

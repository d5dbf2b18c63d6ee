//! A gate in a directory of its own, and the process that serves it until it is killed.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::cli::binary::{run_ok, scopegate};

/// The contract, whose limits would be in the way.
const CONTRACT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../host/contracts/scopegate.yaml"
));

/// What `scopegate init` made, and a cluster `prod`.
pub(in crate::load) struct Gate {
    pub(in crate::load) directory: tempfile::TempDir,
    /// The administrator's, who is `admin@example.com`.
    pub(in crate::load) password: String,
}

impl Gate {
    pub(in crate::load) fn init(upstream: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path();
        let made = run_ok(place, &["init", "--upstream", upstream, "--output", "json"]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        // Built once: a restart only loads it.
        run_ok(
            place,
            &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
        );
        let limits =
            regex::Regex::new("(?m)^  (session|api_key|agent|anonymous|failures|logins): [0-9]+$");
        let contract = limits
            .expect("an expression")
            .replace_all(CONTRACT, "  $1: 1000000");
        std::fs::write(place.join("contract.yaml"), &*contract).expect("writable");
        let path = place.join("scopegate.yaml");
        let configuration = std::fs::read_to_string(&path).expect("written");
        let configuration = configuration
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("127.0.0.1:9080", "127.0.0.1:0")
            .replace("contract: scopegate", "contract: contract.yaml")
            .replace("policy: policy.yaml", "policy: policy.wasm");
        std::fs::write(&path, configuration).expect("writable");
        run_ok(place, &["cluster", "add", "prod"]);
        Self {
            password: made["admin"]["password"]
                .as_str()
                .expect("generated")
                .to_owned(),
            directory,
        }
    }

    /// Changes its configuration.
    pub(in crate::load) fn configure(&self, change: impl FnOnce(String) -> String) {
        let path = self.directory.path().join("scopegate.yaml");
        let before = std::fs::read_to_string(&path).expect("written");
        std::fs::write(&path, change(before)).expect("writable");
    }

    /// Starts a server on it.
    pub(in crate::load) fn start(&self) -> Server {
        let mut child = Command::new(scopegate())
            .arg("serve")
            .current_dir(self.directory.path())
            .env("SCOPEGATE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (line, lines) = mpsc::unbounded_channel();
        // Read to its end, so that it never waits for a reader.
        std::thread::spawn(move || {
            for text in stderr.lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        Server {
            child,
            lines,
            public: String::new(),
            management: String::new(),
        }
    }
}

/// A process.
pub(in crate::load) struct Server {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    /// `http://127.0.0.1:PORT`, once it listens.
    pub(in crate::load) public: String,
    /// The same of the management listener.
    pub(in crate::load) management: String,
}

impl Server {
    /// Waits until it listens.
    pub(in crate::load) async fn listening(&mut self) {
        let mut said = Vec::new();
        while self.management.is_empty() {
            let line = tokio::time::timeout(Duration::from_secs(60), self.lines.recv());
            let Ok(Some(line)) = line.await else {
                panic!("it did not start: {said:#?}");
            };
            if let Some(url) = line.strip_prefix("listening on ") {
                url.clone_into(&mut self.public);
            }
            if let Some(url) = line.strip_prefix("metrics on ") {
                self.management = url.replace("/-/metrics", "");
            }
            said.push(line);
        }
    }

    /// SIGKILL. When this returns, it is no more.
    pub(in crate::load) fn kill(mut self) {
        self.child.kill().expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), None, "it ended by itself: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! One gate: its directory, and the process that serves it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::cli::{
    binary::{run_ok, run_with, scopegate, text},
    own_gate::{on_free_ports, serve},
};

/// The administrator's.
pub(super) const PASSWORD: &str = "correct horse battery staple";
/// How long a process may take to start, on a machine that does something else besides.
const START: Duration = Duration::from_secs(60);
/// The contract, whose limits would be in the way.
const CONTRACT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../host/contracts/scopegate.yaml"
));

/// A process that serves. It ends when this is dropped.
pub(super) struct Gate {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// Runs what stands in this directory; the command begins with these words.
    pub(super) fn start(directory: &Path, address: SocketAddr, before: &[String]) -> Self {
        let mut words = before.iter().map(Into::into).collect::<Vec<_>>();
        words.extend([scopegate().into_os_string(), "serve".into()]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(directory)
            .env("SCOPEGATE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (hears, stderr) = (Arc::clone(&said), child.stderr.take().expect("piped"));
        // Read to its end, so that it never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                hears.lock().expect("no panic").push(line);
            }
        });
        Self {
            child,
            address,
            said,
        }
    }

    /// Waits until it listens.
    pub(super) async fn listening(&mut self) {
        let begun = Instant::now();
        while !self.has_said("listening on") {
            let ended = self.child.try_wait().expect("a child");
            assert!(
                ended.is_none() && begun.elapsed() < START,
                "a gate does not start ({ended:?}): {:#?}",
                self.said.lock().expect("no panic")
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn has_said(&self, words: &str) -> bool {
        let said = self.said.lock().expect("no panic");
        said.iter().any(|line| line.contains(words))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `kill -9`. When this returns, it is no more.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), None, "it ended by itself: {status}");
    }

    /// SIGTERM: it ends by itself when what is under way is done.
    pub(super) async fn end(mut self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status();
        assert!(told.expect("kill").success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(begun.elapsed() < START, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What differs from gate to gate.
pub(super) struct Settings<'s> {
    pub(super) listen: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) store: &'s str,
    pub(super) redis: &'s str,
    /// More keys of `counters`, such as `away: refuse`.
    pub(super) counters: &'s str,
    /// Of each key, in a window.
    pub(super) limit: u32,
}

impl Settings<'_> {
    /// Makes a directory that a gate can be run in.
    pub(super) fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("writable");
        for name in ["signing-keys.json", "policy.wasm"] {
            fs::copy(template().join(name), directory.join(name)).expect("made once");
        }
        // Compiled once, too; for a store on a server it is kept under this name.
        let compiled = directory.join("scopegate.compiled");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&compiled)
            .expect("writable");
        for file in fs::read_dir(template().join("scopegate.db.compiled")).expect("made once") {
            let file = file.expect("a file");
            fs::copy(file.path(), compiled.join(file.file_name())).expect("writable");
        }
        let limits = regex::Regex::new("(?m)^  (session|agent|anonymous|failures|logins): [0-9]+$");
        let contract = limits
            .expect("an expression")
            .replace_all(CONTRACT, "  $1: 1000000")
            .replace("  api_key: 200", &format!("  api_key: {}", self.limit));
        fs::write(directory.join("contract.yaml"), contract).expect("writable");
        let Self {
            listen,
            upstream,
            store,
            redis,
            counters,
            ..
        } = self;
        let configuration = format!(
            "listen: {listen}\ncontract: contract.yaml\npolicy: policy.wasm\nupstream: http://{upstream}\n\
             store: {store}\nsessions: {{ keys: signing-keys.json }}\naudit: {{ lines: none }}\n\
             management: {{ listen: shared }}\nisolation: pooled\n\
             counters: {{ url: \"{redis}\", {counters} }}\n"
        );
        fs::write(directory.join("scopegate.yaml"), configuration).expect("writable");
    }
}

/// Makes the store that a gate is configured for, with its administrator.
pub(super) fn create_store(directory: &Path) {
    let create = ["store", "create", "--password-file", "-"];
    let made = run_with(directory, &[], PASSWORD, &create);
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// What all gates have in common, made once.
fn template() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path();
        run_ok(place, &["init"]);
        run_ok(
            place,
            &["policy", "build", "policy.yaml", "-o", "policy.wasm"],
        );
        on_free_ports(place);
        let path = place.join("scopegate.yaml");
        let configuration = fs::read_to_string(&path).expect("written");
        let configuration = configuration
            .replace("policy: policy.yaml", "policy: policy.wasm")
            .replace("isolation: fresh", "isolation: pooled");
        fs::write(&path, configuration).expect("writable");
        let (server, _) = serve(place);
        server.interrupt();
        directory
    });
    made.path()
}

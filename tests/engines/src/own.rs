//! A PostgreSQL server of a test's own, which stops, is killed and comes back.

use std::{
    fs,
    io::Write,
    net::IpAddr,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    port::free_port,
    postgres::{made, programs, user},
};

/// How long it may take to start or to end, on a machine that does something else besides.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on TCP.
#[derive(Debug)]
pub struct OwnPostgres {
    process: Option<Child>,
    programs: PathBuf,
    directory: TempDir,
    data: PathBuf,
    addresses: Vec<String>,
    port: u16,
}

impl OwnPostgres {
    /// One that listens at these addresses.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, with the command that installs it, or does not start.
    pub fn start(addresses: &[IpAddr]) -> Self {
        let programs = programs();
        let (directory, data) = made(&programs);
        let rules = fs::OpenOptions::new()
            .append(true)
            .open(data.join("pg_hba.conf"));
        // Whoever reaches the addresses of a test is of that test.
        writeln!(rules.expect("made"), "host all all all trust").expect("writable");
        let mut server = Self {
            process: None,
            programs,
            directory,
            data,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            port: free_port(*addresses.first().expect("an address")),
        };
        server.run();
        server
    }

    /// The URL of a schema of its own, by one of its addresses.
    pub fn url(&self, address: IpAddr) -> String {
        format!(
            "postgres://postgres@{address}:{}/postgres?sslmode=disable&options=-csearch_path%3Dgate",
            self.port
        )
    }

    /// Starts it again, with what it had.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&mut self) {
        let begun = Instant::now();
        loop {
            // After a `kill -9`, what it left behind must be gone first: until then, a new one ends at once.
            let ended = match &mut self.process {
                None => true,
                Some(process) => process.try_wait().expect("a child").is_some(),
            };
            if ended {
                self.process = Some(self.spawn());
            }
            sleep(Duration::from_millis(20));
            if self.is_ready() {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "PostgreSQL does not start: {}",
                fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
            );
        }
    }

    /// Ends it as an administrator does who restarts it: whoever is connected is cut off.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// `kill -9` of the process that all others are children of.
    ///
    /// # Panics
    /// When it is not there.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    fn end(&mut self, signal: &str) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let id = process.id().to_string();
        let _ = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(id)
            .status();
        process.wait().expect("it ends");
    }

    fn spawn(&self) -> Child {
        let place = self.directory.path();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(place.join("log"))
            .expect("a log");
        let mut command = Command::new(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(&self.data)
            .arg("-k")
            .arg(place)
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                "max_connections=200",
                "-c",
            ])
            .arg(format!("listen_addresses={}", self.addresses.join(",")))
            // Whoever kills it kills a process and no machine. What is committed must be out of the process, so commits wait as
            // they do by default.
            .args(["-c", "fsync=off"])
            .current_dir(place)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        if let Some(user) = user() {
            command.uid(user.id).gid(user.group);
        }
        command.spawn().expect("postgres")
    }

    fn is_ready(&self) -> bool {
        let ready = Command::new(self.programs.join("pg_isready"))
            .args(["-q", "-p", &self.port.to_string(), "-h"])
            .arg(self.directory.path())
            .status();
        ready.is_ok_and(|status| status.success())
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

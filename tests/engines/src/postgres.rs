//! A PostgreSQL server on a Unix socket.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::OnceLock,
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::warden::{self, User};

/// What is missing where the server is not there.
const INSTALL: &str =
    "PostgreSQL is missing: apt-get install -y --no-install-recommends postgresql";
/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    socket: PathBuf,
    /// Its input is open as long as this process lives.
    _warden: Child,
}

/// The server of this process. It is started by whoever asks first.
///
/// # Panics
/// When PostgreSQL is not installed, with the command that installs it, or does not start.
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

impl Postgres {
    /// The URL of a schema, which need not be there yet. Nobody else's tests see it.
    pub fn url(&self, schema: &str) -> String {
        format!(
            "postgres:///postgres?host={}&user=postgres&options=-csearch_path%3D{schema}",
            self.socket.display()
        )
    }

    fn start() -> Self {
        let programs = programs();
        let (directory, data) = made(&programs);
        let (directory, user) = (directory.keep(), user());
        let (server, place) = (programs.join("postgres"), directory.display().to_string());
        let engine = [
            &server.display().to_string(),
            "-D",
            &data.display().to_string(),
            "-k",
            &place,
            // Nobody reaches it but by its socket.
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=500",
            // A server that is killed loses nothing by this; a machine that is, has no tests to go on with.
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
        ];
        let warden = warden::run(&engine, &directory, "INT", user);
        let server = Self {
            socket: directory,
            _warden: warden,
        };
        server.wait(&programs);
        server
    }

    fn wait(&self, programs: &Path) {
        let begun = Instant::now();
        loop {
            let ready = Command::new(programs.join("pg_isready"))
                .arg("-q")
                .arg("-h")
                .arg(&self.socket)
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            assert!(
                begun.elapsed() < START,
                "PostgreSQL does not start: {}",
                fs::read_to_string(self.socket.join("log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(20));
        }
    }
}

/// A directory of its own with the data of a server in it.
pub(crate) fn made(programs: &Path) -> (TempDir, PathBuf) {
    let directory = tempfile::Builder::new()
        .prefix("scopegate-postgres-")
        .tempdir()
        .expect("a directory");
    let data = directory.path().join("data");
    let mut make = Command::new(programs.join("initdb"));
    make.args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-sync",
    ])
    .arg("--locale=C.UTF-8")
    .arg("-D")
    .arg(&data)
    .current_dir(&directory);
    if let Some(user) = user() {
        chown(&directory, Some(user.id), Some(user.group)).expect("a directory of its own");
        make.uid(user.id).gid(user.group);
    }
    let made = make.output().expect("initdb");
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    (directory, data)
}

/// Debian keeps the programs of each version in a folder of its own.
pub(crate) fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect(INSTALL);
    let versions = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = versions.filter(|bin| bin.join("postgres").is_file()).max();
    newest.expect(INSTALL)
}

/// The server does not run as root. Its package makes a user for it.
pub(crate) fn user() -> Option<User> {
    let own = fs::metadata("/proc/self").expect("/proc").uid();
    if own != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect(INSTALL).split(':').skip(2);
    let mut number = || fields.next().and_then(|id| id.parse().ok()).expect("an id");
    Some(User {
        id: number(),
        group: number(),
    })
}

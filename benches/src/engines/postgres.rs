//! A PostgreSQL on a Unix socket. What it says is committed is on the disk, as where it is installed.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::on_core;

/// What is missing where the server is not there.
const INSTALL: &str =
    "PostgreSQL is not installed; try `apt-get install --no-install-recommends postgresql`";
/// How long it may take to start: after a restart it may have to read its log.
const START: Duration = Duration::from_secs(120);
/// What it is told beside Debian's defaults.
const SETTINGS: [&str; 5] = [
    "listen_addresses=",
    "max_connections=100",
    "shared_buffers=1GB",
    "maintenance_work_mem=512MB",
    // Filling it would otherwise write the same pages again and again.
    "max_wal_size=8GB",
];

/// A running server; it and its data end with this value.
pub(crate) struct Postgres {
    programs: PathBuf,
    user: Option<User>,
    core: Option<String>,
    process: Child,
    directory: TempDir,
}

/// Who runs it: it refuses to be run by root.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl Postgres {
    /// Makes a server with its data below `parent` and starts it.
    ///
    /// # Errors
    /// When it is not installed, with the command that installs it, or does not start.
    pub(crate) fn start(parent: &Path, core: Option<&str>) -> Result<Self> {
        let programs = programs()?;
        let user = user()?;
        let directory = tempfile::Builder::new()
            .prefix("scopegate-postgres-")
            .tempdir_in(fs::canonicalize(parent)?)?;
        if let Some(user) = user {
            chown(directory.path(), Some(user.id), Some(user.group))?;
        }
        let made = as_user(Command::new(programs.join("initdb")), user)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "-D"])
            .arg(directory.path().join("data"))
            .current_dir(directory.path())
            .output()?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let process = run(&programs, user, core, directory.path())?;
        let mut server = Self {
            programs,
            user,
            core: core.map(str::to_owned),
            process,
            directory,
        };
        server.wait()?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        let socket = self.directory.path().display();
        format!("postgres:///postgres?host={socket}&user=postgres")
    }

    /// What it says of itself, such as `postgres 15.14`.
    pub(crate) fn version(&self) -> Result<String> {
        let said = Command::new(self.programs.join("postgres"))
            .arg("--version")
            .output()?;
        let said = String::from_utf8_lossy(&said.stdout);
        let number = said.split_whitespace().nth(2).unwrap_or("?");
        Ok(format!("postgres {number}"))
    }

    /// Stops it, has the kernel forget what it keeps of its files, and starts it again: it then reads from the disk.
    ///
    /// # Errors
    /// When it does not stop or start, or its files cannot be read.
    pub(crate) fn restart_cold(&mut self) -> Result<()> {
        self.stop("fast")?;
        forget(&self.directory.path().join("data"))?;
        self.process = run(
            &self.programs,
            self.user,
            self.core.as_deref(),
            self.directory.path(),
        )?;
        self.wait()
    }

    fn stop(&mut self, mode: &str) -> Result<()> {
        let data = self.directory.path().join("data");
        let stopped = as_user(Command::new(self.programs.join("pg_ctl")), self.user)
            .args(["stop", "--silent", "--wait", "--mode", mode, "-t", "120"])
            .arg("-D")
            .arg(data)
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .status()?;
        ensure!(stopped.success(), "PostgreSQL does not stop");
        self.process.wait()?;
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h"])
                .arg(self.directory.path())
                .status()?;
            if ready.success() {
                return Ok(());
            }
            let ended = self.process.try_wait()?;
            ensure!(
                ended.is_none() && begun.elapsed() < START,
                "PostgreSQL does not start: {}",
                fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.stop("immediate").is_err() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn run(programs: &Path, user: Option<User>, core: Option<&str>, directory: &Path) -> Result<Child> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))?;
    let mut command = as_user(on_core(core, programs.join("postgres").as_os_str()), user);
    command.arg("-D").arg(directory.join("data"));
    command.arg("-k").arg(directory);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start PostgreSQL")
}

fn as_user(mut command: Command, user: Option<User>) -> Command {
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
    command
}

/// Drops a folder's files out of the kernel's cache; `dd` asks for it without reading anything.
fn forget(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
        } else {
            let mut from = std::ffi::OsString::from("if=");
            from.push(&path);
            let dropped = Command::new("dd")
                .arg(from)
                .args(["iflag=nocache", "count=0", "status=none"])
                .status()?;
            ensure!(dropped.success(), "dd: {}", path.display());
        }
    }
    Ok(())
}

/// Debian keeps the programs of each version in a folder of its own.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context(INSTALL)?;
    let versions = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = versions.filter(|bin| bin.join("postgres").is_file()).max();
    newest.context(INSTALL)
}

/// Its package makes a user for it, whom root needs.
fn user() -> Result<Option<User>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.context(INSTALL)?.split(':').skip(2);
    match (fields.next(), fields.next()) {
        (Some(id), Some(group)) => Ok(Some(User {
            id: id.parse()?,
            group: group.parse()?,
        })),
        _ => bail!("`/etc/passwd` cannot be read"),
    }
}

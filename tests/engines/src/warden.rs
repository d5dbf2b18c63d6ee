//! Processes that end with this one.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Who runs an engine: some refuse to be run by root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) group: u32,
}

/// Stands between this process and an engine: when this process is gone, also by `kill -9`, its input ends, so it stops the
/// engine and takes the directory away.
const SCRIPT: &str = r#"trap '' INT TERM
directory=$1 signal=$2
shift 2
"$@" &
engine=$!
while read -r line; do :; done
kill -"$signal" "$engine"
wait "$engine"
rm -rf "$directory""#;

/// Runs an engine that is stopped by `signal`, and `directory` with it.
pub(crate) fn run(engine: &[&str], directory: &Path, signal: &str, user: Option<User>) -> Child {
    let log = std::fs::File::create(directory.join("log")).expect("a log");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(SCRIPT)
        .arg("sh")
        .arg(directory)
        .arg(signal)
        .args(engine)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .process_group(0);
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
    command.spawn().expect("sh")
}

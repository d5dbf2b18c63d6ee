//! Finding, running and stopping the executable.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

/// `target/<profile>/scopegate`, beside the directory that this test runs from. It is a member of another package, so
/// cargo names it nowhere; a missing or outdated one fails here rather than testing yesterday's code.
pub(crate) fn scopegate() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            let test = std::env::current_exe().expect("a test has a path");
            let profile = test
                .parent()
                .and_then(Path::parent)
                .expect("target/<profile>/deps");
            let binary = profile.join("scopegate");
            if let Some(why) = outdated(&binary) {
                panic!(
                    "`{}` {why}: run `cargo build -p scopegate`, or `cargo test` as a whole",
                    binary.display()
                );
            }
            binary
        })
        .clone()
}

/// Compares the executable with what it was made from: cargo leaves the list beside it.
fn outdated(binary: &Path) -> Option<String> {
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let Some(built) = modified(binary) else {
        return Some("is not there".to_owned());
    };
    let sources = fs::read_to_string(binary.with_extension("d")).ok()?;
    // `target: source source`, with spaces in names escaped.
    let sources = sources
        .split_once(": ")
        .map_or("", |(_, sources)| sources)
        .replace("\\ ", "\u{0}");
    let mut sources = sources
        .split_whitespace()
        .map(|source| PathBuf::from(source.replace('\u{0}', " ")));
    sources
        .find(|source| source.is_file() && modified(source) > Some(built))
        .map(|source| format!("is older than `{}`", source.display()))
}

/// The repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
        .to_owned()
}

/// Runs the executable to its end in a directory.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(scopegate())
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

/// Runs the executable to its end with variables of the environment, and this text as its standard input.
pub(crate) fn run_with(
    directory: &Path,
    variables: &[(&str, &str)],
    input: &str,
    arguments: &[&str],
) -> Output {
    use std::io::Write;
    let mut child = Command::new(scopegate())
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    // Who does not read its standard input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// Runs it and gives its standard output; a failure fails the test with what it said.
pub(crate) fn run_ok(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(
        output.status.success(),
        "scopegate {arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a script as a user would paste it.
pub(crate) fn shell(script: &str) -> Output {
    Command::new("bash")
        .args(["-c", script])
        .stdin(Stdio::null())
        .output()
        .expect("bash starts")
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Starts the executable; its standard error goes to the test's.
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::start_with_temporary(directory, &std::env::temp_dir(), arguments)
    }

    /// Starts it with its standard error in its standard output.
    pub(crate) fn start_merged(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("bash");
        command
            .args(["-c", r#"exec "$0" "$@" 2>&1"#])
            .arg(scopegate())
            .args(arguments)
            .current_dir(directory);
        Self::spawn(command)
    }

    /// Starts it with a directory of its own for temporary files.
    pub(crate) fn start_with_temporary(
        directory: &Path,
        temporary: &Path,
        arguments: &[&str],
    ) -> Self {
        let mut command = Command::new(scopegate());
        command
            .args(arguments)
            .current_dir(directory)
            .env("TMPDIR", temporary);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout }
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout
            .read_line(&mut line)
            .expect("standard output is text");
        assert!(!line.is_empty(), "it ended before it was ready");
        line
    }

    /// Lines up to and without the first that contains `mark`.
    pub(crate) fn lines_until(&mut self, mark: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.line();
            if line.contains(mark) {
                return all;
            }
            all.push_str(&line);
        }
    }

    /// Ctrl-C: it must end by itself, successfully, and gives what it still printed.
    pub(crate) fn interrupt(mut self) -> String {
        let interrupted = Command::new("bash")
            .args(["-c", &format!("kill -INT {}", self.child.id())])
            .status();
        assert!(interrupted.expect("bash starts").success());
        let mut rest = String::new();
        self.stdout
            .read_to_string(&mut rest)
            .expect("standard output is text");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {rest}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

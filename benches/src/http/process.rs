//! A process of the comparison: this program again, in another role and on a core of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::Ready;

/// A running role; it ends with this value.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// A key that its gate admits, if it has one.
    pub key: Option<String>,
}

impl Process {
    /// Starts this program with these arguments, pinned to a core, and waits until it is up.
    ///
    /// # Errors
    /// When it cannot be started or ends before it is up.
    pub fn start(core: &str, arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new("taskset")
            .args(["-c", core])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a process of the HTTP comparison")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.as_mut() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let ready: Result<Ready, _> = serde_json::from_str(&line);
        match ready {
            Ok(ready) => Ok(Self {
                child,
                address: ready.address,
                key: ready.key,
            }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                anyhow::bail!(
                    "the role `{}` of the HTTP comparison did not come up",
                    arguments.join(" ")
                )
            }
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clock ticks of `/proc/<pid>/stat` in a second; Linux has never shown another number to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time that a process has used, user and system together.
///
/// # Errors
/// When the process is gone or `/proc` is not there.
pub fn processor_time(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    // The second field is the program's name in parentheses and may hold anything; `utime` and `stime` are the
    // 14th and 15th, so the 12th and 13th after it (proc_pid_stat(5)).
    let fields = text
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace())
        .context("not a stat line")?;
    let ticks: Vec<f64> = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok(Duration::from_secs_f64(
        ticks.iter().sum::<f64>() / TICKS_PER_SECOND,
    ))
}

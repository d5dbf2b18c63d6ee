//! Having a process of its own compile a component, and ending it when it takes too much.

use std::{
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{ChildBounds, ChildProgram, child::REFUSED};
use crate::engine::{BadPolicy, limits::Limits};

/// Threads that compile one component. Each takes address space, which is limited.
const THREADS_MAX: usize = 4;
/// How often the process is looked at between the end of what it wrote and its own.
const LOOKED_AT: Duration = Duration::from_millis(1);
/// Characters of a reason that are believed to be one.
const REASON_CHARS_MAX: usize = 300;

/// What it may take on a machine that is busy or gives it only part of a processor, as a multiple of its processor time.
const PATIENCE: u32 = 4;

/// The code of a component.
pub(super) fn compile(
    program: &ChildProgram,
    limits: &Limits,
    component: &[u8],
) -> Result<Vec<u8>, BadPolicy> {
    let patience = Duration::from_secs((limits.compile_secs * PATIENCE).into());
    let deadline = Instant::now() + patience;
    let unavailable = |error: io::Error| BadPolicy::Compiler(error.to_string());
    let mut running = Running(command(program, limits).spawn().map_err(unavailable)?);
    let said = running
        .converse(component, limits.code_bytes_max)
        .map_err(unavailable)?;
    let left = || deadline.saturating_duration_since(Instant::now());
    let too_long = || {
        let seconds = limits.compile_secs;
        BadPolicy::Costly(format!("compiling it takes longer than {seconds} s"))
    };
    let said = match said.recv_timeout(left()) {
        Ok(said) => said.map_err(unavailable)?,
        Err(_) => return Err(too_long()),
    };
    if said.len() > limits.code_bytes_max {
        return Err(BadPolicy::Costly(format!(
            "its compiled code has more than {} bytes",
            limits.code_bytes_max
        )));
    }
    let status = running.end(left).map_err(unavailable)?;
    let status = status.ok_or_else(too_long)?;
    match status.code() {
        Some(0) => Ok(said),
        Some(code) if code == i32::from(REFUSED) => {
            let why = String::from_utf8_lossy(&said);
            Err(BadPolicy::Invalid(
                why.chars().take(REASON_CHARS_MAX).collect(),
            ))
        }
        None if status.signal() == Some(Signal::XCPU.as_raw()) => Err(too_long()),
        // What asks for more memory than it may have is ended by a signal.
        _ => Err(BadPolicy::Costly(format!(
            "compiling it failed ({status}), with {} MiB of memory",
            limits.compile_bytes_max >> 20
        ))),
    }
}

/// Without an environment, in a group of its own, and with three descriptors: every other one of this program is closed
/// when another program starts.
fn command(program: &ChildProgram, limits: &Limits) -> Command {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .args(ChildBounds::of(limits).arguments())
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.min(THREADS_MAX).to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

/// A process that is killed, with its group, when nobody waits for it any more.
struct Running(Child);

impl Running {
    /// Gives it the component, and what it writes until it ends, or one byte more than that may be.
    fn converse(
        &mut self,
        component: &[u8],
        bytes_max: usize,
    ) -> io::Result<mpsc::Receiver<io::Result<Vec<u8>>>> {
        if let Some(mut stdin) = self.0.stdin.take() {
            let component = component.to_vec();
            // One that does not read to the end says why.
            let write = move || drop(stdin.write_all(&component));
            thread::Builder::new().spawn(write)?;
        }
        let (done, said) = mpsc::sync_channel(1);
        if let Some(stdout) = self.0.stdout.take() {
            let read = move || {
                let mut bytes = Vec::new();
                let at_most = bytes_max as u64 + 1;
                let read = stdout.take(at_most).read_to_end(&mut bytes);
                // Nobody waits any more: it took too long.
                let _ = done.send(read.map(|_| bytes));
            };
            thread::Builder::new().spawn(read)?;
        }
        Ok(said)
    }

    /// How it ended by itself; `None`, if it does not while time is left.
    fn end(&mut self, left: impl Fn() -> Duration) -> io::Result<Option<ExitStatus>> {
        loop {
            match self.0.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if left().is_zero() => return Ok(None),
                None => thread::sleep(LOOKED_AT),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only one that was not waited for still has its number for sure.
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

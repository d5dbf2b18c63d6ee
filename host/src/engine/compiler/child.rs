//! The process that compiles one component and ends. Before it reads a byte of it, it takes from itself what it does not
//! need.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine::limits::{Limits, fault_text};

/// What follows on standard output when the exit code is 1: why the component cannot be compiled.
pub(super) const REFUSED: u8 = 1;
/// The exit code when the process could not do its work.
const FAILED: u8 = 3;

/// What a process that compiles is held to: three numbers, its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildBounds {
    /// Processor time of all its threads, in seconds.
    pub secs_max: u32,
    /// Address space, in bytes.
    pub memory_bytes_max: u64,
    /// The largest component, in bytes.
    pub component_bytes_max: u64,
}

impl ChildBounds {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            secs_max: limits.compile_secs,
            memory_bytes_max: limits.compile_bytes_max,
            component_bytes_max: limits.component_bytes_max as u64,
        }
    }

    /// As arguments, in their order.
    pub(super) fn arguments(self) -> [String; 3] {
        let Self {
            secs_max,
            memory_bytes_max,
            component_bytes_max,
        } = self;
        [secs_max.into(), memory_bytes_max, component_bytes_max]
            .map(|number: u64| number.to_string())
    }
}

/// Compiles the component on `input` to `output`, in a process that does nothing else and ends with this code.
pub fn compile_as_child(
    bounds: ChildBounds,
    input: impl Read,
    output: &mut impl Write,
) -> ExitCode {
    let compiled = confine(bounds).and_then(|()| compiled(bounds, input));
    let (bytes, code) = match compiled {
        Ok(Ok(code)) => (code, 0),
        Ok(Err(why)) => (why.into_bytes(), REFUSED),
        Err(_) => return ExitCode::from(FAILED),
    };
    match output.write_all(&bytes).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(FAILED),
    }
}

/// The code, or why there is none.
fn compiled(bounds: ChildBounds, input: impl Read) -> io::Result<Result<Vec<u8>, String>> {
    let mut component = Vec::new();
    input
        .take(bounds.component_bytes_max)
        .read_to_end(&mut component)?;
    let engine = Limits::compiling_engine().map_err(io::Error::other)?;
    let code = engine.precompile_component(&component);
    Ok(code.map_err(|error| fault_text(&error)))
}

fn confine(bounds: ChildBounds) -> io::Result<()> {
    let at_most = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    // The first limit ends it with a signal that says why, the second one ends it for sure.
    let seconds = u64::from(bounds.secs_max);
    let time = Rlimit {
        current: Some(seconds),
        maximum: Some(seconds + 1),
    };
    setrlimit(Resource::Cpu, time)?;
    setrlimit(Resource::As, at_most(bounds.memory_bytes_max))?;
    setrlimit(Resource::Fsize, at_most(0))?;
    setrlimit(Resource::Core, at_most(0))?;
    // A gate that is killed takes it along: it waits on the thread that started this process.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

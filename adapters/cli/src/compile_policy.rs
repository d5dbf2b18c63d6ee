//! `scopegate compile-policy`: what a server starts of itself to compile a policy, so that it can be killed. It is for
//! nobody else, so it stands in no help and no completion.

use std::{ffi::OsString, io, process::ExitCode};

use scopegate_host::engine::{ChildBounds, ChildProgram, Compiler, compile_as_child};

/// The subcommand.
const WORD: &str = "compile-policy";

/// Compiling by another process of this executable.
pub(crate) fn compiler() -> io::Result<Compiler> {
    ChildProgram::this(&[WORD]).map(Compiler::Child)
}

/// Compiles the component on standard input to standard output, if these arguments of the process say so.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
    let bounds = ChildBounds {
        secs_max: number()?.try_into().ok()?,
        memory_bytes_max: number()?,
        component_bytes_max: number()?,
    };
    let output = &mut io::stdout().lock();
    Some(compile_as_child(bounds, io::stdin().lock(), output))
}

//! How a command fails: what is wrong, what to do about it, and the exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed: the message says why |
//! | 2 | the command line is wrong |

use std::{fmt, process::ExitCode};

use crate::output::note;

/// A failure with advice.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    help: Option<String>,
    code: u8,
}

impl Failure {
    /// The command was right and did not work out.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 1,
        }
    }

    /// The command line is wrong in a way that only shows once the configuration or the store is read.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 2,
        }
    }

    /// Adds what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Says on standard error what went wrong, and with which code to end. Reports of several problems (a policy, a
/// configuration) bring their own layout and are printed as they are.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>());
    let mut text = format!("{error:#}");
    if !text.starts_with("error") {
        text.insert_str(0, "error: ");
    }
    note(&text);
    if let Some(help) = failure.and_then(|failure| failure.help.as_ref()) {
        note(&format!("help: {help}"));
    }
    ExitCode::from(failure.map_or(1, |failure| failure.code))
}

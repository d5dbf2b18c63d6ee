//! `scopegate completions`: what a shell needs to complete this command line.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::output;

const EXAMPLES: &str = "\
Examples:
  scopegate completions bash > /etc/bash_completion.d/scopegate
  scopegate completions zsh  > ~/.zfunc/_scopegate
  scopegate completions fish > ~/.config/fish/completions/scopegate.fish";

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(completions: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        completions.shell,
        &mut crate::command(),
        "scopegate",
        &mut script,
    );
    output::line(&String::from_utf8_lossy(&script))
}

//! How much a policy gets, where a command loads one.

use clap::ValueEnum;
use scopegate_host::engine::Limits;

/// As `policy_limits` in `scopegate.yaml`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum LimitsProfile {
    /// For documents, and policies in Rust or C
    #[default]
    Default,
    /// For policies that bring a language's whole engine
    Large,
}

impl LimitsProfile {
    pub(super) fn limits(self) -> Limits {
        match self {
            Self::Default => Limits::default(),
            Self::Large => Limits::large(),
        }
    }
}

//! Which policy decides: what of it is kept, and how its record reads.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::store::PolicySource;

/// A change of the policy that decides, or of the one in its shadow.
#[derive(Debug)]
pub enum PolicyChange {
    /// Makes one the active one.
    Activate(PolicyActivation),
    /// Has one decide in the shadow of the active one. Only the record is kept.
    Shadow {
        /// Its digest.
        digest: String,
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Ends the one in the shadow. Only the record is kept.
    DropShadow {
        /// Its digest.
        digest: String,
    },
}

/// A policy that becomes the active one.
#[derive(Debug)]
pub struct PolicyActivation {
    /// `sha256:` and the hash of its component in hex.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// It, whole; `None`, when the store has it from before.
    pub component: Option<Bytes>,
    /// What made it the active one.
    pub source: PolicySource,
    /// What the configuration names now: a text that differs when it names something else.
    pub configured: String,
    /// The digest of the policy that it replaces, for the record.
    pub replaces: Option<String>,
    /// How many policies are kept, the active one among them.
    pub kept_max: u32,
}

impl PolicyChange {
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Activate(_) => "policy.activate",
            Self::Shadow { .. } => "policy.shadow",
            Self::DropShadow { .. } => "policy.drop-shadow",
        }
    }

    pub(super) fn digest(&self) -> &str {
        match self {
            Self::Activate(PolicyActivation { digest, .. })
            | Self::Shadow { digest, .. }
            | Self::DropShadow { digest } => digest,
        }
    }

    pub(super) fn detail(&self) -> Value {
        match self {
            Self::Activate(activation) => json!({
                "name": activation.name,
                "version": activation.version,
                "source": activation.source,
                "replaces": activation.replaces,
            }),
            Self::Shadow { name, version, .. } => json!({ "name": name, "version": version }),
            Self::DropShadow { .. } => json!({}),
        }
    }
}

//! Which policy decides: what of it is kept, and how its record reads.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::store::PolicySource;

/// A change of the policy that decides, or of the one in its shadow.
#[derive(Debug)]
pub enum PolicyChange {
    /// Makes one the active one.
    Activate(PolicyActivation),
    /// Has one decide in the shadow of the active one, in place of the one that does so now.
    Shadow(PolicyShadow),
    /// Ends the one in the shadow.
    DropShadow {
        /// Its digest.
        digest: String,
    },
    /// Changes nothing: that a candidate was refused is on record.
    Refuse(PolicyRefusal),
}

/// A candidate that was refused for what it is.
#[derive(Debug)]
pub struct PolicyRefusal {
    /// `sha256:` and the hash of what came, in hex.
    pub digest: String,
    /// What it would have been: a word for the record.
    pub wanted: &'static str,
    /// The first line of what is wrong with it.
    pub why: String,
}

/// A policy that decides without effect, to be compared with the active one.
#[derive(Debug)]
pub struct PolicyShadow {
    /// `sha256:` and the hash of its component in hex.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// It, whole.
    pub component: Bytes,
    /// The digest of the one in the shadow that it replaces, for the record.
    pub replaces: Option<String>,
}

/// A policy that becomes the active one. One that is promoted leaves the shadow in the same step.
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
    /// Only if this is the active one as yet, or none is.
    pub after: Option<Option<String>>,
    /// How many policies are kept, the active one among them.
    pub kept_max: u32,
}

impl PolicyChange {
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Activate(_) => "policy.activate",
            Self::Shadow(_) => "policy.shadow",
            Self::DropShadow { .. } => "policy.drop-shadow",
            Self::Refuse(_) => "policy.refuse",
        }
    }

    pub(super) fn digest(&self) -> &str {
        match self {
            Self::Activate(PolicyActivation { digest, .. })
            | Self::Shadow(PolicyShadow { digest, .. })
            | Self::DropShadow { digest }
            | Self::Refuse(PolicyRefusal { digest, .. }) => digest,
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
            Self::Shadow(shadow) => json!({
                "name": shadow.name,
                "version": shadow.version,
                "replaces": shadow.replaces,
            }),
            Self::DropShadow { .. } => json!({}),
            Self::Refuse(refusal) => json!({ "wanted": refusal.wanted, "why": refusal.why }),
        }
    }
}

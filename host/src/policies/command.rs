//! What can be asked of a gate's policies, as the command line says it on the machine itself.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Policies, ShadowStatus};
use crate::{
    admin::AdminError,
    store::{Node, Origin, PolicyVersion},
};

/// A command about policies. Only a gate that serves executes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PolicyCommand {
    /// Checks a component and makes it the active policy.
    Push {
        /// It.
        component: Component,
    },
    /// Goes back to a policy that is kept.
    Rollback {
        /// Its digest or the start of it; the one that was active before when left out.
        #[serde(default)]
        to: Option<String>,
    },
    /// Lists the policies that are kept.
    Versions,
    /// Lists the gates that serve from the same store.
    Nodes,
    /// Checks a component and has it decide in the shadow of the active policy.
    PushShadow {
        /// It.
        component: Component,
    },
    /// Shows the policy in the shadow, and what it answers otherwise.
    Shadow,
    /// Makes the policy in the shadow the active one.
    Promote {
        /// Only if it is this one, by its digest or the start of it.
        #[serde(default)]
        digest: Option<String>,
    },
    /// Ends the policy in the shadow.
    DropShadow {
        /// Only if it is this one, by its digest or the start of it.
        #[serde(default)]
        digest: Option<String>,
    },
}

/// What a command about policies answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum PolicyReply {
    /// The policy that is active now.
    Active {
        /// It.
        version: PolicyVersion,
        /// Whether it was not so before.
        changed: bool,
    },
    /// Those that are kept.
    Versions {
        /// The active one first.
        versions: Vec<PolicyVersion>,
    },
    /// The gates that serve from the same store.
    Nodes {
        /// The digest of the active policy.
        active: Option<String>,
        /// By name.
        nodes: Vec<Node>,
    },
    /// The policy in the shadow.
    Shadow {
        /// It, and what was counted.
        shadow: Box<ShadowStatus>,
    },
    /// There is no policy in the shadow any more.
    Dropped,
}

/// A component, in base64 on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Component(pub Bytes);

impl Policies {
    /// Executes a command. What it changed is in force for every request that begins later, and on disk, when this returns.
    ///
    /// # Errors
    /// Why it was not executed, and what to do.
    pub async fn execute(
        &self,
        command: PolicyCommand,
        origin: Origin,
        now_ms: i64,
    ) -> Result<PolicyReply, AdminError> {
        let shadow = |shadow| PolicyReply::Shadow {
            shadow: Box::new(shadow),
        };
        let active = |(version, changed)| PolicyReply::Active { version, changed };
        match command {
            PolicyCommand::Push { component } => {
                Ok(active(self.push(component.0, origin, now_ms).await?))
            }
            PolicyCommand::Rollback { to } => Ok(active(self.roll_back(to, origin, now_ms).await?)),
            PolicyCommand::Versions => Ok(PolicyReply::Versions {
                versions: self.versions().await?,
            }),
            PolicyCommand::Nodes => {
                let active = self.versions().await?.into_iter().next();
                Ok(PolicyReply::Nodes {
                    active: active.map(|active| active.digest),
                    nodes: self.nodes().await?,
                })
            }
            PolicyCommand::PushShadow { component } => {
                let pushed = self.push_shadow(component.0, origin, now_ms).await?;
                Ok(shadow(pushed))
            }
            PolicyCommand::Shadow => Ok(shadow(self.shadow()?)),
            PolicyCommand::Promote { digest } => {
                Ok(active(self.promote(digest, origin, now_ms).await?))
            }
            PolicyCommand::DropShadow { digest } => {
                self.drop_shadow(digest, origin, now_ms).await?;
                Ok(PolicyReply::Dropped)
            }
        }
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Component({} bytes)", self.0.len())
    }
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text);
        Ok(Self(bytes.map_err(serde::de::Error::custom)?.into()))
    }
}

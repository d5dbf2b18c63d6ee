//! Policies over the API, for operators.

use anyhow::Result;
use jiff::Timestamp;
use scopegate_host::{
    policies::{PolicyCommand, PolicyReply, ShadowStatus},
    store::{Node, PolicySource, PolicyVersion},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{Remote, http::Call};

const POLICIES: &str = "policies";
const SHADOW: [&str; 2] = [POLICIES, "shadow"];

/// A policy as the API shows it.
#[derive(Debug, Deserialize)]
struct VersionView {
    digest: String,
    name: String,
    version: String,
    bytes: i64,
    added_at: Timestamp,
    activated_at: Timestamp,
    activated_by: String,
    source: PolicySource,
    /// Only of an activation.
    #[serde(default)]
    changed: bool,
}

impl From<VersionView> for PolicyVersion {
    fn from(view: VersionView) -> Self {
        Self {
            digest: view.digest,
            name: view.name,
            version: view.version,
            bytes: view.bytes,
            added_at: view.added_at.as_second(),
            activated_at: view.activated_at.as_second(),
            activated_by: view.activated_by,
            source: view.source,
            // Which the API does not tell: it is the machine's.
            configured: String::new(),
        }
    }
}

/// The gates as the API shows them.
#[derive(Debug, Deserialize)]
struct NodesView {
    active: Option<String>,
    items: Vec<NodeView>,
}

#[derive(Debug, Deserialize)]
struct NodeView {
    id: Uuid,
    name: String,
    version: String,
    started_at: Timestamp,
    seen_at: Timestamp,
    here: bool,
    policy: String,
    since: Timestamp,
    problem: Option<String>,
}

impl From<NodeView> for Node {
    fn from(view: NodeView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            version: view.version,
            started_at: view.started_at,
            seen_at: view.seen_at,
            is_here: view.here,
            digest: view.policy,
            since: view.since,
            problem: view.problem,
        }
    }
}

impl Remote {
    pub(super) async fn policy(&self, command: PolicyCommand) -> Result<PolicyReply> {
        match command {
            PolicyCommand::Push { component } => {
                let pushed = self.gate.post(&[POLICIES], None);
                let pushed = pushed.component(component.0.into());
                Ok(active(pushed.json().await?))
            }
            PolicyCommand::Rollback { to } => {
                // Which one that is, the gate knows: one that has failed is passed over.
                let digest = to.as_deref().unwrap_or("previous");
                let path = [POLICIES, digest, "activate"];
                Ok(active(self.gate.post(&path, None).json().await?))
            }
            PolicyCommand::Versions => Ok(PolicyReply::Versions {
                versions: self.policy_versions().await?,
            }),
            PolicyCommand::Nodes => {
                let nodes: NodesView = self.gate.get(&[POLICIES, "nodes"]).json().await?;
                Ok(PolicyReply::Nodes {
                    active: nodes.active,
                    nodes: nodes.items.into_iter().map(Into::into).collect(),
                })
            }
            PolicyCommand::PushShadow { component } => {
                let pushed = self.gate.post(&SHADOW, None);
                let pushed = pushed.component(component.0.into());
                Ok(shadow(pushed.json().await?))
            }
            PolicyCommand::Shadow => Ok(shadow(self.gate.get(&SHADOW).json().await?)),
            PolicyCommand::Promote { digest } => {
                let promoted = self.gate.post(&[POLICIES, "shadow", "promote"], None);
                Ok(active(meant(promoted, digest).json().await?))
            }
            PolicyCommand::DropShadow { digest } => {
                meant(self.gate.delete(&SHADOW), digest).send().await?;
                Ok(PolicyReply::Dropped)
            }
        }
    }

    async fn policy_versions(&self) -> Result<Vec<PolicyVersion>> {
        #[derive(Deserialize)]
        struct Versions {
            items: Vec<VersionView>,
        }
        let versions: Versions = self.gate.get(&[POLICIES]).json().await?;
        Ok(versions.items.into_iter().map(Into::into).collect())
    }
}

/// Says which policy is meant.
fn meant(call: Call<'_>, digest: Option<String>) -> Call<'_> {
    match digest {
        Some(digest) => call.query("digest", &digest),
        None => call,
    }
}

fn shadow(status: ShadowStatus) -> PolicyReply {
    PolicyReply::Shadow {
        shadow: Box::new(status),
    }
}

fn active(view: VersionView) -> PolicyReply {
    PolicyReply::Active {
        changed: view.changed,
        version: view.into(),
    }
}

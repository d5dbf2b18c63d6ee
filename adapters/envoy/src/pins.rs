//! What a route of Envoy may say about the gate that is to answer for it, in its `context_extensions`: how that speaks and
//! what it decides by. A gate that does otherwise refuses, so that a route never gets the answers of another product.

use std::collections::HashMap;

use scopegate_host::{Contract, engine::Policy, policies::is_meant};

/// The pins of one question. Other keys are for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pins {
    contract: Option<String>,
    policy: Option<String>,
}

impl Pins {
    /// Takes them out of a question's extensions.
    pub(crate) fn of(extensions: &mut HashMap<String, String>) -> Self {
        Self {
            contract: extensions.remove("contract"),
            policy: extensions.remove("policy"),
        }
    }

    /// What the gate does otherwise than pinned, for the log. An empty pin pins to nothing that there is.
    pub(crate) fn broken(&self, contract: &Contract, policy: &Policy) -> Option<String> {
        if let Some(pinned) = &self.contract
            && *pinned != contract.name
        {
            return Some(format!(
                "the route is pinned to the contract `{pinned}`, and this gate speaks `{}`",
                contract.name
            ));
        }
        let pinned = self.policy.as_ref()?;
        let (name, digest) = (&policy.description().name, policy.digest());
        let is_it = (pinned == name && !name.is_empty()) || is_meant(digest, pinned);
        (!is_it).then(|| {
            format!("the route is pinned to the policy `{pinned}`, and this gate decides by `{name}` ({digest})")
        })
    }
}

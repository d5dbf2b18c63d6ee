//! A policy that a command asks, as a gate would: a document natively, a component in the sandbox.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Result;
use scopegate_host::engine::{CallerRef, PackedCaller, Policy, Sandbox, SandboxConfig, bound};
use scopegate_policy::{
    Decision, Description, Grant, Outcome, Reason, Restriction, Rule, Tables, decide, document,
    documents, generate::Case, packed::RequestRef,
};

use crate::failure::Failure;

/// A policy that can be asked.
pub(super) enum Asked {
    /// A document's tables.
    Document(Box<Tables>),
    /// A component, and what its decisions wait in.
    Component(Box<Policy>, tokio::runtime::Runtime),
}

impl Asked {
    /// From a file that has a document or a component, or from the name of a built-in policy. A file comes first.
    pub(super) fn load(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if let (false, Some(text)) = (path.exists(), documents::builtin(name)) {
            return Ok(Self::Document(Box::new(document::compile(name, text)?)));
        }
        let bytes = fs::read(path).map_err(|error| {
            let names: Vec<&str> = documents::names().collect();
            Failure::new(format!("`{name}` cannot be read: {error}"))
                .help(format!("the built-in policies are {}", names.join(", ")))
        })?;
        if bytes.starts_with(b"\0asm") {
            let policy = Sandbox::new(SandboxConfig::default())?.load(&bytes)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            return Ok(Self::Component(Box::new(policy), runtime));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::new(format!("`{name}` is not text in UTF-8")))?;
        Ok(Self::Document(Box::new(document::compile(name, &text)?)))
    }

    /// What it says of itself.
    pub(super) fn description(&self) -> &Description {
        match self {
            Self::Document(tables) => tables.description(),
            Self::Component(policy, _) => policy.description(),
        }
    }

    /// What a gate would answer, in an organization with these clusters. A policy that fails is a refusal.
    pub(super) fn decide(&self, case: &Case, registered: &BTreeSet<String>) -> Decision {
        let Case { caller, request } = case;
        let asked = RequestRef::from(request);
        let answer = match self {
            Self::Document(tables) => {
                let decision = decide(tables, caller, request);
                bound(decision, tables.description(), caller, &asked, registered).ok()
            }
            Self::Component(policy, runtime) => {
                let packed = PackedCaller::default();
                let caller = CallerRef {
                    caller,
                    packed: &packed,
                };
                runtime
                    .block_on(policy.decide_bounded(&caller, &asked, registered))
                    .ok()
            }
        };
        answer.unwrap_or_else(|| Decision {
            outcome: Outcome::Deny(Reason::Other("policy-fault".to_owned())),
            rule: Rule {
                route: None,
                grant: Grant::None,
                restriction: Restriction::None,
            },
        })
    }
}

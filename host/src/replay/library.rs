//! The policies that recorded requests are put to, by their digests.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use scopegate_policy::{
    Caller, Decision, Description, Request, Tables, decide, document, packed::RequestRef,
};
use sha2::{Digest, Sha256};

use crate::engine::{
    BadPolicy, CallerRef, DecideError, PackedCaller, Policy, Sandbox, document_of,
};

/// How questions are put to a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// To the component, in the sandbox: as the gate asked. This is what proves something.
    #[default]
    Component,
    /// To the document, by this program itself; to the component where there is none.
    Native,
}

/// Policies by their digests. Each is compiled when it is first needed.
pub struct Library {
    sandbox: Sandbox,
    shelves: BTreeMap<String, Shelf>,
}

struct Shelf {
    name: String,
    component: Vec<u8>,
    known: OnceLock<Result<Known, BadPolicy>>,
}

/// A policy that can be asked.
#[derive(Debug)]
pub struct Known {
    policy: Policy,
    /// Of what this program made of a document.
    tables: Option<Tables>,
}

impl Library {
    /// An empty one. A sandbox whose instances are pooled is faster.
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            shelves: BTreeMap::new(),
        }
    }

    /// Adds a component, unless it is there; `name` says where it comes from. Gives its digest.
    pub fn add(&mut self, name: &str, component: Vec<u8>) -> String {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&component)));
        self.shelves.entry(digest.clone()).or_insert_with(|| Shelf {
            name: name.to_owned(),
            component,
            known: OnceLock::new(),
        });
        digest
    }

    /// Whether it is there.
    pub fn has(&self, digest: &str) -> bool {
        self.shelves.contains_key(digest)
    }

    /// Where the policy of this digest comes from.
    pub fn name(&self, digest: &str) -> Option<&str> {
        self.shelves.get(digest).map(|shelf| shelf.name.as_str())
    }

    /// The bytes of this digest.
    pub fn component(&self, digest: &str) -> Option<&[u8]> {
        self.shelves.get(digest).map(|shelf| &*shelf.component)
    }

    /// The policy of this digest, if it is there.
    ///
    /// # Errors
    /// Why the sandbox does not take it.
    pub fn get(&self, digest: &str) -> Option<Result<&Known, &BadPolicy>> {
        let shelf = self.shelves.get(digest)?;
        let known = shelf.known.get_or_init(|| {
            let policy = self.sandbox.load(&shelf.component)?;
            let document = document_of(&shelf.component).filter(|_| policy.is_from_document());
            // It was compiled a moment ago, to be compared.
            let tables = document.and_then(|text| document::compile(&shelf.name, text).ok());
            Ok(Known { policy, tables })
        });
        Some(known.as_ref())
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.shelves.keys()).finish()
    }
}

impl Known {
    /// What it says of itself.
    pub fn description(&self) -> &Description {
        self.policy.description()
    }

    /// Whether it can be asked natively.
    pub fn is_document(&self) -> bool {
        self.tables.is_some()
    }

    /// The policy's own answer, which makes sense but is not bounded.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn decide(
        &self,
        way: Way,
        caller: &Caller,
        request: &Request,
    ) -> Result<Decision, DecideError> {
        if let (Way::Native, Some(tables)) = (way, &self.tables) {
            return Ok(decide(tables, caller, request));
        }
        let packed = PackedCaller::default();
        let caller = CallerRef {
            caller,
            packed: &packed,
        };
        self.policy
            .decide(&caller, &RequestRef::from(request))
            .await
    }
}

//! The policy that a command is about: a document, a component, or a built-in one by its name.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use scopegate_host::bundle;
use scopegate_host::engine::{
    CallerRef, Isolation, PackedCaller, Policy, Sandbox, SandboxConfig, bound, carried_document,
};
use scopegate_policy::{
    Caller, Clusters, Decision, Description, Request, decide,
    document::{Compiled, compile_with_places},
    documents,
    explain::Question,
    packed::RequestRef,
};
use tokio::runtime::Runtime;

use super::file::unreadable;
use crate::failure::Failure;

/// How the command line describes a policy.
pub(super) const POLICY_HELP: &str =
    "A document, a component, or the name of a built-in policy, such as `scopegate`";

/// A policy, ready to be asked.
pub(super) struct Subject {
    /// The file, or the built-in policy's name.
    pub(super) name: String,
    /// What it says of itself.
    pub(super) description: Arc<Description>,
    /// The document: the one that was named, or the one that a component was built from.
    pub(super) document: Option<Compiled>,
    /// The component's bytes, where a component was named.
    bytes: Option<Vec<u8>>,
    component: Option<(Policy, Runtime)>,
}

impl Subject {
    /// Reads the policy that `named` says: a file if there is one, else a built-in policy.
    pub(super) fn open(named: &Path) -> Result<Self> {
        let name = named.display().to_string();
        if !named.exists() {
            let Some(text) = documents::builtin(&name) else {
                return Err(absent(&name));
            };
            return Self::of_document(name, text);
        }
        let bytes = fs::read(named).map_err(|error| unreadable(named, &error))?;
        if bytes.starts_with(b"\0asm") {
            return Self::of_component(name, bytes);
        }
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| Failure::new(format!("`{name}` is not text in UTF-8")))?;
        Self::of_document(name, &text)
    }

    /// A document's text.
    pub(super) fn of_document(name: String, text: &str) -> Result<Self> {
        let document = compile_with_places(&name, text)?;
        Ok(Self {
            description: Arc::new(document.tables.description().clone()),
            name,
            document: Some(document),
            bytes: None,
            component: None,
        })
    }

    /// A component's bytes.
    pub(super) fn of_component(name: String, bytes: Vec<u8>) -> Result<Self> {
        let policy = load(&bytes, Isolation::Fresh)
            .map_err(|error| Failure::new(format!("`{name}`: {error:#}")))?;
        let document = match carried_document(&bytes) {
            // What a component carries proves nothing, unless it is what this program makes of it.
            Some(text) if policy.is_from_document() => Some(compile_with_places(
                &format!("{name} (its document)"),
                text,
            )?),
            _ => None,
        };
        Ok(Self {
            description: Arc::clone(policy.description()),
            name,
            document,
            bytes: Some(bytes),
            component: Some((policy, runtime()?)),
        })
    }

    /// The component: the one that was named, or the one that the document is compiled to.
    pub(super) fn component(&self) -> Result<Vec<u8>> {
        match (&self.bytes, &self.document) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(document)) => Ok(bundle::build(&self.name, document.source.text())?),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// What a gate would answer: to a question that does not say which clusters are registered, as if all were that
    /// it could be about.
    ///
    /// # Errors
    /// When the policy gives no answer that makes sense.
    pub(super) fn ask(&self, question: &Question) -> Result<Decision> {
        let Question {
            caller,
            request,
            registered,
        } = question;
        match registered {
            Some(registered) => self.decide(caller, request, registered),
            None => self.decide(caller, request, &every_cluster(question)),
        }
    }

    /// What a gate would answer, in an organization with these clusters: a component in the sandbox, whatever it was
    /// made of, and a document natively.
    ///
    /// # Errors
    /// When the policy gives no answer that makes sense. A gate refuses then.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        request: &Request,
        registered: &BTreeSet<String>,
    ) -> Result<Decision> {
        let asked = RequestRef::from(request);
        let failed = |why: String| Failure::new(format!("the policy failed: {why}")).into();
        match (&self.component, &self.document) {
            (Some((policy, runtime)), _) => {
                let packed = PackedCaller::default();
                let caller = CallerRef {
                    caller,
                    packed: &packed,
                };
                let decision = policy.decide_bounded(&caller, &asked, registered);
                let decision = runtime.block_on(decision);
                decision.map_err(|error| failed(error.to_string()))
            }
            (None, Some(document)) => {
                let decision = decide(&document.tables, caller, request);
                bound(decision, &self.description, caller, &asked, registered).map_err(failed)
            }
            (None, None) => Err(failed("there is none".to_owned())),
        }
    }
}

/// Loads a component into a sandbox of its own.
pub(super) fn load(bytes: &[u8], isolation: Isolation) -> Result<Policy> {
    let sandbox = Sandbox::new(SandboxConfig {
        isolation,
        ..SandboxConfig::default()
    })?;
    Ok(sandbox.load(bytes)?)
}

/// What the sandbox waits with when every place is taken.
pub(super) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime does not start")
}

fn absent(name: &str) -> anyhow::Error {
    let builtin: Vec<&str> = documents::names().collect();
    Failure::new(format!(
        "there is no file `{name}`, and no built-in policy of that name"
    ))
    .help(format!("built in are {}", builtin.join(", ")))
    .into()
}

/// Where nobody says which clusters are registered, all are that a question could be about.
fn every_cluster(question: &Question) -> BTreeSet<String> {
    let (caller, request) = (&question.caller, &question.request);
    let lists = [&caller.clusters, &caller.allowed_clusters];
    let listed = lists.into_iter().flat_map(|clusters| match clusters {
        Clusters::Only(ids) => ids.as_slice(),
        Clusters::All => &[],
    });
    let fields = request.query.iter().chain(&request.headers);
    listed
        .chain(&caller.agent_cluster)
        .chain(fields.map(|(_, value)| value))
        .map(String::as_str)
        .chain(request.path.split('/'))
        .map(str::to_owned)
        .collect()
}

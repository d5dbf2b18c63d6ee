//! Puts a case to an implementation of the gate and says what came of it.

use std::collections::BTreeSet;

use scopegate_host::engine::{
    CallerRef, Isolation, Limits, PackedCaller, Policy, Sandbox, SandboxConfig, Worlds, bound,
    build_document,
};
use scopegate_host::path;
use scopegate_policy::packed::RequestRef;
use scopegate_policy::{
    Caller, Clusters, Decision, Outcome as Decided, Request, Vocabulary, decide,
};

use super::case::{Asked, Case, Outcome};
use super::file::File;

/// When every case happens, in seconds since the epoch.
pub const NOW: i64 = 1_767_225_600;

/// The kinds of implementation that the corpus is put to. Each gives the same outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The policy crate, called directly.
    Native,
    /// The compiled document, a fresh instance for every case, the question packed.
    Fresh,
    /// The compiled document, its instances kept.
    Pooled,
    /// The compiled document through the typed world that hand-written policies speak.
    Typed,
}

/// An implementation, ready for the cases of one file.
pub enum Implementation {
    /// The file's own tables.
    Native,
    /// The file's document as a component.
    Component(Box<Policy>),
}

/// Makes implementations of one kind; what they share is set up once.
pub enum Maker {
    Native,
    Component(Box<Sandbox>),
}

impl Maker {
    /// For a kind.
    pub fn new(kind: Kind) -> Self {
        let (isolation, worlds) = match kind {
            Kind::Native => return Self::Native,
            Kind::Fresh => (Isolation::Fresh, Worlds::All),
            Kind::Pooled => (Isolation::Pooled { calls_max: 100 }, Worlds::All),
            Kind::Typed => (Isolation::Fresh, Worlds::PolicyOnly),
        };
        let config = SandboxConfig {
            limits: Limits::default(),
            isolation,
            worlds,
        };
        Self::Component(Box::new(Sandbox::new(config).expect("a sandbox")))
    }

    /// For a file.
    pub fn implementation(&self, file: &File) -> Implementation {
        match self {
            Self::Native => Implementation::Native,
            Self::Component(sandbox) => {
                let document = &file.document;
                let component = build_document(&document.name, &document.text)
                    .expect("a document that compiles");
                let policy = sandbox.load(&component).expect("a policy");
                Implementation::Component(Box::new(policy))
            }
        }
    }
}

/// What came of a case, and the route that decided it.
pub struct Answer {
    pub outcome: Outcome,
    pub route: Option<u32>,
}

impl Implementation {
    /// Puts a case to it.
    pub async fn answer(&self, file: &File, case: &Case) -> Answer {
        let tables = &file.document.tables;
        let caller = file.callers[&case.caller].facts(&case.caller, &file.contract.authority);
        let request = request(tables.vocabulary(), &case.request);
        let decision = match self {
            Self::Native => {
                let decision = decide(tables, &caller, &request);
                let request = RequestRef::from(&request);
                bound(
                    decision,
                    tables.description(),
                    &caller,
                    &request,
                    &file.clusters,
                )
                .expect("an answer that makes sense")
            }
            Self::Component(policy) => ask(policy, &caller, &request, &file.clusters).await,
        };
        let outcome = outcome(decision.outcome, &file.clusters);
        if let Outcome::Allow(visible) = &outcome {
            assert!(
                visible.is_disjoint(&file.retired),
                "{case}: a removed cluster is visible"
            );
        }
        Answer {
            route: decision.rule.route,
            outcome,
        }
    }
}

async fn ask(
    policy: &Policy,
    caller: &Caller,
    request: &Request,
    registered: &BTreeSet<String>,
) -> Decision {
    let packed = PackedCaller::default();
    let caller = CallerRef {
        caller,
        packed: &packed,
    };
    let decision = policy
        .decide_bounded(&caller, &RequestRef::from(request), registered)
        .await;
    decision.expect("a decision")
}

/// The question as the gate puts it to the policy.
fn request(vocabulary: &Vocabulary, asked: &Asked) -> Request {
    let headers = asked
        .headers
        .iter()
        .filter(|(name, _)| vocabulary.header_names().contains(name));
    let path = path::normalise(&asked.path).expect("a readable path");
    let query = path::declared_parameters(&asked.query, vocabulary.query_names());
    Request {
        method: if asked.method == "HEAD" {
            "GET".to_owned()
        } else {
            asked.method.clone()
        },
        path: path.into_owned(),
        query: query.expect("a readable query"),
        headers: headers.cloned().collect(),
        now: asked.at.unwrap_or(NOW),
        address: asked.address,
    }
}

/// The outcome as cases state it: every cluster by name.
fn outcome(decided: Decided, registered: &BTreeSet<String>) -> Outcome {
    match decided {
        Decided::Allow(Clusters::All) => Outcome::Allow(registered.clone()),
        Decided::Allow(Clusters::Only(ids)) => Outcome::Allow(ids.into_iter().collect()),
        Decided::Deny(reason) => Outcome::Deny {
            reason: reason.code().to_owned(),
            about: reason.subject().map(str::to_owned),
        },
    }
}

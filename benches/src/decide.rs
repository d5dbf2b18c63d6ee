//! Our own deciders: the rules as native code, and the component behind them in fresh and in kept instances.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
};

use anyhow::{Result, anyhow};
use scopegate_host::engine::{
    CallerRef, Isolation, PackedCaller, Policy, Sandbox, SandboxConfig, Worlds, build_document,
};
use scopegate_policy::{
    Caller, Decision, Outcome, Request, Tables, Vocabulary, document,
    packed::{self, Answer, RequestRef},
};

use crate::{
    measure::Subject,
    questions::{Question, document as bench_document},
    typed,
};

/// The rows of the table that have targets.
pub const FRESH: &str = "component, fresh instance";
/// As [`FRESH`].
pub const POOLED: &str = "component, pooled instance";
/// As [`FRESH`].
pub const TYPED_POOLED: &str = "typed policy by hand, pooled instance";

/// Ten thousand calls, so that replacing an instance is part of what is measured.
pub(crate) const KEPT: Isolation = Isolation::Pooled { calls_max: 10_000 };

/// Every decider of ours on the benches' document.
#[derive(Clone)]
pub struct Deciders {
    tables: Arc<Tables>,
    fresh: Arc<Policy>,
    pooled: Arc<Policy>,
    document_typed: Arc<Policy>,
    typed: Arc<Policy>,
}

impl Deciders {
    /// Compiles and loads the document with so many routes.
    ///
    /// # Errors
    /// When the document does not compile or the sandbox cannot be made.
    pub fn new(routes: usize) -> Result<Self> {
        let text = bench_document(routes);
        let tables =
            document::compile("bench.yaml", &text).map_err(|report| anyhow!("{report}"))?;
        let component = build_document("bench.yaml", &text)?;
        let load = |isolation, worlds, component: &[u8]| -> Result<Arc<Policy>> {
            let sandbox = Sandbox::new(SandboxConfig {
                isolation,
                worlds,
                ..SandboxConfig::default()
            })?;
            Ok(Arc::new(sandbox.load(component)?))
        };
        Ok(Self {
            tables: Arc::new(tables),
            fresh: load(Isolation::Fresh, Worlds::All, &component)?,
            pooled: load(KEPT, Worlds::All, &component)?,
            document_typed: load(KEPT, Worlds::PolicyOnly, &component)?,
            typed: load(Isolation::Fresh, Worlds::All, typed::COMPONENT)?,
        })
    }

    /// Every way to answer this question.
    ///
    /// # Errors
    /// When the typed policy does not load.
    pub fn subjects(&self, question: &Question) -> Result<Vec<Subject>> {
        let (caller, request) = (&question.caller, &question.request);
        Ok(vec![
            Subject::new("native", self.native(caller, request)),
            Subject::new(
                "native, question already packed",
                self.packed(caller, request),
            ),
            Subject::new(
                FRESH,
                asking(Arc::clone(&self.fresh), caller, vec![request.clone()]),
            ),
            Subject::new(
                POOLED,
                asking(Arc::clone(&self.pooled), caller, vec![request.clone()]),
            ),
            Subject::new(TYPED_POOLED, typed::pooled(question)?),
            Subject::new(
                "component asked through the typed world, pooled instance",
                asking(
                    Arc::clone(&self.document_typed),
                    caller,
                    vec![request.clone()],
                ),
            ),
            Subject::new(
                "typed policy by hand, fresh instance",
                asking(Arc::clone(&self.typed), caller, vec![request.clone()]),
            ),
        ])
    }

    /// Fresh instances, asked for these requests in turn.
    pub fn fresh(&self, caller: &Caller, requests: Vec<Request>) -> impl FnMut() -> bool + use<> {
        asking(Arc::clone(&self.fresh), caller, requests)
    }

    /// Kept instances, asked for these requests in turn.
    pub fn pooled(&self, caller: &Caller, requests: Vec<Request>) -> impl FnMut() -> bool + use<> {
        asking(Arc::clone(&self.pooled), caller, requests)
    }

    fn native(&self, caller: &Caller, request: &Request) -> impl FnMut() -> bool + use<> {
        let (tables, caller, request) = (Arc::clone(&self.tables), caller.clone(), request.clone());
        move || is_allowed(&scopegate_policy::decide(&tables, &caller, &request))
    }

    fn packed(&self, caller: &Caller, request: &Request) -> impl FnMut() -> bool + use<> {
        let vocabulary = Vocabulary::new(self.tables.description());
        let mut question = packed::pack_caller(&vocabulary, caller);
        packed::pack_request(&mut question, &RequestRef::from(request));
        let (tables, caller, request) = (Arc::clone(&self.tables), caller.clone(), request.clone());
        move || {
            Answer::from_bits(packed::answer(&tables, &question))
                .and_then(|answer| {
                    answer.decision(tables.description(), &caller, &RequestRef::from(&request))
                })
                .is_ok_and(|decision| is_allowed(&decision))
        }
    }
}

/// Asks the policy for each of the requests in turn, the caller's packed form kept as the gate keeps it.
fn asking(
    policy: Arc<Policy>,
    caller: &Caller,
    requests: Vec<Request>,
) -> impl FnMut() -> bool + use<> {
    let (caller, slot) = (caller.clone(), PackedCaller::default());
    let mut next = 0;
    move || {
        let Some(request) = requests.get(next) else {
            return false;
        };
        next = if next + 1 < requests.len() {
            next + 1
        } else {
            0
        };
        let caller = CallerRef {
            caller: &caller,
            packed: &slot,
        };
        let request = RequestRef::from(request);
        finish(policy.decide(&caller, &request)).is_ok_and(|decision| is_allowed(&decision))
    }
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Allow(_))
}

/// What a future gives, polled until it does: what is measured hardly ever waits, and then not for long.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
        thread::yield_now();
    }
}

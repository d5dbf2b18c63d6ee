//! A loaded policy: asked for decisions, one instance at a time.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use scopegate_policy::{
    Decision, Description, Vocabulary,
    packed::{self, Answer, RequestRef},
    wire::bound,
};
use wasmtime::{PoolConcurrencyLimitError, component::InstancePre};

use super::{
    caller::{CallerRef, Digest},
    core::Core,
    instance::{Exports, Instance, Said},
    lane,
    limits::{self, Meter, POOLED_POLICIES_MAX},
};
use crate::Cause;

thread_local! {
    /// The question that is being asked. Kept, so that asking allocates nothing.
    static QUESTION: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The policy trapped, ran too long, wanted too much or answered nonsense. The text is for the log.
    #[error("the policy failed: {0}")]
    Fault(String),
    /// Every place for a decision is taken.
    #[error("every place for a decision is taken")]
    Overloaded,
}

impl From<DecideError> for Cause {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Fault(why) => Self::PolicyFault(why),
            DecideError::Overloaded => Self::Overloaded,
        }
    }
}

/// A policy that was loaded into a sandbox.
pub struct Policy {
    core: Arc<Core>,
    component: InstancePre<Meter>,
    exports: Exports,
    interfaces: Vec<String>,
    digest: Digest,
    digest_text: String,
    description: Arc<Description>,
    vocabulary: Vocabulary,
    is_from_document: bool,
    /// Instances that wait for their next question, where instances are kept.
    idle: Option<Idle>,
}

struct Idle {
    /// At most one for each lane: a thread mostly meets the instance that it used last.
    instances: Box<[CachePadded<Mutex<Option<Instance>>>]>,
    calls_max: u32,
}

impl Idle {
    fn take(&self) -> Option<Instance> {
        lane::from_own(&self.instances).find_map(|place| place.try_lock()?.take())
    }

    /// One too many is dropped.
    fn keep(&self, instance: Instance) {
        let empty = lane::from_own(&self.instances)
            .filter_map(|place| place.try_lock())
            .find(|place| place.is_none());
        if let Some(mut place) = empty {
            *place = Some(instance);
        }
    }
}

/// What [`super::Sandbox::load`] found out about a component.
pub(super) struct Loaded {
    pub(super) component: InstancePre<Meter>,
    pub(super) exports: Exports,
    /// The names of everything that it exports.
    pub(super) interfaces: Vec<String>,
    pub(super) digest: Digest,
    pub(super) digest_text: String,
    pub(super) description: Description,
    pub(super) is_from_document: bool,
}

impl Policy {
    /// `calls_max` says that instances are kept, and for how many calls.
    pub(super) fn new(core: Arc<Core>, loaded: Loaded, calls_max: Option<u32>) -> Self {
        let idle = calls_max.and_then(|calls_max| {
            // Idle instances occupy memory slots, of which there are only so many.
            let taken =
                core.pooled_policies
                    .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |count| {
                        (count < POOLED_POLICIES_MAX).then_some(count + 1)
                    });
            taken.ok().map(|_| Idle {
                instances: (0..core.limits.idle_max().max(1))
                    .map(|_| CachePadded::default())
                    .collect(),
                calls_max,
            })
        });
        Self {
            core,
            vocabulary: Vocabulary::new(&loaded.description),
            component: loaded.component,
            exports: loaded.exports,
            interfaces: loaded.interfaces,
            digest: loaded.digest,
            digest_text: loaded.digest_text,
            description: Arc::new(loaded.description),
            is_from_document: loaded.is_from_document,
            idle,
        }
    }

    /// `sha256:` and the hash of the component in hex.
    pub fn digest(&self) -> &str {
        &self.digest_text
    }

    /// What the policy says of itself, checked.
    pub fn description(&self) -> &Arc<Description> {
        &self.description
    }

    /// Its names.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The names of the interfaces that it exports, such as `scopegate:policy/rules@1.0.0`.
    pub fn exports(&self) -> &[String] {
        &self.interfaces
    }

    /// Whether it is exactly what this program makes of the document that it carries. Only then may its instances
    /// be kept between calls.
    pub fn is_from_document(&self) -> bool {
        self.is_from_document
    }

    /// Decides a request, and bounds the answer by what this caller may have at all: their own clusters and the
    /// organization's `registered` ones. This is what a gate asks.
    ///
    /// # Errors
    /// When there is no decision. Never an allow in doubt.
    pub async fn decide_bounded(
        &self,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
        registered: &BTreeSet<String>,
    ) -> Result<Decision, DecideError> {
        self.decide_and_bound(caller, request, registered, |_| {})
            .await
    }

    /// The same, and shows its own answer to `own` before that is bounded.
    pub(crate) async fn decide_and_bound(
        &self,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
        registered: &BTreeSet<String>,
        own: impl FnOnce(&Decision),
    ) -> Result<Decision, DecideError> {
        let decision = self.decide(caller, request).await?;
        own(&decision);
        self.bounded(decision, caller, request, registered)
            .map_err(|why| self.fault(why))
    }

    /// Decides a request: the policy's own answer, which makes sense but is not bounded yet.
    ///
    /// # Errors
    /// When there is no decision.
    pub async fn decide(
        &self,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
    ) -> Result<Decision, DecideError> {
        let place = match self.core.places.try_take() {
            Some(place) => Some(place),
            // Boxed: it is rare, and every request would carry room for it.
            None => Box::pin(self.core.places.take(self.core.limits.place_wait)).await,
        };
        let Some(_place) = place else {
            return Err(overloaded());
        };
        self.decide_now(caller, request)
    }

    /// Decides on this thread. Takes microseconds, or the deadline when the policy is a bad one.
    fn decide_now(
        &self,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
    ) -> Result<Decision, DecideError> {
        let mut instance = self.instance()?;
        // After an error the instance is dropped right here.
        let decision = self
            .ask(&mut instance, caller, request)
            .map_err(|why| self.fault(why))?;
        self.give_back(instance);
        Ok(decision)
    }

    /// Asks an instance, and checks that the answer makes sense.
    fn ask(
        &self,
        instance: &mut Instance,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
    ) -> Result<Decision, String> {
        let said = QUESTION.with_borrow_mut(|question| {
            question.clear();
            if instance.is_packed() {
                caller.pack(&self.digest, &self.vocabulary, question);
                packed::pack_request(question, request);
            }
            instance.ask(&self.core.limits, caller.caller, request, question)
        });
        let decision = match said.map_err(|error| limits::fault_text(&error))? {
            Said::Decision(decision) => decision,
            Said::Bits(bits) => Answer::from_bits(bits)
                .and_then(|answer| answer.decision(&self.description, caller.caller, request))
                .map_err(|malformed| malformed.to_string())?,
        };
        if !self.is_from_document {
            bound::check_sense(
                &decision,
                &self.description,
                &self.vocabulary,
                caller.caller,
                request,
            )?;
        }
        Ok(decision)
    }

    /// Asks a fresh instance on this thread, apart from what requests share, and bounds the answer as
    /// [`Policy::decide_bounded`] does. It takes no place, and its faults are not counted: for a policy that is tried out,
    /// or that decides in the shadow of another one. One thread at a time for each of the two.
    ///
    /// # Errors
    /// How it failed.
    pub(crate) fn decide_apart(
        &self,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
        registered: &BTreeSet<String>,
    ) -> Result<Decision, String> {
        let mut instance = self.fresh().map_err(|error| limits::fault_text(&error))?;
        let decision = self.ask(&mut instance, caller, request)?;
        self.bounded(decision, caller, request, registered)
    }

    fn bounded(
        &self,
        decision: Decision,
        caller: &CallerRef<'_>,
        request: &RequestRef<'_>,
        registered: &BTreeSet<String>,
    ) -> Result<Decision, String> {
        bound::bound(
            decision,
            &self.description,
            caller.caller,
            request,
            registered,
        )
    }

    /// Gives up the instances that wait: for a policy that decides no longer, but may again.
    pub(crate) fn rest(&self) {
        for place in self.idle.iter().flat_map(|idle| &idle.instances) {
            place.lock().take();
        }
    }

    fn instance(&self) -> Result<Instance, DecideError> {
        if let Some(idle) = &self.idle
            && let Some(instance) = idle.take()
        {
            return Ok(instance);
        }
        if self.idle.is_some() {
            metrics::counter!("scopegate_policy_instances_total").increment(1);
        }
        self.fresh().map_err(|error| {
            if error.is::<PoolConcurrencyLimitError>() {
                overloaded()
            } else {
                self.fault(limits::fault_text(&error))
            }
        })
    }

    fn fresh(&self) -> wasmtime::Result<Instance> {
        Instance::new(
            &self.core.engine,
            &self.core.limits,
            &self.component,
            &self.exports,
        )
    }

    fn give_back(&self, instance: Instance) {
        if let Some(idle) = &self.idle
            && instance.is_reusable(idle.calls_max)
        {
            idle.keep(instance);
        }
    }

    fn fault(&self, text: String) -> DecideError {
        metrics::counter!("scopegate_policy_faults_total").increment(1);
        DecideError::Fault(text)
    }
}

fn overloaded() -> DecideError {
    metrics::counter!("scopegate_policy_overloaded_total").increment(1);
    DecideError::Overloaded
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.idle.take().is_some() {
            self.core.pooled_policies.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.description.name)
            .field("digest", &self.digest_text)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use scopegate_policy::documents;

    use crate::engine::{Sandbox, SandboxConfig, build_document};

    /// Every fresh instance pays for each page of its memory.
    #[test]
    fn the_policies_of_the_products_need_few_pages() {
        const PAGE_BYTES: usize = 64 << 10;
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        for name in documents::names() {
            let component = build_document(name, documents::builtin(name).unwrap()).unwrap();
            let policy = sandbox.load(&component).unwrap();
            let bytes = policy.instance().unwrap().memory_bytes();
            // The default has every route twice, under both prefixes, and KubeVision's roles hold more than the others'.
            let pages = match name {
                "scopegate" | "kubevision" => 2,
                _ => 1,
            };
            assert_eq!(bytes, pages * PAGE_BYTES, "{name}");
        }
    }
}

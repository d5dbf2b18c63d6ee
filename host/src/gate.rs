//! The gate's one pipeline: shape, failures of the address, credential, its limit, policy, bound, record.
//!
//! Every path through it but one ends in a refusal; the one is `admission::admit`, where "allow" is made.

mod admission;
mod advice;
mod count;
mod decide;
mod evaluate;
mod filter;
mod identify;
mod introspect;
mod invitation;
mod leaks;
mod ponder;
mod question;
mod session;
mod shadow;
mod subject;
mod trail;

use std::{
    convert::Infallible,
    ops::ControlFlow::{self, Break, Continue},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use scopegate_policy::{Caller, Decision, Outcome, wire::Question};
use tokio::sync::watch;
use tracing::Instrument;

use crate::{
    Admission, Audit, Cause, Contract, Directory, Refusal, Request, Sessions, Verdict,
    audit::Visible,
    authenticate::{Authenticated, Authenticator, Door, Issuers},
    client,
    contract::{Errors, Login},
    counters::{Bucket, Counters},
    engine::{PackedCaller, Policy},
    headers::REQUEST_ID,
    keyring::Keys,
    limit::Taken,
    policies::faults::Failing,
    refusal::{self, limit_headers, uuid_value},
    span::RequestSpan,
};
use advice::Enforcer;
pub use advice::Rewriting;
pub use evaluate::{Around, Asked, Evaluator, is_answer, path_of};
pub use filter::{BadFilterSecret, FilterSecret};
pub use introspect::Introspection;
pub use ponder::Pondered;
use question::Active;
pub use scopegate_policy::wire::forward::Identity;
pub use session::{Answer, Reply};
pub(crate) use shadow::{Shadow, Understudy};
pub use subject::{Claims, Subject, SubjectName};
use trail::{Counting, RequestIds, Trail};

/// What a gate is put together from.
#[derive(Debug)]
pub struct Parts {
    /// How the product speaks.
    pub contract: Contract,
    /// Who is behind a credential.
    pub directory: Directory,
    /// Log-in and what follows.
    pub sessions: Sessions,
    /// The gate's own keys, the same as the sessions have.
    pub keys: Keys,
    /// External issuers of tokens.
    pub issuers: Issuers,
    /// The rules.
    pub policy: Arc<Policy>,
    /// Where calls are counted.
    pub counters: Counters,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where decisions are recorded.
    pub audit: Audit,
    /// Whether the credential goes on to the upstream.
    pub forward_credentials: bool,
}

/// The gate. Install a recorder for metrics before the first request: handles are taken then.
pub struct Gate {
    contract: Contract,
    own: Own,
    authenticator: Authenticator,
    sessions: Sessions,
    active: ArcSwap<Active>,
    /// Nobody has said for long what policy is active.
    outdated: AtomicBool,
    /// The last active policy that failed for good.
    failing: watch::Sender<Option<Failing>>,
    counters: Counters,
    trusted_proxies: Vec<IpNet>,
    audit: Audit,
    forward_credentials: bool,
    request_ids: RequestIds,
    meters: trail::Meters,
    anonymous: Anonymous,
}

/// How the gate's own pages speak, whatever the contract says: in problem documents.
struct Own {
    errors: Errors,
    login: Login,
}

/// The caller without a credential, ready for the policy.
struct Anonymous {
    caller: Caller,
    packed: PackedCaller,
}

/// Why the pipeline ended early, and the state of the bucket that the request counted against; where it counted
/// against none, the address's bucket for anonymous requests is shown.
#[derive(Debug)]
struct Stop {
    cause: Cause,
    limit: Option<Taken>,
}

impl Stop {
    fn at(cause: Cause) -> Self {
        Self { cause, limit: None }
    }

    fn with(cause: Cause, limit: Taken) -> Self {
        Self {
            cause,
            limit: Some(limit),
        }
    }
}

/// A caller as far as the pipeline has come: who, and what their bucket says.
struct Counted {
    authenticated: Option<Authenticated>,
    limit: Taken,
}

impl Gate {
    /// A gate of these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            contract,
            directory,
            sessions,
            keys,
            issuers,
            policy,
            counters,
            ..
        } = parts;
        let audience = [contract.name.clone()];
        Self {
            own: Own {
                errors: Errors::own(),
                login: Login::own(),
            },
            contract,
            authenticator: Authenticator {
                directory,
                keys,
                issuers,
                audience,
            },
            sessions,
            active: ArcSwap::from_pointee(Active::new(policy)),
            failing: watch::Sender::default(),
            outdated: AtomicBool::new(false),
            counters,
            trusted_proxies: parts.trusted_proxies,
            audit: parts.audit,
            forward_credentials: parts.forward_credentials,
            request_ids: RequestIds::new(),
            meters: trail::Meters::default(),
            anonymous: Anonymous {
                caller: Caller::anonymous(),
                packed: PackedCaller::default(),
            },
        }
    }

    /// Decides a request: authenticates it, counts it, asks the policy, records the answer.
    pub async fn check(&self, request: &Request<'_>) -> Verdict {
        let trail = self.trail(request);
        self.check_for(request, Enforcer::Adapter, trail).await
    }

    /// The same for a proxy that only asks and forwards the request itself. What it cannot carry out is refused.
    pub async fn advise(&self, request: &Request<'_>, rewriting: Rewriting) -> Verdict {
        let trail = self.trail(request);
        let enforcer = Enforcer::Proxy(rewriting);
        self.check_for(request, enforcer, trail).await
    }

    /// The same for a request that an adapter makes itself, as a part of answering one that was checked: with the same
    /// credential, and nothing is taken from its limit again.
    pub async fn check_part(&self, request: &Request<'_>) -> Verdict {
        let mut trail = self.unseen(request);
        trail.counting = Counting::Looks;
        self.check_for(request, Enforcer::Adapter, trail).await
    }

    async fn check_for<'r>(
        &self,
        request: &Request<'r>,
        enforcer: Enforcer,
        mut trail: Trail<'r>,
    ) -> Verdict {
        let active = self.active.load_full();
        let span = trail.span.span();
        let outcome = self
            .decide(request, enforcer, &active, &mut trail)
            .instrument(span)
            .await;
        match self.record(&trail, Some(&active), outcome).await {
            Continue((mut admission, record)) => {
                // Nobody else has it yet.
                if let Some(admission) = Arc::get_mut(&mut admission) {
                    admission.record = record;
                    // A proxy that only asks has a span of its own between this one and the upstream's.
                    if let (Enforcer::Adapter, Some(onward)) = (enforcer, trail.span.onward()) {
                        admission.remove.extend(onward.remove);
                        admission.identity.extend(onward.set);
                    }
                    admission.span = trail.span;
                }
                Verdict::Admit(admission)
            }
            Break(stop) => Verdict::Refuse(Box::new(self.refusal(stop, &trail, request.now_ms))),
        }
    }

    /// The words for a refusal that an adapter makes without [`Gate::check`]: 404, 405 and 413 of endpoints of the
    /// gate itself.
    pub async fn refuse(&self, cause: Cause, request: &Request<'_>) -> Refusal {
        let trail = self.trail(request);
        let refused: ControlFlow<Stop, Infallible> = Break(Stop::at(cause));
        let Break(stop) = self.record(&trail, None, refused).await;
        self.refusal(stop, &trail, request.now_ms)
    }

    /// What the answer of an endpoint of the gate itself carries besides its own headers: the state of the address's
    /// bucket, of which nothing is taken, and a request id.
    pub fn own_headers(&self, request: &Request<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let trail = self.unseen(request);
        let limit = self.strangers_limit(&trail, request.now_ms);
        let id = (REQUEST_ID, uuid_value(trail.request_id));
        limit_headers(&limit).into_iter().chain([id]).collect()
    }

    /// The words for a refusal after [`Gate::check`] admitted, with that admission's request id and limit: an upstream
    /// that fails, a list that cannot be narrowed, a credential that ended.
    pub async fn refuse_admitted(&self, cause: Cause, admission: &Admission) -> Refusal {
        self.broken_off(&cause, admission).await;
        let door = match admission.is_own {
            true => Door::Own,
            false => Door::Api,
        };
        refusal::refuse(
            self.errors(door),
            cause,
            &admission.limit,
            admission.request_id,
        )
    }

    /// Whether this peer is a proxy whose word on its clients is believed.
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// How the product speaks.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Who is behind a credential; changes go through it.
    pub fn directory(&self) -> &Directory {
        &self.authenticator.directory
    }

    /// Sessions, and what users log in with.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The keys that sign and verify sessions.
    pub fn keys(&self) -> &Keys {
        &self.authenticator.keys
    }

    /// The active policy.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.active.load().policy)
    }

    /// Makes a policy the active one. Requests that are under way end under the one that they began with.
    pub fn activate(&self, policy: Arc<Policy>) {
        let next = Active::new(policy);
        self.active.rcu(|before| {
            let shadow = before.shadow.as_ref();
            next.beside(shadow.map(|shadow| Arc::clone(&shadow.understudy)))
        });
    }

    /// Whether callers who were looked up before can be confirmed when the store is away.
    pub fn confirms_without_store(&self) -> bool {
        self.counters.redis().is_some_and(|redis| redis.is_here())
    }

    /// Whether its policy may be another one than the active one: then it decides nothing.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Relaxed)
    }

    /// Says so.
    pub(crate) fn set_outdated(&self, outdated: bool) {
        self.outdated.store(outdated, Relaxed);
    }

    /// The policy in the shadow of the active one.
    pub(crate) fn shadow(&self) -> Option<Shadow> {
        self.active.load().shadow.clone()
    }

    /// Has a policy decide in the shadow of the active one, in place of the one that does so now; or none.
    pub(crate) fn put_shadow(&self, understudy: Option<Arc<Understudy>>) {
        self.active.rcu(|before| before.beside(understudy.clone()));
    }

    /// Tells of an active policy that fails for good, again and again as long as it does.
    pub(crate) fn failing(&self) -> watch::Receiver<Option<Failing>> {
        self.failing.subscribe()
    }

    /// Resolves when everything recorded so far is written.
    pub async fn flush(&self) {
        self.audit.flush().await;
    }

    /// Writes what is recorded to its end; nothing is admitted afterwards. To be called before the store is closed.
    pub async fn close_audit(&self) {
        self.audit.close().await;
    }

    /// The pipeline, in the one order.
    async fn decide<'r>(
        &self,
        request: &Request<'r>,
        enforcer: Enforcer,
        active: &Active,
        trail: &mut Trail<'r>,
    ) -> ControlFlow<Stop, Arc<Admission>> {
        let question = match Question::read(request, Some(trail.client), &active.declared) {
            Ok(question) => question,
            Err(cause) => return Break(Stop::at(cause)),
        };
        trail.read(&question);
        let counted = self.identify(request, trail).await?;
        let admission = self.ask(active, &question, counted, trail).await?;
        let obstacle = match enforcer {
            Enforcer::Adapter => None,
            Enforcer::Proxy(rewriting) => advice::obstacle(&admission, request, rewriting),
        };
        match obstacle {
            None => Continue(admission),
            Some(cause) => Break(Stop::with(cause, admission.limit)),
        }
    }

    /// Asks the policy, within what this caller may have at all.
    async fn ask(
        &self,
        active: &Active,
        question: &Question<'_>,
        counted: Counted,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Arc<Admission>> {
        let stop = |cause| Break(Stop::with(cause, counted.limit));
        let principal = counted
            .authenticated
            .as_ref()
            .map(|authenticated| &authenticated.principal);
        // Whatever a policy says of it, management is for callers with a name.
        if principal.is_none() && question.is_management() {
            return stop(Cause::NotAuthenticated);
        }
        let own = |decision: &Decision| {
            if let (true, Outcome::Allow(clusters)) = (self.audit.is_on(), &decision.outcome) {
                trail.visible = Some(Visible::of(clusters));
            }
        };
        let decided = self.put(active, question, principal, question.now_ms, own);
        let decision = match decided.await {
            Ok(decision) => decision,
            Err(cause) => return stop(cause),
        };
        trail.rule = Some(decision.rule);
        let visible = match decide::allowed(decision.outcome) {
            Ok(visible) => visible,
            Err(cause) => return stop(cause),
        };
        let route = active.route(&decision.rule);
        let roles = match principal {
            Some(principal) if question.is_management() => active
                .role_conditions
                .in_force(&principal.caller, &question.as_ref()),
            _ => Vec::new(),
        };
        Continue(admission::admit(admission::Allowed {
            request_id: trail.request_id,
            client: trail.client,
            question,
            policy: &active.policy,
            route,
            authenticated: counted.authenticated,
            roles,
            visible,
            limit: counted.limit,
            forward_credentials: self.forward_credentials,
            declared: &active.declared.headers,
        }))
    }

    fn trail<'r>(&self, request: &Request<'r>) -> Trail<'r> {
        let mut trail = self.unseen(request);
        let told = self.trusts(request.peer).then_some(request.headers);
        trail.span = RequestSpan::open(trail.request_id, told);
        trail
    }

    /// The same for what is no request of its own, and has no span.
    fn unseen<'r>(&self, request: &Request<'r>) -> Trail<'r> {
        let client = client::address(request.peer, request.headers, &self.trusted_proxies);
        Trail::new(self.request_ids.next(request.now_ms), client, request)
    }

    fn refusal(&self, stop: Stop, trail: &Trail<'_>, now_ms: i64) -> Refusal {
        let limit = stop
            .limit
            .unwrap_or_else(|| self.strangers_limit(trail, now_ms));
        let refusal = refusal::refuse(
            self.errors(trail.door),
            stop.cause,
            &limit,
            trail.request_id,
        );
        trail.span.answered(refusal.status);
        refusal
    }

    /// The words of refusals.
    fn errors(&self, door: Door) -> &Errors {
        match door {
            Door::Api => &self.contract.errors,
            Door::Own => &self.own.errors,
        }
    }

    /// The state of the bucket of this address for requests without a credential.
    fn strangers_limit(&self, trail: &Trail<'_>, now_ms: i64) -> Taken {
        self.counters.look(
            Bucket::anonymous(trail.client),
            self.contract.limits.anonymous,
            now_ms,
        )
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("contract", &self.contract.name)
            .field("policy", &self.policy().digest())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Each question answered: by the gate where that is possible, and by a refusal wherever something goes wrong on the way.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use envoy_types::{
    ext_authz::v3::pb::{Authorization, CheckRequest, CheckResponse},
    pb::envoy::service::auth::v3::AttributeContext,
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use scopegate_host::{Cause, Gate, Refusal, Request, Rewriting, Verdict};
use tokio::{sync::Semaphore, time::timeout};

use crate::{pins::Pins, question::Asked, reply::Reply};

/// What time it is, in milliseconds since the epoch.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Questions at once, of all connections.
const CHECKS_MAX: usize = 4096;
/// For the words of a refusal that something else than the gate's pipeline makes: they are recorded before.
const REFUSAL_MAX: Duration = Duration::from_secs(1);
const TOO_LONG: &str = "the decision took too long";
/// A broken pin is a line in the log once in so many milliseconds: whoever likes can cause it.
const COMPLAINED_EVERY_MS: i64 = 1000;

/// Answers Envoy.
pub(crate) struct Authorizer {
    gate: Arc<Gate>,
    now: Now,
    places: Semaphore,
    check_max: Duration,
    complained_at_ms: AtomicI64,
}

#[tonic::async_trait]
impl Authorization for Authorizer {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let reply = self.answer(request.into_inner().attributes).await;
        Ok(tonic::Response::new(reply.into()))
    }
}

impl Authorizer {
    /// Asks this gate, at the times that `now` shows. A question is answered within `check_max`, and the words of a
    /// refusal that this causes.
    pub(crate) fn new(gate: Arc<Gate>, now: Now, check_max: Duration) -> Self {
        Self {
            gate,
            now,
            places: Semaphore::new(CHECKS_MAX),
            check_max,
            complained_at_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Answers a question, whatever happens.
    async fn answer(&self, context: Option<AttributeContext>) -> Reply {
        let Ok(_place) = self.places.try_acquire() else {
            return self.refuse(Cause::Overloaded).await;
        };
        // What a request has caused is no reason to end the connection, on which Envoy asks about everybody's.
        let decided = AssertUnwindSafe(self.decide(context)).catch_unwind();
        let why = match timeout(self.check_max, decided).await {
            Ok(Ok(reply)) => return reply,
            Ok(Err(_)) => "the decision panicked",
            Err(_) => TOO_LONG,
        };
        tracing::error!(why, "a question of Envoy was not decided");
        self.refuse(Cause::Unavailable(why.to_owned())).await
    }

    async fn decide(&self, context: Option<AttributeContext>) -> Reply {
        let begun = Instant::now();
        let now_ms = (self.now)();
        let Some(mut context) = context else {
            let what = "there is nothing to decide about";
            return self.refuse(Cause::InvalidRequest(what.to_owned())).await;
        };
        let pins = Pins::of(&mut context.context_extensions);
        let asked = match Asked::read(context) {
            Ok(asked) => asked,
            Err(what) => return self.refuse(Cause::InvalidRequest(what.to_string())).await,
        };
        let request = asked.request(now_ms);
        let contract = self.gate.contract();
        if let Some(why) = pins.broken(contract, &self.gate.policy()) {
            self.complain(&why, now_ms);
            let refusal = self.gate.refuse(Cause::Unavailable(why), &request).await;
            return Reply::deny(&refusal);
        }
        let admission = match self.gate.advise(&request, Rewriting::Target).await {
            Verdict::Admit(admission) => admission,
            Verdict::Refuse(refusal) => return Reply::deny(&refusal),
        };
        // Another policy may have become the active one meanwhile, and nobody may be waiting any more.
        let why = match pins.broken(contract, &admission.policy) {
            Some(why) => why,
            None if begun.elapsed() > self.check_max => TOO_LONG.to_owned(),
            None => match Reply::allow(&admission, asked.ended()) {
                Ok(reply) => return reply,
                Err(unsayable) => unsayable.to_string(),
            },
        };
        self.complain(&why, now_ms);
        let cause = Cause::Unavailable(why);
        Reply::deny(&self.gate.refuse_admitted(cause, &admission).await)
    }

    /// The refusal of a question of which nothing is known, in the contract's words as long as the gate finds them.
    pub(crate) async fn refuse(&self, cause: Cause) -> Reply {
        let worded = async {
            let nothing = HeaderMap::new();
            let request = Request {
                method: "",
                path: "",
                query: "",
                authority: None,
                headers: &nothing,
                peer: std::net::Ipv4Addr::UNSPECIFIED.into(),
                now_ms: (self.now)(),
            };
            self.gate.refuse(cause.clone(), &request).await
        };
        let worded = AssertUnwindSafe(worded).catch_unwind();
        match timeout(REFUSAL_MAX, worded).await {
            Ok(Ok(refusal)) => Reply::deny(&refusal),
            Ok(Err(_)) | Err(_) => Reply::deny(&wordless(cause)),
        }
    }

    fn complain(&self, why: &str, now_ms: i64) {
        let last = self.complained_at_ms.load(Relaxed);
        let is_due = now_ms.saturating_sub(last) >= COMPLAINED_EVERY_MS;
        if is_due && self.complained_at_ms.swap(now_ms, Relaxed) == last {
            tracing::error!(why, "a question of Envoy was refused");
        }
    }
}

/// A refusal when the gate cannot even say no.
fn wordless(cause: Cause) -> Refusal {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    Refusal {
        cause,
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers,
        body: r#"{"title":"Temporarily unavailable","status":503,"code":"unavailable"}"#.to_owned(),
    }
}

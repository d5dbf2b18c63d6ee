//! What a request leaves behind: an audit record, numbers, a span.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    ops::ControlFlow::{self, Break, Continue},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use scopegate_policy::{CallerKind, Rule, wire::Question};
use uuid::Uuid;

use super::{Gate, Stop, question::Active};
use crate::{
    Admission, Cause, Principal, Request,
    audit::{Outcome, Record, Visible},
    authenticate::Door,
    cause::CODES,
    path::is_own,
    span::{Decided, RequestSpan},
    store::{Actor, Origin},
};

/// How much is recorded of a request whose shape was refused, in bytes.
pub(super) const RAW_PATH_BYTES_MAX: usize = 1024;
pub(super) const RAW_METHOD_BYTES_MAX: usize = 32;

/// How a request counts against its caller's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// It takes one call.
    Takes,
    /// It is a part of one that did.
    Looks,
}

/// What is known of a request so far, for the record.
pub(super) struct Trail<'r> {
    pub(super) request_id: Uuid,
    pub(super) client: IpAddr,
    pub(super) principal: Option<Arc<Principal>>,
    pub(super) rule: Option<Rule>,
    /// What the policy's own answer shows.
    pub(super) visible: Option<Visible>,
    pub(super) door: Door,
    pub(super) span: RequestSpan,
    pub(super) counting: Counting,
    at_ms: i64,
    method: &'r str,
    path: Cow<'r, str>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    began: Instant,
}

impl<'r> Trail<'r> {
    pub(super) fn new(request_id: Uuid, client: IpAddr, request: &Request<'r>) -> Self {
        Self {
            request_id,
            client,
            principal: None,
            rule: None,
            visible: None,
            door: door(request.path),
            span: RequestSpan::default(),
            counting: Counting::Takes,
            at_ms: request.now_ms,
            method: cut(request.method, RAW_METHOD_BYTES_MAX),
            path: Cow::Borrowed(cut(request.path, RAW_PATH_BYTES_MAX)),
            query: Vec::new(),
            headers: Vec::new(),
            began: Instant::now(),
        }
    }

    /// The request had the right shape: from here on its path is the normalised one.
    pub(super) fn read(&mut self, question: &Question<'r>) {
        self.path.clone_from(&question.path);
        self.door = door(&question.path);
        self.query.clone_from(&question.query);
        self.headers.clone_from(&question.fields);
    }

    /// Where a change comes from that this request makes.
    pub(super) fn origin(&self, actor: Actor) -> Origin {
        Origin {
            actor,
            request_id: Some(self.request_id),
            address: Some(self.client),
            caller: None,
        }
    }

    /// Says in the span what was decided. A method that nobody knows is not its name: it could be anything.
    fn tell(&self, active: Option<&Active>, cause: Option<&Cause>, took: Duration) {
        let asked = active.zip(self.rule.as_ref());
        let method = match method_text(self.method) {
            Cow::Borrowed(method) => method,
            Cow::Owned(_) => "HTTP",
        };
        self.span.decided(Decided {
            method,
            path: &self.path,
            route: asked.and_then(|(active, rule)| active.route(rule)),
            kind: kind_word(self.kind()),
            principal: self.principal.as_deref(),
            policy: asked.map(|(active, _)| active.policy.digest()),
            micros: micros(took),
            cause,
        });
    }

    fn kind(&self) -> CallerKind {
        self.principal
            .as_ref()
            .map_or(CallerKind::Anonymous, |principal| principal.kind)
    }

    fn record(&self, active: Option<&Active>, cause: Option<&Cause>, took: Duration) -> Record {
        let asked = active.filter(|_| self.rule.is_some());
        Record {
            at_ms: self.at_ms,
            request_id: self.request_id,
            principal: self.principal.clone(),
            client: self.client,
            method: method_text(self.method),
            path: self.path.as_ref().into(),
            outcome: if cause.is_some() {
                Outcome::Refuse
            } else {
                Outcome::Admit
            },
            cause: cause.cloned(),
            rule: self.rule,
            visible: self.visible.clone().filter(|_| asked.is_some()),
            policy: asked.map(|active| Arc::clone(&active.judge)),
            micros: micros(took),
            query: self.query.clone(),
            headers: self.headers.clone(),
            count: 1,
            evaluation: None,
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn door(path: &str) -> Door {
    match is_own(path) {
        true => Door::Own,
        false => Door::Api,
    }
}

/// The method; the common ones cost no memory.
pub(super) fn method_text(method: &str) -> Cow<'static, str> {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .map_or_else(|| Cow::Owned(method.to_owned()), Cow::Borrowed)
}

/// The start of a text, at most this long.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.get(..end).unwrap_or("")
}

impl Gate {
    /// Records what came of a request: one audit record, one count, one span. A request that cannot be recorded is not
    /// admitted. Gives the record back, for what may still become of the request.
    pub(super) async fn record<T>(
        &self,
        trail: &Trail<'_>,
        active: Option<&Active>,
        outcome: ControlFlow<Stop, T>,
    ) -> ControlFlow<Stop, (T, Option<Arc<Record>>)> {
        let cause = match &outcome {
            Continue(_) => None,
            Break(stop) => Some(&stop.cause),
        };
        let took = trail.began.elapsed();
        self.meters.decided(trail.kind(), cause, took);
        trail.tell(active, cause, took);
        let record = self
            .audit
            .is_on()
            .then(|| Arc::new(trail.record(active, cause, took)));
        let written = match &record {
            Some(record) => self.audit.record(Arc::clone(record)).await,
            None => Ok(()),
        };
        match (outcome, written) {
            (Continue(_), Err(_)) => Break(Stop::at(Cause::Unavailable(
                "the audit log cannot be written".to_owned(),
            ))),
            (Continue(value), Ok(())) => Continue((value, record)),
            (Break(stop), _) => Break(stop),
        }
    }

    /// Records that an admitted request failed after all: a second record under the same request id. For adapters
    /// that break an answer off which had begun, so that nobody can be told; [`Gate::refuse_admitted`] does it itself.
    pub async fn broken_off(&self, cause: &Cause, admission: &Admission) {
        admission.span.came_to_nothing(cause);
        let Some(admitted) = &admission.record else {
            return;
        };
        let failed = Record {
            outcome: Outcome::Refuse,
            cause: Some(cause.clone()),
            ..Record::clone(admitted)
        };
        if self.audit.record(Arc::new(failed)).await.is_err() {
            tracing::error!(
                code = cause.code(),
                "the audit log cannot be written: the end of a request is not in it"
            );
        }
    }
}

/// Numbers about decisions. The frequent ones have handles, taken when they are first needed.
#[derive(Default)]
pub(super) struct Meters(OnceLock<Handles>);

struct Handles {
    /// By kind of caller.
    admitted: [metrics::Counter; 4],
    seconds: metrics::Histogram,
}

impl Meters {
    fn handles(&self) -> &Handles {
        self.0.get_or_init(|| {
            let admitted = [
                CallerKind::Anonymous,
                CallerKind::Session,
                CallerKind::ApiKey,
                CallerKind::Agent,
            ]
            .map(|kind| {
                metrics::counter!(
                    "scopegate_decisions_total",
                    "outcome" => "admit", "reason" => "none", "kind" => kind_word(kind)
                )
            });
            Handles {
                admitted,
                seconds: metrics::histogram!("scopegate_gate_seconds"),
            }
        })
    }

    fn decided(&self, kind: CallerKind, cause: Option<&Cause>, took: Duration) {
        let handles = self.handles();
        handles.seconds.record(took.as_secs_f64());
        let [anonymous, session, api_key, agent] = &handles.admitted;
        match (cause, kind) {
            (None, CallerKind::Anonymous) => anonymous.increment(1),
            (None, CallerKind::Session) => session.increment(1),
            (None, CallerKind::ApiKey) => api_key.increment(1),
            (None, CallerKind::Agent) => agent.increment(1),
            (Some(cause), kind) => metrics::counter!(
                "scopegate_decisions_total",
                "outcome" => "refuse", "reason" => label(cause), "kind" => kind_word(kind)
            )
            .increment(1),
        }
    }

    pub(super) fn rejected(&self, cause: &Cause) {
        metrics::counter!("scopegate_rejected_credentials_total", "reason" => label(cause))
            .increment(1);
    }
}

/// A cause as a label. A policy's own words are one label: it could make up as many as it likes.
fn label(cause: &Cause) -> &'static str {
    let code = cause.code();
    let known = CODES.into_iter().find(|known| *known == code);
    known.unwrap_or("other")
}

fn kind_word(kind: CallerKind) -> &'static str {
    match kind {
        CallerKind::Anonymous => "anonymous",
        CallerKind::Session => "session",
        CallerKind::ApiKey => "api-key",
        CallerKind::Agent => "agent",
    }
}

/// Makes request ids: UUIDs of version 7 (RFC 9562), so that they sort by time. They name requests and prove nothing, so
/// a counter behind a mixer serves, which costs no system call.
pub(super) struct RequestIds {
    seed: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        // The standard library keys each of its hashers from the operating system.
        Self {
            seed: RandomState::new().hash_one(0),
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self, now_ms: i64) -> Uuid {
        let count = self.count.fetch_add(1, Relaxed);
        let low = mix(self.seed ^ mix(count)).to_be_bytes();
        let high = (mix(self.seed.wrapping_add(count)) as u16).to_be_bytes();
        let mut random = [0; 10];
        random
            .iter_mut()
            .zip(high.into_iter().chain(low))
            .for_each(|(byte, from)| *byte = from);
        uuid::Builder::from_unix_timestamp_millis(now_ms.max(0).unsigned_abs(), &random).into_uuid()
    }
}

/// The finaliser of SplitMix64: a bijection that leaves no pattern to the eye.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use scopegate_policy::Reason;

    use super::*;

    #[test]
    fn a_policys_own_words_are_one_label() {
        let own = Cause::Denied(Reason::Other("request-4711".to_owned()));
        assert_eq!(label(&own), "other");
        assert_eq!(label(&Cause::RateLimited), "rate-limited");
        assert_eq!(label(&Cause::Denied(Reason::NoRoute)), "no-route");
    }
}

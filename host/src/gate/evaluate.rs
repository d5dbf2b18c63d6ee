//! Whether somebody else may do something: asked by a caller who may ask, answered as the gate would answer the request
//! itself, and made by nobody. Nothing counts against the subject; each answer is on record with who asked.

mod cluster;
pub(super) mod sample;

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use http::HeaderMap;
use scopegate_policy::{Decision, Description, Outcome, Reason, Rule, wire::Question};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    Gate, Subject, admission,
    advice::{self, Rewriting},
    decide,
    question::Active,
    trail::{RAW_METHOD_BYTES_MAX, RAW_PATH_BYTES_MAX, cut, method_text},
};
use crate::{
    Admission, Cause, Principal, Request,
    audit::{Evaluation, Outcome as Recorded, Record, Visible},
    authenticate::Authenticated,
    headers,
    limit::Taken,
    path,
};
pub use sample::path_of;

/// Nothing is there: whether a caller may ask there is whether what they claim of a subject is believed.
const ASSERT_PATH: &str = "/-/api/access/assert";
/// Questions of one asker's request after which a search goes on in the next one.
const QUESTIONS_MAX: usize = 2_000;
/// Questions after which others have their turn on this thread.
const TURN: usize = 32;

/// What is known of a request besides what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Around<'q> {
    /// Its headers. Only those that the policy declares are read.
    pub headers: &'q HeaderMap,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// From which address, if that is known. A condition that reads it is not met where it is not.
    pub address: Option<IpAddr>,
}

/// A request that somebody might make.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'q> {
    /// The HTTP method.
    pub method: &'q str,
    /// As it would be sent, without the query.
    pub path: &'q str,
    /// As it would be sent, without `?`.
    pub query: &'q str,
    /// What else is known.
    pub around: Around<'q>,
}

/// One caller's questions about others in their organization: all of them to one policy.
pub struct Evaluator<'g> {
    pub(super) gate: &'g Gate,
    pub(super) by: Arc<Principal>,
    pub(super) now_ms: i64,
    active: Arc<Active>,
    request_id: Uuid,
    client: IpAddr,
    limit: Taken,
    may_assert: OnceCell<bool>,
    questions: AtomicUsize,
}

/// What is on record of a question, as far as it came.
#[derive(Default)]
struct Noted {
    path: Option<String>,
    query: Vec<(String, String)>,
    fields: Vec<(String, String)>,
    rule: Option<Rule>,
    visible: Option<Visible>,
}

impl Gate {
    /// For the questions of an admitted caller; nothing for those who are in no organization.
    pub fn evaluator(&self, admission: &Admission, now_ms: i64) -> Option<Evaluator<'_>> {
        let by = admission.principal.as_ref();
        let by = by.filter(|by| !by.caller.operator && !by.organization.is_nil())?;
        Some(Evaluator {
            gate: self,
            by: Arc::clone(by),
            now_ms,
            active: self.active.load_full(),
            request_id: admission.request_id,
            client: admission.client,
            limit: admission.limit,
            may_assert: OnceCell::new(),
            questions: AtomicUsize::new(0),
        })
    }
}

impl Evaluator<'_> {
    /// The organization that is asked about.
    pub fn organization(&self) -> Uuid {
        self.by.organization
    }

    /// The gate's time, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// What the policy that answers says of itself.
    pub fn description(&self) -> &Description {
        self.active.policy.description()
    }

    /// Whether one request has had as many answers as it gets.
    pub fn is_spent(&self) -> bool {
        self.questions.load(Relaxed) >= QUESTIONS_MAX
    }

    /// Whether the subject may make this request, and how it would go on; on record.
    ///
    /// # Errors
    /// Why it would be refused, or why it cannot be told: [`is_answer`] tells one from the other.
    pub async fn evaluate(
        &self,
        subject: &Subject,
        asked: &Asked<'_>,
    ) -> Result<Arc<Admission>, Cause> {
        let began = Instant::now();
        let mut noted = Noted::default();
        let answer = self.answer(subject, asked, &mut noted).await;
        let cause = answer.as_ref().err();
        self.record(subject, asked, noted, cause, began).await?;
        answer
    }

    /// The same for a search, of whose questions there is no record each.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`].
    pub async fn try_out(
        &self,
        subject: &Subject,
        asked: &Asked<'_>,
    ) -> Result<Arc<Admission>, Cause> {
        self.answer(subject, asked, &mut Noted::default()).await
    }

    /// Whether the subject may make this request, and the policy's route of this place is the one that takes it.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`].
    pub async fn try_route(
        &self,
        subject: &Subject,
        asked: &Asked<'_>,
        route: usize,
    ) -> Result<(), Cause> {
        let mut noted = Noted::default();
        self.answer(subject, asked, &mut noted).await?;
        let taken_by = noted.rule.and_then(|rule| rule.route);
        match taken_by.is_some_and(|index| index as usize == route) {
            true => Ok(()),
            false => Err(Cause::Denied(Reason::NoRoute)),
        }
    }

    async fn answer(
        &self,
        subject: &Subject,
        asked: &Asked<'_>,
        noted: &mut Noted,
    ) -> Result<Arc<Admission>, Cause> {
        if let Some(cause) = &subject.refused {
            return Err(cause.clone());
        }
        let request = self.request(asked);
        let question = self.read(&request, asked, noted)?;
        // The gate answers these itself; they are nothing that an upstream has.
        if path::is_own(&question.path) {
            return Err(Cause::Denied(Reason::NoRoute));
        }
        let decision = self.ask(subject, &question, noted).await?;
        let visible = decide::allowed(decision.outcome)?;
        let authenticated = subject.principal.as_ref().map(|principal| Authenticated {
            principal: Arc::clone(principal),
            counted_as: principal.credential,
            token_expires_at: None,
            is_own_session: false,
        });
        let admission = admission::admit(admission::Allowed {
            request_id: self.request_id,
            client: self.client,
            question: &question,
            policy: &self.active.policy,
            route: self.active.route(&decision.rule),
            authenticated,
            roles: Vec::new(),
            visible,
            limit: self.limit,
            forward_credentials: false,
            declared: &self.active.declared.headers,
        });
        // Whoever asks forwards the request as it is.
        match advice::obstacle(&admission, &request, Rewriting::Nothing) {
            None => Ok(admission),
            Some(cause) => Err(cause),
        }
    }

    fn request<'q>(&self, asked: &Asked<'q>) -> Request<'q> {
        Request {
            method: asked.method,
            path: asked.path,
            query: asked.query,
            authority: None,
            headers: asked.around.headers,
            peer: self.client,
            now_ms: asked.around.at_ms,
        }
    }

    /// The question that the policy is asked. A header that it declares must not be there in another spelling: nobody takes it
    /// off before the upstream reads it.
    fn read<'q>(
        &self,
        request: &Request<'q>,
        asked: &Asked<'q>,
        noted: &mut Noted,
    ) -> Result<Question<'q>, Cause> {
        let question = Question::read(request, asked.around.address, &self.active.declared)?;
        let declared = &self.active.declared.headers;
        let misspelt = asked.around.headers.keys().find(|name| {
            let mut declared = declared.iter();
            declared.any(|known| headers::is_misspelling(name, known))
        });
        if let Some(name) = misspelt {
            let what = format!("the header `{name}` is another spelling of one that is judged");
            return Err(Cause::InvalidRequest(what));
        }
        noted.path = Some(question.path.as_ref().to_owned());
        noted.query.clone_from(&question.query);
        noted.fields.clone_from(&question.fields);
        Ok(question)
    }

    async fn ask(
        &self,
        subject: &Subject,
        question: &Question<'_>,
        noted: &mut Noted,
    ) -> Result<Decision, Cause> {
        let asked = self.questions.fetch_add(1, Relaxed);
        if asked % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let visible = &mut noted.visible;
        let own = |decision: &Decision| {
            if let Outcome::Allow(clusters) = &decision.outcome {
                *visible = Some(Visible::of(clusters));
            }
        };
        let principal = subject.principal.as_ref();
        let decision = self
            .gate
            .put(&self.active, question, principal, self.now_ms, own)
            .await;
        noted.rule = decision.as_ref().ok().map(|decision| decision.rule);
        decision
    }

    /// Whether what the asker says of a subject is believed: the policy decides that, too.
    pub(super) async fn require_assert(&self) -> Result<(), Cause> {
        let asked = self.may_assert.get_or_try_init(async || {
            let headers = HeaderMap::new();
            let asked = Asked {
                method: "POST",
                path: ASSERT_PATH,
                query: "",
                around: Around {
                    headers: &headers,
                    at_ms: self.now_ms,
                    address: Some(self.client),
                },
            };
            let asker = Subject {
                principal: Some(Arc::clone(&self.by)),
                refused: None,
            };
            let mut noted = Noted::default();
            let request = self.request(&asked);
            let question = self.read(&request, &asked, &mut noted)?;
            let decision = self.ask(&asker, &question, &mut noted).await?;
            decide::allowed(decision.outcome).map(|_| true)
        });
        asked.await.map(|_| ())
    }

    /// Puts an answer on record. What cannot be recorded is not answered.
    async fn record(
        &self,
        subject: &Subject,
        asked: &Asked<'_>,
        noted: Noted,
        cause: Option<&Cause>,
        began: Instant,
    ) -> Result<(), Cause> {
        let outcome = match cause {
            None => Recorded::Admit,
            Some(_) => Recorded::Refuse,
        };
        let word = if cause.is_none() { "admit" } else { "refuse" };
        metrics::counter!("scopegate_evaluations_total", "outcome" => word).increment(1);
        if !self.gate.audit.is_on() {
            return Ok(());
        }
        let path = noted.path.as_deref();
        let record = Record {
            at_ms: self.now_ms,
            request_id: self.request_id,
            principal: subject.principal.clone(),
            client: self.client,
            method: method_text(cut(asked.method, RAW_METHOD_BYTES_MAX)),
            path: path
                .unwrap_or_else(|| cut(asked.path, RAW_PATH_BYTES_MAX))
                .into(),
            outcome,
            cause: cause.cloned(),
            rule: noted.rule,
            visible: noted.visible.filter(|_| noted.rule.is_some()),
            policy: noted.rule.map(|_| Arc::clone(&self.active.judge)),
            micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            query: noted.query,
            headers: noted.fields,
            count: 1,
            evaluation: Some(Box::new(Evaluation {
                by: Arc::clone(&self.by),
                at_ms: asked.around.at_ms,
                address: asked.around.address,
            })),
        };
        self.gate
            .audit
            .record(record)
            .await
            .map_err(|_| Cause::Unavailable("the audit log cannot be written".to_owned()))
    }
}

impl fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator")
            .field("by", &self.by)
            .field("policy", &self.active.policy)
            .finish_non_exhaustive()
    }
}

/// Whether a refusal is an answer: one that the request itself would get, and not that nobody can tell.
pub fn is_answer(cause: &Cause) -> bool {
    !matches!(
        cause,
        Cause::PolicyFault(_) | Cause::Overloaded | Cause::Unavailable(_)
    )
}

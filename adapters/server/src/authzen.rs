//! The OpenID AuthZEN Authorization API 1.0: other services ask whether somebody may do something, and the same policy
//! answers that would decide the request itself.
//!
//! Who may ask is the policy's to say, under `/-/api/access/…`: `/access/v1/…` is decided on and recorded as that. A denial
//! is a 200; every other status is about the asker's own request. How routes, clusters and subjects are named:
//! docs/authzen.md.

mod configuration;
mod evaluation;
mod read;
mod search;
mod target;
mod token;

use axum::body::Body;
use http::{
    HeaderName, HeaderValue, Method, Request, Response,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use scopegate_axum::{Clock, convert, refused};
use scopegate_host::{Admission, Cause, Gate, Request as Question, Verdict, headers::REQUEST_ID};
use serde_json::{Map, Value};

use crate::body;
use search::Sought;

/// The largest body, in bytes: 256 questions with room to spare.
const BODY_BYTES_MAX: usize = 256 << 10;
/// The gate's own id of a request whose asker has given it another one.
const OWN_REQUEST_ID: HeaderName = HeaderName::from_static("x-scopegate-request-id");

/// One of the API's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Where the others are; for whoever asks.
    Configuration,
    /// One question.
    Evaluation,
    /// Several.
    Evaluations,
    /// Who, what or how.
    Search(Sought),
}

impl Endpoint {
    /// The endpoint at this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path {
            configuration::PATH => Self::Configuration,
            "/access/v1/evaluation" => Self::Evaluation,
            "/access/v1/evaluations" => Self::Evaluations,
            "/access/v1/search/subject" => Self::Search(Sought::Subject),
            "/access/v1/search/resource" => Self::Search(Sought::Resource),
            "/access/v1/search/action" => Self::Search(Sought::Action),
            _ => return None,
        })
    }

    /// As the policy decides on it.
    fn judged(self) -> &'static str {
        match self {
            Self::Configuration => configuration::PATH,
            Self::Evaluation => "/-/api/access/v1/evaluation",
            Self::Evaluations => "/-/api/access/v1/evaluations",
            Self::Search(Sought::Subject) => "/-/api/access/v1/search/subject",
            Self::Search(Sought::Resource) => "/-/api/access/v1/search/resource",
            Self::Search(Sought::Action) => "/-/api/access/v1/search/action",
        }
    }
}

/// Answers a request to the API. Whatever becomes of it, it keeps the id that the asker has given it.
pub(crate) async fn answer(
    endpoint: Endpoint,
    gate: &Gate,
    clock: &Clock,
    request: Request<Body>,
) -> Response<Body> {
    let given = request.headers().get(REQUEST_ID).cloned();
    let mut reply = match endpoint {
        Endpoint::Configuration => configuration::answer(gate, clock, request).await,
        _ => ask(endpoint, gate, clock, request).await,
    };
    if let Some(given) = given
        && let Some(own) = reply.headers_mut().insert(REQUEST_ID, given)
    {
        reply.headers_mut().insert(OWN_REQUEST_ID, own);
    }
    reply
}

async fn ask(
    endpoint: Endpoint,
    gate: &Gate,
    clock: &Clock,
    request: Request<Body>,
) -> Response<Body> {
    let now_ms = clock.now_ms();
    let (parts, body) = request.into_parts();
    let question = Question {
        path: endpoint.judged(),
        ..convert(&parts, now_ms)
    };
    if parts.method != Method::POST {
        return not_allowed(gate, &question, &parts.method, "POST").await;
    }
    let admission = match gate.check(&question).await {
        Verdict::Admit(admission) => admission,
        Verdict::Refuse(refusal) => return refused(*refusal, &parts.method),
    };
    let answered = async {
        let body = body::json(&parts.headers, body, BODY_BYTES_MAX)
            .await
            .map_err(as_bad_request)?;
        work(endpoint, gate, &admission, &object(&body)?, now_ms).await
    };
    match answered.await {
        Ok(answer) => {
            let mut reply = json(&answer);
            reply.headers_mut().extend(admission.response.clone());
            reply
        }
        Err(cause) => refused(gate.refuse_admitted(cause, &admission).await, &parts.method),
    }
}

async fn work(
    endpoint: Endpoint,
    gate: &Gate,
    admission: &Admission,
    asked: &Map<String, Value>,
    now_ms: i64,
) -> Result<Value, Cause> {
    let nowhere = || {
        Cause::NotHeld(
            "an operator is in no organization: ask as somebody who is in one".to_owned(),
        )
    };
    let evaluator = gate.evaluator(admission, now_ms).ok_or_else(nowhere)?;
    match endpoint {
        Endpoint::Evaluation => evaluation::one(&evaluator, asked).await,
        Endpoint::Evaluations => evaluation::several(&evaluator, asked).await,
        Endpoint::Search(sought) => search::page(&evaluator, gate, sought, asked).await,
        Endpoint::Configuration => Err(Cause::MethodNotAllowed),
    }
}

/// The specification has one status for whatever is wrong with the body.
fn as_bad_request(cause: Cause) -> Cause {
    match cause {
        Cause::UnsupportedMediaType(wanted) => {
            Cause::InvalidRequest(format!("the body is not of the type {wanted}"))
        }
        other => other,
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Cause> {
    // serde's own message may quote the body.
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Cause::InvalidRequest(format!(
            "the body is not JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    })?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(read::invalid("the body is not an object")),
    }
}

fn json(value: &Value) -> Response<Body> {
    let text = value.to_string();
    let length = text.len();
    let mut reply = Response::new(Body::from(text));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

async fn not_allowed(
    gate: &Gate,
    question: &Question<'_>,
    method: &Method,
    allowed: &'static str,
) -> Response<Body> {
    let refusal = gate.refuse(Cause::MethodNotAllowed, question).await;
    let mut reply = refused(refusal, method);
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

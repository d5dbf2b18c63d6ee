//! `/-/filter/…`: what the filter inside Envoy asks the gate.

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use scopegate_axum::{Clock, convert, refused};
use scopegate_host::{Cause, Gate, gate::FilterSecret};
use scopegate_policy::wire::filter::{ASK_BYTES_MAX, CHANGES_PATH, INTROSPECT_PATH};
use serde::Serialize;

use crate::body;

/// Whether a path is one of the filter's.
pub(crate) fn is_filter(path: &str) -> bool {
    matches!(path, INTROSPECT_PATH | CHANGES_PATH)
}

pub(crate) async fn answer(
    secret: &FilterSecret,
    gate: &Gate,
    clock: &Clock,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let question = convert(&parts, clock.now_ms());
    let allowed = match parts.uri.path() {
        INTROSPECT_PATH => Method::POST,
        _ => Method::GET,
    };
    let answer = async {
        gate.admit_filter(secret, &question).await?;
        if parts.method != allowed {
            return Err(Cause::MethodNotAllowed);
        }
        if allowed == Method::GET {
            let news = gate.news_for_filter(parts.uri.query(), question.now_ms);
            return text(&news);
        }
        let body = body::json(&parts.headers, body, ASK_BYTES_MAX).await?;
        text(&gate.tell_filter(&question, &body).await?)
    };
    match answer.await {
        Ok(text) => {
            let mut reply = Response::new(Body::from(text));
            let headers = reply.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.extend(gate.own_headers(&question));
            reply
        }
        Err(cause) => {
            let is_method = cause == Cause::MethodNotAllowed;
            let refusal = gate.refuse(cause, &question).await;
            let mut reply = refused(refusal, &parts.method);
            if is_method && let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
                reply.headers_mut().insert(ALLOW, allowed);
            }
            reply
        }
    }
}

fn text(answer: &impl Serialize) -> Result<String, Cause> {
    serde_json::to_string(answer).map_err(|error| Cause::Unavailable(error.to_string()))
}

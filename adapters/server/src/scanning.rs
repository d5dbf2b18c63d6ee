//! `/-/secret-scanning`: the pattern by which scanners find this gate's keys, for whoever asks; and, where partners are
//! configured, where they report those that they have found.

use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use scopegate_axum::{Clock, convert, refused};
use scopegate_host::{
    Cause, Gate,
    gate::Answer,
    key::secret_scanning_regex,
    scanning::{Partners, REPORT_BYTES_MAX},
};
use serde_json::json;

use crate::{body, login};

/// Where it is, on every listener: scanners come from outside.
pub(crate) const PATH: &str = "/-/secret-scanning";

pub(crate) async fn answer(
    partners: Option<&Partners>,
    gate: &Gate,
    clock: &Clock,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let question = convert(&parts, clock.now_ms());
    match (&parts.method, partners) {
        (&Method::GET | &Method::HEAD, _) => {
            let mut reply = Response::new(Body::from(pattern(gate)));
            let headers = reply.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
            headers.extend(gate.own_headers(&question));
            reply
        }
        (&Method::POST, Some(partners)) => {
            let answer = match body::json(&parts.headers, body, REPORT_BYTES_MAX).await {
                Ok(body) => gate.report_leaks(partners, &question, &body).await,
                Err(cause) => Answer::Refuse(Box::new(gate.refuse(cause, &question).await)),
            };
            login::sent(answer, &parts.method)
        }
        _ => {
            let refusal = gate.refuse(Cause::MethodNotAllowed, &question).await;
            let mut reply = refused(refusal, &parts.method);
            let allowed = match partners {
                Some(_) => HeaderValue::from_static("GET, HEAD, POST"),
                None => HeaderValue::from_static("GET, HEAD"),
            };
            reply.headers_mut().insert(ALLOW, allowed);
            reply
        }
    }
}

fn pattern(gate: &Gate) -> String {
    let prefix = &gate.contract().key_prefix;
    json!({
        "patterns": [{
            "name": format!("{} API key or agent token", gate.contract().name),
            "regex": secret_scanning_regex(prefix),
            "checksum": "the last 6 characters are the CRC32 (IEEE) of the 30 before them, in base62",
        }],
    })
    .to_string()
}

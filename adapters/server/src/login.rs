//! The session endpoints, the contract's and the gate's own: log in, refresh, log out. The gate does the work and counts the attempts;
//! here the body is read, within its bound, and nothing of it is kept.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Limited};
use scopegate_axum::{Clock, refused};
use scopegate_host::{Cause, Contract, Gate, gate::Answer, session::Attempt};
use secrecy::SecretString;
use serde::Deserialize;

use scopegate_axum::convert;

/// The largest body of these endpoints, in bytes.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// For a body to come whole.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Ends a session, in every contract that has a log-in.
pub const LOGOUT_PATH: &str = "/auth/logout";

/// One of the session endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    LogIn,
    Refresh,
    LogOut,
}

impl Endpoint {
    /// The endpoint at this path, a slash at its end or not.
    pub(crate) fn at(path: &str, contract: &Contract) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let login = contract.login.as_ref()?;
        if path == login.path {
            Some(Self::LogIn)
        } else if contract.refresh_path.as_deref() == Some(path) {
            Some(Self::Refresh)
        } else if path == LOGOUT_PATH {
            Some(Self::LogOut)
        } else {
            None
        }
    }

    /// The endpoint at this path of the gate's own pages, in every contract.
    pub(crate) fn own_at(path: &str) -> Option<Self> {
        match path.strip_suffix('/').unwrap_or(path) {
            "/-/login" => Some(Self::LogIn),
            "/-/logout" => Some(Self::LogOut),
            _ => None,
        }
    }
}

/// What a log-in sends. The address is text of the caller's and is shown nowhere before it is known.
#[derive(Deserialize)]
struct Login {
    email: String,
    password: SecretString,
    #[serde(default)]
    otp: Option<SecretString>,
}

/// Answers a request to a session endpoint.
pub(crate) async fn answer(
    endpoint: Endpoint,
    gate: &Gate,
    clock: &Clock,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let question = convert(&parts, clock.now_ms());
    if parts.method != Method::POST {
        let refusal = gate.refuse(Cause::MethodNotAllowed, &question).await;
        let mut reply = refused(refusal, &parts.method);
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        return reply;
    }
    let answer = match endpoint {
        Endpoint::LogIn => match read(&parts.headers, body).await {
            Ok(attempt) => gate.login(&question, attempt).await,
            Err(cause) => Answer::Refuse(Box::new(gate.refuse(cause, &question).await)),
        },
        Endpoint::Refresh => gate.refresh(&question).await,
        Endpoint::LogOut => gate.logout(&question).await,
    };
    match answer {
        Answer::Refuse(refusal) => refused(*refusal, &parts.method),
        Answer::Reply(answer) => {
            let body = answer.body;
            let length = body.len();
            let mut reply = Response::new(Body::from(body));
            *reply.status_mut() = answer.status;
            *reply.headers_mut() = answer.headers;
            if length > 0 {
                reply
                    .headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            reply
        }
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Attempt, Cause> {
    if !is_json(headers) {
        return Err(Cause::UnsupportedMediaType("application/json"));
    }
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(Cause::BodyTooLarge);
    }
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_BYTES_MAX).collect());
    let body: Bytes = match read.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Cause::BodyTooLarge);
        }
        Ok(Err(_)) => return Err(Cause::InvalidRequest("the body broke off".into())),
        Err(_) => return Err(Cause::InvalidRequest("the body stopped coming".into())),
    };
    // serde's message may quote the body, and the body has a password in it.
    let login: Login = serde_json::from_slice(&body).map_err(|error| {
        Cause::InvalidRequest(format!(
            "the body is not {} at line {} column {}",
            match error.classify() {
                serde_json::error::Category::Data =>
                    "an object with the texts `email`, `password` and perhaps `otp`",
                _ => "JSON",
            },
            error.line(),
            error.column()
        ))
    })?;
    let Login {
        email,
        password,
        otp,
    } = login;
    Ok(Attempt {
        email,
        password,
        otp,
    })
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

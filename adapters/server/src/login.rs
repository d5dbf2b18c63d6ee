//! The session endpoints, the contract's and the gate's own: log in, refresh, log out; and taking an invitation up. The
//! gate does the work and counts the attempts; here the body is read, within its bound, and nothing of it is kept.

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{ALLOW, CONTENT_LENGTH},
};
use scopegate_axum::{Clock, refused};
use scopegate_host::{
    Cause, Contract, Gate, contract::LOGOUT_PATH, gate::Answer, session::Attempt,
};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use scopegate_axum::convert;

use crate::body;

/// The largest body of these endpoints, in bytes.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// One of the session endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    LogIn,
    Refresh,
    LogOut,
    Invitation,
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
            "/-/invitation" => Some(Self::Invitation),
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

/// What takes an invitation up.
#[derive(Deserialize)]
struct Acceptance {
    invitation: SecretString,
    password: SecretString,
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
        Endpoint::LogIn => match read::<Login>(&parts.headers, body, LOGIN_BODY).await {
            Ok(login) => gate.login(&question, login.into()).await,
            Err(cause) => Answer::Refuse(Box::new(gate.refuse(cause, &question).await)),
        },
        Endpoint::Invitation => {
            match read::<Acceptance>(&parts.headers, body, ACCEPTANCE_BODY).await {
                Ok(Acceptance {
                    invitation,
                    password,
                }) => {
                    gate.accept_invitation(&question, invitation, password)
                        .await
                }
                Err(cause) => Answer::Refuse(Box::new(gate.refuse(cause, &question).await)),
            }
        }
        Endpoint::Refresh => gate.refresh(&question).await,
        Endpoint::LogOut => gate.logout(&question).await,
    };
    sent(answer, &parts.method)
}

/// An answer of the gate's as a response.
pub(crate) fn sent(answer: Answer, method: &Method) -> Response<Body> {
    match answer {
        Answer::Refuse(refusal) => refused(*refusal, method),
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

/// What a log-in's body is.
const LOGIN_BODY: &str = "an object with the texts `email`, `password` and perhaps `otp`";
/// What the body of who takes an invitation up is.
const ACCEPTANCE_BODY: &str = "an object with the texts `invitation` and `password`";

impl From<Login> for Attempt {
    fn from(login: Login) -> Self {
        Self {
            email: login.email,
            password: login.password,
            otp: login.otp,
        }
    }
}

async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    what: &str,
) -> Result<T, Cause> {
    let body = body::json(headers, body, BODY_BYTES_MAX).await?;
    // serde's message may quote the body, and the body has a password in it.
    serde_json::from_slice(&body).map_err(|error| {
        Cause::InvalidRequest(format!(
            "the body is not {} at line {} column {}",
            match error.classify() {
                serde_json::error::Category::Data => what,
                _ => "JSON",
            },
            error.line(),
            error.column()
        ))
    })
}

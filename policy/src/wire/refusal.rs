//! Refusals in the contract's words: from a cause to status, challenge, limit headers and body.
//!
//! Errors follow RFC 9457, challenges RFC 6750. The cause's own text is for the log; what the caller reads never
//! has more in it than what the caller sent.

use crate::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use uuid::Uuid;

use super::{Cause, Errors, headers::REQUEST_ID, limit::Taken, template};

/// Where problems are documented, one page for each code.
const PROBLEMS: &str = "https://scopegate.dev/problems/";
/// Longest piece of the caller's own input that a refusal repeats, in bytes.
const ECHO_BYTES_MAX: usize = 253;
/// Longest text of the management API in a refusal, in bytes: it may list names.
const TEXT_BYTES_MAX: usize = 1000;
/// `Retry-After` of a 503, in seconds.
const UNAVAILABLE_RETRY_SECS: i64 = 1;

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The headers that tell a limit's state: on every response, refusals too.
pub fn limit_headers(taken: &Taken) -> [(HeaderName, HeaderValue); 3] {
    [
        (RATE_LIMIT, HeaderValue::from(taken.limit)),
        (RATE_REMAINING, HeaderValue::from(taken.remaining)),
        (RATE_RESET, HeaderValue::from(taken.reset_at)),
    ]
}

/// A refusal, ready to send: the contract's own words.
#[derive(Debug)]
pub struct Refusal {
    /// What happened, for logs, metrics and tests; the client sees only the rest.
    pub cause: Cause,
    /// The HTTP status.
    pub status: StatusCode,
    /// All headers, `Content-Type` among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Refusal {
    /// The cause's word as callers are told it: safe wherever a word is, whatever a policy called it.
    pub fn code(&self) -> &str {
        code(&self.cause)
    }
}

/// A refusal in these words, ready to send.
///
/// `limit` is the state of the bucket that the request counted against; its headers are set, and a 429 says by it
/// when to come back.
pub fn refuse(errors: &Errors, cause: Cause, limit: &Taken, request_id: Uuid) -> Refusal {
    let status = status(errors, &cause);
    let mut headers = HeaderMap::with_capacity(10);
    headers.extend(limit_headers(limit));
    headers.insert(REQUEST_ID, uuid_value(request_id));
    if let Ok(content_type) = HeaderValue::from_str(&errors.content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    if matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    ) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(limit.retry_after_secs()),
            );
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(UNAVAILABLE_RETRY_SECS),
            );
        }
        _ => {}
    }
    if let Some(challenge) = challenge(errors, &cause, status) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    let body = body(errors, &cause, status, request_id);
    Refusal {
        cause,
        status,
        headers,
        body,
    }
}

/// What there is to say of a refusal besides sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The machine-readable word.
    pub code: String,
    /// The HTTP status that it would have.
    pub status: StatusCode,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What happened here, as far as the caller may know.
    pub detail: String,
}

/// The words for a cause, for those who are told of it and are not refused themselves.
pub fn words(cause: &Cause) -> Words {
    Words {
        code: code(cause).to_owned(),
        status: cause.status(),
        title: title(cause),
        detail: detail(cause),
    }
}

/// A UUID as a header value, made on the stack.
pub fn uuid_value(id: Uuid) -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer))
        .unwrap_or(HeaderValue::from_static("-"))
}

fn status(errors: &Errors, cause: &Cause) -> StatusCode {
    match cause {
        Cause::SeveralCredentials if errors.several_credentials_401 => StatusCode::UNAUTHORIZED,
        _ => cause.status(),
    }
}

/// RFC 6750, section 3: every 401; and a 403 for want of a permission, which it names.
fn challenge(errors: &Errors, cause: &Cause, status: StatusCode) -> Option<HeaderValue> {
    let realm: String = errors
        .realm
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .filter(|c| !matches!(c, '"' | '\\'))
        .collect();
    let text = match cause {
        Cause::SeveralCredentials => format!("Bearer realm=\"{realm}\", error=\"invalid_request\""),
        Cause::NotAuthenticated
        | Cause::Denied(Reason::NotAuthenticated)
        | Cause::BadLogin
        | Cause::OtpRequired => {
            format!("Bearer realm=\"{realm}\"")
        }
        Cause::Denied(Reason::MissingPermission(permission)) => match is_scope(permission) {
            true => format!(
                "Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{permission}\""
            ),
            false => format!("Bearer realm=\"{realm}\", error=\"insufficient_scope\""),
        },
        _ if status == StatusCode::UNAUTHORIZED => {
            format!("Bearer realm=\"{realm}\", error=\"invalid_token\"")
        }
        _ => return None,
    };
    HeaderValue::from_str(&text).ok()
}

/// `scope-token` of RFC 6749, section 3.3. A policy written by hand may answer with any text.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn body(errors: &Errors, cause: &Cause, status: StatusCode, request_id: Uuid) -> String {
    let code = code(cause);
    let detail = detail(cause);
    let words = errors.text(code, status.as_u16());
    let value_of = |name: &str| -> Option<Value> {
        Some(match name {
            "type" => format!("{PROBLEMS}{code}").into(),
            "title" => title(cause).into(),
            "status" => status.as_u16().into(),
            "detail" => detail.clone().into(),
            "code" => code.into(),
            "instance" => request_id.to_string().into(),
            "text" => match words {
                Some(words) => template::fill_text(words, &|name| subject(name, cause)).into(),
                None => detail.clone().into(),
            },
            _ => return None,
        })
    };
    template::fill(&errors.body, &value_of).to_string()
}

/// `{permission}` and `{cluster}` in a product's own words.
fn subject(name: &str, cause: &Cause) -> Option<Value> {
    let Cause::Denied(reason) = cause else {
        return None;
    };
    match (name, reason) {
        ("permission", Reason::MissingPermission(_))
        | ("cluster", Reason::ClusterNotAllowed(_) | Reason::AgentOutsideCluster(_)) => {
            reason.subject().map(|subject| shortened(subject).into())
        }
        _ => None,
    }
}

/// The cause's code, or `denied` for a word of a hand-written policy that is none.
pub fn code(cause: &Cause) -> &str {
    let code = cause.code();
    let is_word = code.len() <= 64
        && code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        });
    if is_word { code } else { "denied" }
}

fn shortened(text: &str) -> &str {
    cut(text, ECHO_BYTES_MAX)
}

/// The start of a text, of so many bytes at most and of whole characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

/// The same for every occurrence of a problem.
fn title(cause: &Cause) -> &'static str {
    match cause {
        Cause::InvalidRequest(_) => "Invalid request",
        Cause::SeveralCredentials => "Several credentials",
        Cause::NotAuthenticated | Cause::Denied(Reason::NotAuthenticated) => "Credential required",
        Cause::UnknownCredential => "Credential not accepted",
        Cause::Revoked => "Credential revoked",
        Cause::Expired => "Credential expired",
        Cause::InvalidToken(_) => "Invalid token",
        Cause::TokenExpired => "Token expired",
        Cause::MissingOrgId => "Token without organization",
        Cause::BadLogin => "Sign-in failed",
        Cause::OtpRequired => "Code required",
        Cause::Denied(reason) => denied_title(reason),
        Cause::MethodNotAllowed => "Method not allowed",
        Cause::UnsupportedMediaType(_) => "Unsupported media type",
        Cause::BodyTooLarge => "Body too large",
        Cause::Unprocessable(_) => "Not possible",
        Cause::NotFound(_) => "Not found",
        Cause::Conflict(_) => "Conflict",
        Cause::NotHeld(_) => "More than you hold",
        Cause::Stale(_) => "Changed meanwhile",
        Cause::PreconditionRequired => "If-Match required",
        Cause::RateLimited => "Rate limit exceeded",
        Cause::TooManyFailures => "Too many failures",
        Cause::PolicyFault(_) => "Policy fault",
        Cause::Overloaded => "Overloaded",
        Cause::Unavailable(_) => "Temporarily unavailable",
        Cause::RevocationPending => "Not known everywhere yet",
        Cause::BadGateway(_) => "Bad gateway",
        Cause::GatewayTimeout => "Gateway timeout",
        Cause::UnfilterableList(_) | Cause::ListNotFilterable => "List cannot be narrowed",
    }
}

fn denied_title(reason: &Reason) -> &'static str {
    match reason {
        Reason::NoRoute => "Not found",
        Reason::AmbiguousPath => "Ambiguous path",
        Reason::MissingPermission(_) => "Permission missing",
        Reason::ClusterNotAllowed(_) | Reason::AgentOutsideCluster(_) => "Cluster not allowed",
        Reason::ClusterRequired => "Cluster required",
        Reason::ClustersRestricted => "Restricted to clusters",
        Reason::ReadOnlyKey => "Keys may only read",
        Reason::OperatorRequired => "Operator required",
        Reason::SignInRequired => "Sign-in required",
        Reason::ConditionNotMet => "Condition not met",
        _ => "Denied",
    }
}

/// What happened here, as far as the caller may know.
fn detail(cause: &Cause) -> String {
    match cause {
        Cause::InvalidRequest(what) => shortened(what).to_owned(),
        Cause::SeveralCredentials => {
            "more than one credential, or the header of one more than once".to_owned()
        }
        Cause::NotAuthenticated | Cause::Denied(Reason::NotAuthenticated) => {
            "a credential is needed".to_owned()
        }
        Cause::UnknownCredential => "the credential is not accepted".to_owned(),
        Cause::Revoked => "the credential was revoked".to_owned(),
        Cause::Expired => "the credential has expired".to_owned(),
        Cause::InvalidToken(_) => "the token cannot be verified".to_owned(),
        Cause::TokenExpired => "the token has expired".to_owned(),
        Cause::MissingOrgId => "the token has no `org_id` claim".to_owned(),
        Cause::BadLogin => "wrong e-mail address, password or code".to_owned(),
        Cause::OtpRequired => "a code of the second factor is needed: send it as `otp`".to_owned(),
        Cause::Denied(reason) => denied_detail(reason),
        Cause::MethodNotAllowed => "this endpoint does not have the method".to_owned(),
        Cause::UnsupportedMediaType(wanted) => format!("the body is not of the type {wanted}"),
        Cause::BodyTooLarge => "the body is larger than this endpoint takes".to_owned(),
        Cause::Unprocessable(what)
        | Cause::NotFound(what)
        | Cause::Conflict(what)
        | Cause::NotHeld(what)
        | Cause::Stale(what) => cut(what, TEXT_BYTES_MAX).to_owned(),
        Cause::PreconditionRequired => {
            "say by `If-Match` which version you change: its `ETag`".to_owned()
        }
        Cause::RateLimited => "the limit of requests is used up for now".to_owned(),
        Cause::TooManyFailures => "too many rejected credentials or log-ins".to_owned(),
        Cause::PolicyFault(_) => "the request could not be decided".to_owned(),
        Cause::Overloaded => "too many requests at once".to_owned(),
        Cause::Unavailable(_) => "something that is needed to decide is not available".to_owned(),
        Cause::RevocationPending => {
            "the change is made, and other gates may not know of it yet: ask for it again to be sure"
                .to_owned()
        }
        Cause::BadGateway(_) => "the upstream did not answer properly".to_owned(),
        Cause::GatewayTimeout => "the upstream did not answer in time".to_owned(),
        Cause::UnfilterableList(_) => {
            "the upstream's list could not be narrowed to your clusters".to_owned()
        }
        Cause::ListNotFilterable => {
            "the credential is restricted to clusters, and nobody here can narrow this list to them"
                .to_owned()
        }
    }
}

fn denied_detail(reason: &Reason) -> String {
    match reason {
        Reason::NoRoute => "there is nothing here".to_owned(),
        Reason::AmbiguousPath => "the path matches a route only when case is ignored".to_owned(),
        Reason::MissingPermission(name) => {
            format!("the permission `{}` is missing", shortened(name))
        }
        Reason::ClusterNotAllowed(id) => format!("the cluster `{}` is not allowed", shortened(id)),
        Reason::AgentOutsideCluster(id) => {
            format!("`{}` is not the agent's own cluster", shortened(id))
        }
        Reason::ClusterRequired => {
            "the credential is restricted to clusters: name one of them".to_owned()
        }
        Reason::ClustersRestricted => {
            "the credential is restricted to clusters, and this covers all of them".to_owned()
        }
        Reason::ReadOnlyKey => "keys may only read here".to_owned(),
        Reason::OperatorRequired => "only an operator of the gate may do this".to_owned(),
        Reason::SignInRequired => "a fresh sign-in is needed".to_owned(),
        Reason::ConditionNotMet => "a condition of the policy is not met".to_owned(),
        _ => "the policy refused the request".to_owned(),
    }
}

//! What Envoy is answered.
//!
//! Envoy takes the protobuf default for an allow, and a denial with the code 0 as well; an `error_response` it lets
//! through where it is told to fail open. So nothing but [`Reply`] becomes a `CheckResponse`: it has no default, begins
//! with the code, is made from an admission or from a refusal, and knows no `error_response`.

use std::num::NonZeroI32;

use envoy_types::{
    ext_authz::v3::pb::{
        CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue as RawHeader,
        HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse,
    },
    pb::google::{protobuf::Struct, rpc},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, PROXY_AUTHORIZATION},
};
use scopegate_host::{Admission, Refusal};
use tonic::Code;

use crate::metadata::metadata;

/// An answer. [`Reply::allow`] and [`Reply::deny`] are the only ways to one.
#[derive(Debug)]
pub(crate) struct Reply(Decided);

/// The code of a denial is not zero by its type.
#[derive(Debug)]
enum Decided {
    Allowed(OkHttpResponse, Struct),
    Denied(NonZeroI32, DeniedHttpResponse),
}

/// An admission that no reply can carry: a header that is not text. The gate makes none such.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header `{0}` cannot be told to Envoy")]
pub(crate) struct Unsayable(HeaderName);

impl Reply {
    /// Forward it: to the target that was judged, with the identity in place of whatever the client sent under these
    /// names, without credentials, and without what is `ended`.
    ///
    /// # Errors
    /// When a header of the admission is not text; it is to be refused then.
    pub(crate) fn allow(admission: &Admission, ended: &[HeaderName]) -> Result<Self, Unsayable> {
        let mut target = admission.path.clone();
        if !admission.query.is_empty() {
            target.push('?');
            target.push_str(&admission.query);
        }
        // Always said: then the upstream reads what was judged, whichever way Envoy has read it.
        let mut headers = vec![set(":path", target)];
        for (name, value) in &admission.identity {
            headers.push(set(name.as_str(), sayable(name, value)?));
        }
        let mut response = Vec::with_capacity(admission.response.len());
        for (name, value) in &admission.response {
            response.push(set(name.as_str(), sayable(name, value)?));
        }
        let allowed = OkHttpResponse {
            headers,
            headers_to_remove: to_remove(admission, ended),
            response_headers_to_add: response,
            ..OkHttpResponse::default()
        };
        Ok(Self(Decided::Allowed(allowed, metadata(admission))))
    }

    /// Answer this instead.
    pub(crate) fn deny(refusal: &Refusal) -> Self {
        let status = match refusal.status {
            status if status.is_client_error() || status.is_server_error() => status,
            // Envoy would show a denial that looks like an answer of the upstream.
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let denied = DeniedHttpResponse {
            status: Some(HttpStatus {
                code: i32::from(status.as_u16()),
            }),
            headers: denied_headers(&refusal.headers),
            body: refusal.body.clone(),
        };
        Self(Decided::Denied(code(status), denied))
    }
}

impl From<Reply> for CheckResponse {
    fn from(reply: Reply) -> Self {
        let (code, http_response, dynamic_metadata) = match reply.0 {
            Decided::Denied(code, denied) => {
                (code.get(), HttpResponse::DeniedResponse(denied), None)
            }
            Decided::Allowed(allowed, metadata) => (
                Code::Ok as i32,
                HttpResponse::OkResponse(allowed),
                Some(metadata),
            ),
        };
        Self {
            status: Some(rpc::Status {
                code,
                message: String::new(),
                details: Vec::new(),
            }),
            http_response: Some(http_response),
            dynamic_metadata,
        }
    }
}

/// The code for Envoy's statistics; the client sees the HTTP status.
fn code(status: StatusCode) -> NonZeroI32 {
    let code = match status {
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        status if status.is_server_error() => Code::Unavailable,
        _ => Code::PermissionDenied,
    };
    NonZeroI32::new(code as i32).unwrap_or(NonZeroI32::MAX)
}

/// What is taken off the upstream request. Envoy removes after it has set, so never what the gate itself says there.
fn to_remove(admission: &Admission, ended: &[HeaderName]) -> Vec<String> {
    let mut names: Vec<&HeaderName> = Vec::with_capacity(admission.remove.len() + ended.len() + 1);
    let said = |name: &HeaderName| admission.identity.iter().any(|(known, _)| known == name);
    let all = admission.remove.iter().chain(ended);
    for name in all.chain([&PROXY_AUTHORIZATION]) {
        // What Envoy writes about the client is its own, whatever the client's `Connection` says.
        let is_envoys = name.as_str().starts_with("x-forwarded-");
        if !said(name) && !is_envoys && !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| name.as_str().to_owned())
        .collect()
}

/// The refusal's headers; Envoy counts the body itself.
fn denied_headers(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    let mut told = Vec::with_capacity(headers.len());
    for name in headers.keys().filter(|name| **name != CONTENT_LENGTH) {
        let values = headers.get_all(name).iter();
        // Without a header it is the same refusal.
        let values = values.filter_map(|value| value.to_str().ok());
        for (index, value) in values.enumerate() {
            let action = match index {
                0 => HeaderAppendAction::OverwriteIfExistsOrAdd,
                _ => HeaderAppendAction::AppendIfExistsOrAdd,
            };
            told.push(header(name.as_str(), value.to_owned(), action));
        }
    }
    told
}

fn sayable(name: &HeaderName, value: &HeaderValue) -> Result<String, Unsayable> {
    match value.to_str() {
        Ok(value) => Ok(value.to_owned()),
        Err(_) => Err(Unsayable(name.clone())),
    }
}

fn set(name: &str, value: String) -> HeaderValueOption {
    header(name, value, HeaderAppendAction::OverwriteIfExistsOrAdd)
}

fn header(name: &str, value: String, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(RawHeader {
            key: name.to_owned(),
            value,
            raw_value: Vec::new(),
        }),
        append_action: action as i32,
        ..HeaderValueOption::default()
    }
}

#[cfg(test)]
mod tests;

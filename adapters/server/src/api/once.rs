//! `Idempotency-Key`: a request that makes something can be sent again without making it twice; and replies with a
//! secret, which is shown once.

use axum::{
    Json,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header::CACHE_CONTROL, request::Parts};
use scopegate_host::admin::Once;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{State, error::Failed};

/// The header.
const HEADER: &str = "idempotency-key";
/// Says that what the reply tells of was made before.
const REPLAYED: &str = "idempotency-replayed";
const KEY_CHARS_MAX: usize = 255;

/// The key of a request, if it has one, and what the request asks for besides its body.
pub(super) struct OnceKey {
    key: Option<String>,
    method: Method,
    path: String,
}

impl OnceKey {
    /// For a request with this body.
    pub(super) fn of(self, body: &[u8]) -> Option<Once> {
        let key = self.key?;
        let mut hash = Sha256::new();
        for part in [self.method.as_str().as_bytes(), self.path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Some(Once {
            key,
            fingerprint: hash.finalize().into(),
        })
    }
}

impl FromRequestParts<State> for OnceKey {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Failed> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => {
                let text = value.to_str().ok().filter(|text| {
                    (1..=KEY_CHARS_MAX).contains(&text.len())
                        && text.bytes().all(|byte| byte.is_ascii_graphic())
                });
                Some(text.map(str::to_owned).ok_or_else(|| {
                    Failed::invalid("`Idempotency-Key` is 1 to 255 visible ASCII characters")
                })?)
            }
            (Some(_), Some(_)) => {
                return Err(Failed::invalid("more than one `Idempotency-Key`"));
            }
        };
        Ok(Self {
            key,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
        })
    }
}

/// What was made by this request, or by the same one before: shown once, kept by no cache.
pub(super) fn shown_once(body: impl Serialize, replayed: bool) -> Response {
    let mut reply = (StatusCode::CREATED, Json(body)).into_response();
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    reply
}

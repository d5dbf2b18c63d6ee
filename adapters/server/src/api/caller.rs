//! Who calls, as handlers take them, and the bodies and parameters that they send.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use scopegate_host::{
    Admission, Cause, Principal, admin::Admin, contract::Authority, engine::Policy,
};
use serde::de::DeserializeOwned;

use super::{State, error::Failed, slip};
use crate::body;

/// The largest body, in bytes, where an endpoint does not say otherwise.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The caller of an admitted request, and all that is done on their behalf.
pub(super) struct Caller {
    pub(super) state: State,
    pub(super) admission: Arc<Admission>,
    pub(super) principal: Arc<Principal>,
    pub(super) policy: Arc<Policy>,
    /// Milliseconds since the epoch, the same through the whole request.
    pub(super) now_ms: i64,
}

impl Caller {
    /// Seconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// What keys may do here before their scopes narrow them.
    pub(super) fn authority(&self) -> &Authority {
        &self.state.gate.contract().authority
    }

    /// What they may do, within their bounds.
    pub(super) fn admin(&self) -> Admin<'_> {
        let gate = &self.state.gate;
        Admin::of_caller(
            gate.directory(),
            gate.contract(),
            self.policy.description(),
            &self.principal,
            &self.admission.roles,
            self.admission.request_id,
            self.admission.client,
        )
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failed> {
        let admission = parts.extensions.get::<Arc<Admission>>().cloned();
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        // The gate lets nobody through to here who has no name.
        let (Some(admission), Some(principal)) = (admission, principal) else {
            return Err(Failed(Cause::NotAuthenticated));
        };
        Ok(Self {
            policy: Arc::clone(&admission.policy),
            admission,
            principal,
            now_ms: state.clock.now_ms(),
            state: state.clone(),
        })
    }
}

/// A body of JSON, of so many bytes at most, and the bytes that it came in.
pub(super) struct Json<T, const BYTES_MAX: usize = BODY_BYTES_MAX> {
    pub(super) value: T,
    pub(super) bytes: bytes::Bytes,
}

impl<T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<State> for Json<T, BYTES_MAX> {
    type Rejection = Failed;

    async fn from_request(request: Request, _: &State) -> Result<Self, Failed> {
        let (parts, body) = request.into_parts();
        let bytes = body::json(&parts.headers, body, BYTES_MAX)
            .await
            .map_err(Failed)?;
        match slip::json(&bytes) {
            Ok(value) => Ok(Self { value, bytes }),
            Err(slip) => Err(Failed::invalid(format!("the body: {slip}"))),
        }
    }
}

/// Parameters of the query. Names that are not known are refused, so that a slip of the hand shows.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<State> for Parameters<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Failed> {
        match slip::query(parts.uri.query().unwrap_or_default()) {
            Ok(value) => Ok(Self(value)),
            Err(slip) => Err(Failed::invalid(format!("the query: {slip}"))),
        }
    }
}

/// A part of the path. One that cannot be an id names nothing.
pub(super) struct Id<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Id<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failed> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Failed(Cause::NotFound(
                "there is nothing of this id".to_owned(),
            ))),
        }
    }
}

//! From what went wrong to the cause that the gate words and records.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use scopegate_host::{
    Cause,
    admin::{AdminError, ErrorKind},
};

/// What a handler gives instead of a reply.
#[derive(Clone, Debug)]
pub(crate) struct Failed(pub(crate) Cause);

impl Failed {
    /// The request's shape is wrong; the text names the place.
    pub(super) fn invalid(what: impl Into<String>) -> Self {
        Self(Cause::InvalidRequest(what.into()))
    }
}

/// Only the status: whoever calls the handler finds the cause in the extensions and words it.
impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut reply = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        *reply.status_mut() = self.0.status();
        reply.extensions_mut().insert(self);
        reply
    }
}

/// An error as callers are told of it.
pub(super) fn worded(error: AdminError) -> String {
    let AdminError { message, help, .. } = error;
    match help {
        Some(help) => format!("{message}: {help}"),
        None => message,
    }
}

impl From<AdminError> for Failed {
    fn from(error: AdminError) -> Self {
        let kind = error.kind;
        let text = worded(error);
        Self(match kind {
            // Names stand in bodies; what a path names is there or missing.
            ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Unknown => {
                Cause::Unprocessable(text)
            }
            ErrorKind::Missing => Cause::NotFound(text),
            ErrorKind::Conflict => Cause::Conflict(text),
            ErrorKind::Forbidden => Cause::NotHeld(text),
            ErrorKind::Ended => Cause::Revoked,
            ErrorKind::Stale => Cause::Stale(text),
            ErrorKind::Unavailable => Cause::Unavailable(text),
            ErrorKind::Pending => Cause::RevocationPending,
        })
    }
}

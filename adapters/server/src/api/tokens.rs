//! Credentials that others present to a service behind the gate: introspection (RFC 7662) and revocation (RFC 7009).
//!
//! The service is known by its own credential. It learns of credentials of its own organization only, and by having
//! them; so it may end them as well.

use axum::{
    Json as Reply,
    extract::FromRequest,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use scopegate_host::{CallerKind, Cause, gate::Introspection};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{State, caller::Caller, error::Failed};
use crate::body;

/// The largest form, in bytes. The longest session fits.
const FORM_BYTES_MAX: usize = 32 << 10;

/// A credential that somebody has presented
#[derive(Deserialize, ToSchema)]
pub(super) struct Token {
    /// It
    #[schema(value_type = String, example = "sg_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17")]
    token: SecretString,
    /// Of which kind it is thought to be; not needed
    #[schema(example = "access_token")]
    #[serde(default, rename = "token_type_hint")]
    _hint: Option<String>,
}

/// The body of both requests: a form, as the RFCs have it.
pub(super) struct TokenForm(SecretString);

impl FromRequest<State> for TokenForm {
    type Rejection = Failed;

    async fn from_request(request: axum::extract::Request, _: &State) -> Result<Self, Failed> {
        let (parts, body) = request.into_parts();
        let form = body::form(&parts.headers, body, FORM_BYTES_MAX)
            .await
            .map_err(Failed)?;
        match serde_urlencoded::from_bytes(&form) {
            Ok(Token { token, .. }) => Ok(Self(token)),
            // The reason may quote the body.
            Err(_) => Err(Failed::invalid("the body is not a form with a `token`")),
        }
    }
}

/// What a credential is
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Introspected {
    /// Whether it is good now; nothing else is said of one that is not
    active: bool,
    /// What it is narrowed to, with spaces between; missing where it is not narrowed
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "clusters:read nodes:read")]
    scope: Option<String>,
    /// The credential's id
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Uuid>,
    /// Whose name the audit shows
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ada@example.com")]
    username: Option<String>,
    /// `session`, `api-key` or `agent`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "api-key")]
    token_type: Option<&'static str>,
    /// When it ends by itself, in seconds since the epoch
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// Who acts: the user, the key or the agent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11")]
    sub: Option<String>,
    /// The organization
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<Uuid>,
}

/// Introspect a credential
///
/// RFC 7662: what a service behind the gate asks about a key or session that was presented to it.
#[utoipa::path(post, path = "/-/api/introspect", tag = "Credentials", operation_id = "introspect",
    request_body(content = Token, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspected)))]
pub(super) async fn introspect(
    caller: Caller,
    TokenForm(token): TokenForm,
) -> Result<Response, Failed> {
    let gate = &caller.state.gate;
    let found = gate
        .introspect(token.expose_secret(), &caller.principal, caller.now_ms)
        .await
        .map_err(|error| Failed(Cause::Unavailable(error.to_string())))?;
    let mut reply = Reply(view(found)).into_response();
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

fn view(found: Option<Introspection>) -> Introspected {
    let Some(found) = found else {
        return Introspected {
            active: false,
            scope: None,
            client_id: None,
            username: None,
            token_type: None,
            exp: None,
            sub: None,
            org_id: None,
        };
    };
    Introspected {
        active: true,
        scope: found.scopes.map(|scopes| scopes.join(" ")),
        client_id: Some(found.credential),
        username: Some(found.name),
        token_type: Some(match found.kind {
            CallerKind::Session => "session",
            CallerKind::ApiKey => "api-key",
            CallerKind::Agent => "agent",
            CallerKind::Anonymous => "anonymous",
        }),
        exp: found.expires_at,
        sub: Some(found.subject),
        org_id: Some(found.organization),
    }
}

/// Revoke a credential
///
/// RFC 7009: whoever has a credential may end it. The answer is the same for one that is not known.
#[utoipa::path(post, path = "/-/api/revoke", tag = "Credentials", operation_id = "revoke",
    request_body(content = Token, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It is not good, or no longer")))]
pub(super) async fn revoke(
    caller: Caller,
    TokenForm(token): TokenForm,
) -> Result<StatusCode, Failed> {
    let gate = &caller.state.gate;
    let origin = caller.admin().origin().clone();
    let revoked = gate
        .revoke_presented(
            token.expose_secret(),
            &caller.principal,
            origin,
            caller.now_ms,
        )
        .await;
    match revoked {
        Ok(_) => Ok(StatusCode::OK),
        Err(error) => Err(Failed(error.into())),
    }
}

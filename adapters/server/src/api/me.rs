//! Oneself: who the gate takes one for, one's password and one's second factor.

use axum::Json as Reply;
use http::StatusCode;
use jiff::Timestamp;
use scopegate_host::{
    CallerKind, Cause, Clusters,
    factor::FactorError,
    session::PasswordOutcome,
    store::{Conflict, Origin},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::{Caller, Json},
    error::Failed,
    once::shown_once,
    view::moment,
};

/// Who the gate takes a caller for
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// `session` or `api-key`
    #[schema(example = "session")]
    kind: String,
    /// Whose name the audit shows
    #[schema(example = "ada@example.com")]
    name: String,
    /// The key's name, for keys
    #[schema(example = "grafana-export")]
    key_name: Option<String>,
    /// The session or the key
    credential: Uuid,
    /// The user, where there is one
    user: Option<Uuid>,
    /// The organization; operators are in none
    organization: Option<Uuid>,
    /// Whether this is an operator of the gate
    operator: bool,
    /// Roles
    #[schema(example = json!(["viewer"]))]
    roles: Vec<String>,
    /// Every permission that is held now, scopes taken into account
    #[schema(example = json!(["clusters:read"]))]
    permissions: Vec<String>,
    /// The clusters that may be touched; `null`: every cluster
    #[schema(example = json!(["prod"]))]
    clusters: Option<Vec<String>>,
    /// When the credential ends by itself
    expires_at: Option<Timestamp>,
    /// When the user signed in, for sessions
    signed_in_at: Option<Timestamp>,
    /// Whether with a second factor
    mfa: bool,
    /// How the user's second factor stands; `null`: there is none
    factor: Option<Factor>,
}

/// How a second factor stands
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Factor {
    /// When enrolment began
    created_at: Timestamp,
    /// When it was confirmed; `null`: log-ins go without it until it is
    confirmed_at: Option<Timestamp>,
    /// How many recovery codes are left
    recovery_codes_left: u32,
}

/// A password that replaces another
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    /// The current one
    #[schema(value_type = String, format = Password, max_length = 1024, example = "the old one, which was long")]
    current: SecretString,
    /// The new one, of at least 8 characters
    #[schema(value_type = String, format = Password, max_length = 1024, example = "the new one, which is longer")]
    new: SecretString,
}

/// A secret for an authenticator app, shown this once
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentView {
    /// In base32, to type in
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// To be shown as a QR code
    #[schema(
        example = "otpauth://totp/scopegate:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=scopegate"
    )]
    url: String,
}

/// A code of the authenticator app
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmFactor {
    /// Six digits
    #[schema(value_type = String, max_length = 64, example = "123456")]
    otp: SecretString,
}

/// Recovery codes, shown this once: each stands in for a code of the app, once
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    /// They
    #[schema(example = json!(["K5QW-GZLT-NF2C-43DP"]))]
    recovery_codes: Vec<String>,
}

/// Read who I am
#[utoipa::path(get, path = "/-/api/me", tag = "Me", operation_id = "readMe", responses((status = 200, body = Me)))]
pub(super) async fn read(caller: Caller) -> Result<Reply<Me>, Failed> {
    let principal = &caller.principal;
    let facts = &principal.caller;
    let factor = match (principal.kind, principal.user) {
        (CallerKind::Session, Some(user)) => {
            let sessions = caller.state.gate.sessions();
            // Users of external issuers have none here.
            sessions.factor_status(user).await.unwrap_or_default()
        }
        _ => None,
    };
    let admin = caller.admin();
    let held = admin.held().unwrap_or_default();
    Ok(Reply(Me {
        kind: match principal.kind {
            CallerKind::Session => "session",
            CallerKind::ApiKey => "api-key",
            CallerKind::Agent => "agent",
            CallerKind::Anonymous => "anonymous",
        }
        .to_owned(),
        name: principal.name.clone(),
        key_name: principal.key_name.clone(),
        credential: principal.credential,
        user: principal.user,
        organization: (!facts.operator).then_some(principal.organization),
        operator: facts.operator,
        roles: facts.roles.clone(),
        permissions: held.into_iter().map(str::to_owned).collect(),
        clusters: match facts.effective_clusters() {
            Clusters::All => None,
            Clusters::Only(ids) => Some(ids),
        },
        expires_at: principal.expires_at.map(moment),
        signed_in_at: facts.auth_time.map(moment),
        mfa: facts.mfa,
        factor: factor.map(|factor| Factor {
            created_at: moment(factor.created_at),
            confirmed_at: factor.confirmed_at.map(moment),
            recovery_codes_left: factor.recovery_codes_left,
        }),
    }))
}

/// Change my password
///
/// My other sessions end. Needs a sign-in at most 15 minutes old.
#[utoipa::path(put, path = "/-/api/me/password", tag = "Me", operation_id = "changePassword",
    request_body = ChangePassword, responses((status = 204)))]
pub(super) async fn change_password(
    caller: Caller,
    Json { value, .. }: Json<ChangePassword>,
) -> Result<StatusCode, Failed> {
    let (session, user, origin) = session_of(&caller)?;
    let gate = &caller.state.gate;
    let ChangePassword { current, new } = value;
    let changed = gate
        .change_password(session, user, current, new, origin, caller.now_ms)
        .await;
    match changed {
        Ok(Ok(PasswordOutcome::Changed)) => Ok(StatusCode::NO_CONTENT),
        Ok(Ok(PasswordOutcome::WrongPassword)) => {
            Err(unprocessable("the current password is another one"))
        }
        Ok(Ok(PasswordOutcome::BadPassword(bad))) => Err(unprocessable(&bad.to_string())),
        Ok(Ok(PasswordOutcome::Overloaded)) => Err(Failed(Cause::Overloaded)),
        Ok(Ok(PasswordOutcome::Gone)) => Err(Failed(Cause::Revoked)),
        Ok(Err(_)) => Err(Failed(Cause::TooManyFailures)),
        Err(error) => Err(Failed(error.into())),
    }
}

/// Begin to enrol a second factor
///
/// Shows the secret for an authenticator app, once. Log-ins go on without it until it is confirmed. Needs a sign-in at
/// most 15 minutes old.
#[utoipa::path(post, path = "/-/api/me/factor", tag = "Me", operation_id = "beginFactor",
    responses((status = 201, body = EnrolmentView)))]
pub(super) async fn begin_factor(caller: Caller) -> Result<axum::response::Response, Failed> {
    let (_, user, origin) = session_of(&caller)?;
    let sessions = caller.state.gate.sessions();
    let enrolment = sessions.begin_factor(user, origin, caller.now_ms).await?;
    let view = EnrolmentView {
        secret: enrolment.secret.expose_secret().to_owned(),
        url: enrolment.url.expose_secret().to_owned(),
    };
    Ok(shown_once(view, false))
}

/// Confirm my second factor
///
/// With a first code of the app. This session has its second factor from now on, my other sessions end, and every
/// log-in needs a code. Shows the recovery codes, once. Needs a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/me/factor/confirm", tag = "Me", operation_id = "confirmFactor",
    request_body = ConfirmFactor, responses((status = 201, body = RecoveryCodes)))]
pub(super) async fn confirm_factor(
    caller: Caller,
    Json { value, .. }: Json<ConfirmFactor>,
) -> Result<axum::response::Response, Failed> {
    let (session, user, origin) = session_of(&caller)?;
    let sessions = caller.state.gate.sessions();
    let codes = sessions
        .confirm_factor(session, user, &value.otp, origin, caller.now_ms)
        .await?;
    Ok(shown_once(recovery_codes(&codes), false))
}

/// Remove my second factor
///
/// And the recovery codes. Needs a sign-in at most 15 minutes old.
#[utoipa::path(delete, path = "/-/api/me/factor", tag = "Me", operation_id = "removeFactor",
    responses((status = 204)))]
pub(super) async fn remove_factor(caller: Caller) -> Result<StatusCode, Failed> {
    let (_, user, origin) = session_of(&caller)?;
    let sessions = caller.state.gate.sessions();
    sessions.remove_factor(user, origin, caller.now_ms).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make new recovery codes
///
/// Those from before work no more. Shown once. Needs a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/me/factor/recovery-codes", tag = "Me", operation_id = "makeRecoveryCodes",
    responses((status = 201, body = RecoveryCodes)))]
pub(super) async fn make_recovery_codes(
    caller: Caller,
) -> Result<axum::response::Response, Failed> {
    let (_, user, origin) = session_of(&caller)?;
    let sessions = caller.state.gate.sessions();
    let codes = sessions
        .new_recovery_codes(user, origin, caller.now_ms)
        .await?;
    Ok(shown_once(recovery_codes(&codes), false))
}

fn recovery_codes(codes: &[SecretString]) -> RecoveryCodes {
    let shown = codes.iter().map(|code| code.expose_secret().to_owned());
    RecoveryCodes {
        recovery_codes: shown.collect(),
    }
}

/// The session of a user of this gate, and where what they change comes from.
pub(super) fn session_of(caller: &Caller) -> Result<(Uuid, Uuid, Origin), Failed> {
    match (caller.principal.kind, caller.principal.user) {
        (CallerKind::Session, Some(user)) => {
            let origin = caller.admin().origin().clone();
            Ok((caller.principal.credential, user, origin))
        }
        _ => Err(Failed(Cause::NotHeld(
            "only a user of this gate who has signed in has this".to_owned(),
        ))),
    }
}

fn unprocessable(what: &str) -> Failed {
    Failed(Cause::Unprocessable(what.to_owned()))
}

impl From<FactorError> for Failed {
    fn from(error: FactorError) -> Self {
        let text = error.to_string();
        Self(match error {
            FactorError::WrongCode => Cause::Unprocessable(text),
            FactorError::Conflict(Conflict::NoFactor | Conflict::UnknownUser) => {
                Cause::NotFound(text)
            }
            FactorError::Conflict(_) => Cause::Conflict(text),
            FactorError::Store(error) => error.into(),
            FactorError::NoSealing | FactorError::Failed(_) => Cause::Unavailable(text),
        })
    }
}

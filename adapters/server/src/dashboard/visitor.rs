//! Who looks at a page: their session, who the gate takes them for, and what they sent.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts},
};
use http::{Request, StatusCode, request::Parts};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use uuid::{NoContext, Uuid};

use super::{
    Site, browser,
    calls::{Call, Calls, Source},
    fields::Fields,
    moment::Moment,
    problem::{Problem, Stop},
};
use crate::body;

/// The largest form, in bytes.
const FORM_BYTES_MAX: usize = 256 << 10;
/// A form that needs a recent sign-in is shown while this much of its quarter of an hour is over, in seconds: the rest
/// is for filling it in.
const SIGN_IN_SECS_MAX: i64 = 10 * 60;

/// How long after it was shown a form's times count from then, in seconds.
const FORM_SECS_MAX: i64 = 3600;

/// Who the gate takes the visitor for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Me {
    pub(super) name: String,
    pub(super) user: Option<Uuid>,
    pub(super) operator: bool,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
    pub(super) clusters: Option<Vec<String>>,
    pub(super) signed_in_at: Option<Timestamp>,
    pub(super) mfa: bool,
    pub(super) factor: Option<Factor>,
}

/// How a second factor stands.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Factor {
    pub(super) confirmed_at: Option<Timestamp>,
    pub(super) recovery_codes_left: u32,
}

/// Somebody who has signed in.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) site: Arc<Site>,
    pub(super) calls: Calls,
    pub(super) me: Me,
    pub(super) source: Source,
    /// Proves this visitor's forms.
    pub(super) proof: String,
    /// The path that they are at.
    pub(super) path: String,
    /// What is asked of it.
    pub(super) query: Fields,
    /// The dashboard's origin, as they reach it.
    pub(super) origin: String,
    pub(super) token: SecretString,
    pub(super) now: Timestamp,
}

impl Visitor {
    /// Whether they hold a permission.
    pub(super) fn may(&self, permission: &str) -> bool {
        self.me.permissions.iter().any(|held| held == permission)
    }

    /// For pages whose form would be refused without a permission.
    ///
    /// # Errors
    /// When they do not hold it.
    pub(super) fn must(&self, permission: &str) -> Result<(), Stop> {
        match self.may(permission) {
            true => Ok(()),
            false => Err(Problem::own(
                StatusCode::FORBIDDEN,
                "Not yours to do",
                &format!("This takes the permission `{permission}`, which you do not hold."),
            )
            .into()),
        }
    }

    /// A moment as it is seen now.
    pub(super) fn moment(&self, at: Timestamp) -> Moment {
        Moment::of(at, self.now)
    }

    /// The same for what may not be.
    pub(super) fn moment_of(&self, at: Option<Timestamp>) -> Option<Moment> {
        at.map(|at| self.moment(at))
    }

    /// For pages whose form will need a recent sign-in.
    ///
    /// # Errors
    /// When it was too long ago to fill in the form.
    pub(super) fn signed_in_recently(&self) -> Result<(), Stop> {
        let age = self
            .me
            .signed_in_at
            .map(|at| self.now.as_second().saturating_sub(at.as_second()));
        match age {
            Some(age) if age <= SIGN_IN_SECS_MAX => Ok(()),
            _ => Err(Stop::SignInAgain),
        }
    }

    /// What makes sending a form again harmless, and says when the form was shown.
    pub(super) fn once(&self) -> Uuid {
        let secs = self.now.as_second().unsigned_abs();
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, secs, 0))
    }

    /// What a form brought back of [`Visitor::once`], and the moment from which its times count: that when it was shown, so
    /// that the form says the same when it is sent again; now, where it says nothing that can be.
    pub(super) fn shown_at(&self, once: &str) -> (Uuid, Timestamp) {
        let once = once.parse().unwrap_or_else(|_| self.once());
        let at = once.get_timestamp().and_then(|at| {
            let secs = i64::try_from(at.to_unix().0).ok()?;
            Timestamp::from_second(secs).ok()
        });
        let age = |at: &Timestamp| self.now.as_second().saturating_sub(at.as_second());
        let at = at.filter(|at| (0..=FORM_SECS_MAX).contains(&age(at)));
        (once, at.unwrap_or(self.now))
    }

    /// Where the product's API is, for lines to copy.
    pub(super) fn product_url(&self) -> String {
        let reached = &self.site.reached;
        match &reached.public_url {
            Some(url) => url.to_string().trim_end_matches('/').to_owned(),
            None if reached.shared => self.origin.clone(),
            // The management listener is another one, and nobody said how clients reach the public one.
            None => "https://YOUR-GATE".to_owned(),
        }
    }
}

/// The origin of the dashboard as a browser reached it, and whether by https.
pub(super) fn reached(site: &Site, parts: &Parts, source: &Source) -> (String, bool) {
    let is_trusted = source
        .peer()
        .is_some_and(|peer| site.gate.trusts(peer.ip()));
    let forwarded = parts
        .headers
        .get("x-forwarded-proto")
        .filter(|_| is_trusted)
        .and_then(|value| value.to_str().ok());
    let secure = site.reached.is_secure(&parts.headers, forwarded);
    let host = browser::host(&parts.headers);
    // HTTP/2 has the authority in the target.
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let scheme = if secure { "https" } else { "http" };
    let origin = format!("{scheme}://{}", host.or(authority).unwrap_or_default());
    (origin, secure)
}

impl FromRequestParts<Arc<Site>> for Visitor {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Stop> {
        let token = browser::session(&parts.headers).ok_or(Stop::SignIn)?;
        let source = Source::of(parts);
        let (origin, _) = reached(site, parts, &source);
        let calls = Calls::new(site.api.clone(), source.clone(), token.clone());
        let me = calls.make(Call::get("/me")).await?.read()?;
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            calls,
            me,
            source,
            proof: browser::proof(&token),
            path: parts.uri.path().to_owned(),
            query: Fields::read(query.as_bytes()),
            origin,
            token,
            now: Timestamp::from_millisecond(site.clock.now_ms()).unwrap_or_default(),
            site: Arc::clone(site),
        })
    }
}

/// A form that a visitor sent, from a page of ours.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Site>> for Submitted {
    type Rejection = Stop;

    async fn from_request(request: Request<Body>, site: &Arc<Site>) -> Result<Self, Stop> {
        let (mut parts, body) = request.into_parts();
        let fields = read(&parts, body).await?;
        let secret = browser::session(&parts.headers).ok_or(Stop::SignIn)?;
        if !browser::is_proven(&secret, fields.one("form")) {
            return Err(Problem::foreign().into());
        }
        let visitor = Visitor::from_request_parts(&mut parts, site).await?;
        Ok(Self { visitor, fields })
    }
}

/// The fields of a form that a page of ours sent, as far as the browser says.
///
/// # Errors
/// When another page sent it, or it is no form.
pub(super) async fn read(parts: &Parts, body: Body) -> Result<Fields, Stop> {
    if !browser::is_same_origin(&parts.headers) {
        return Err(Problem::foreign().into());
    }
    match body::form(&parts.headers, body, FORM_BYTES_MAX).await {
        Ok(body) => Ok(Fields::from(&body)),
        Err(cause) => Err(Problem::own(
            match cause.status() {
                status if status.is_client_error() => status,
                _ => StatusCode::BAD_REQUEST,
            },
            "The form did not arrive",
            "It was too large, or the connection broke off. Nothing was changed.",
        )
        .into()),
    }
}

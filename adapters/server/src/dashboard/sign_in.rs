//! Signing in, with a second factor where there is one; signing out; taking an invitation up.

use std::sync::Arc;

use askama::Template;
use axum::{Router, body::Body, extract::State, response::Response, routing::get, routing::post};
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, SET_COOKIE},
    request::Parts,
};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Site, browser,
    calls::{Call, Source, query},
    fields::Fields,
    page::{Outside, done, html, see, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, reached, read},
};
use crate::login::{self, Endpoint};

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/-/sign-in", get(ask).post(sign_in))
        .route("/-/sign-out", post(sign_out))
        .route("/-/join", get(ask_password).post(join))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    shell: Outside,
    proof: String,
    next: String,
    again: bool,
    email: String,
    /// Kept for the page that asks for the code.
    password: Option<String>,
    problem: Option<String>,
    done: Option<&'static str>,
}

/// What a successful log-in replies.
#[derive(Deserialize)]
struct Granted {
    token: SecretString,
}

/// Whoever asks, and what proves their forms.
struct Stranger {
    secret: SecretString,
    cookie: Option<HeaderValue>,
}

impl Stranger {
    fn of(parts: &Parts) -> Self {
        match browser::form_cookie(&parts.headers) {
            Some(secret) => Self {
                secret,
                cookie: None,
            },
            None => {
                let (secret, cookie) = browser::new_form_cookie();
                Self {
                    secret,
                    cookie: Some(cookie),
                }
            }
        }
    }

    fn proof(&self) -> String {
        browser::proof(&self.secret)
    }

    fn shown(self, status: StatusCode, page: &impl Template) -> Response<Body> {
        let mut reply = html(status, page);
        if let Some(cookie) = self.cookie {
            reply.headers_mut().append(SET_COOKIE, cookie);
        }
        reply
    }
}

/// A page of the dashboard to go on to: nothing else, whatever the address says.
fn next(fields: &Fields) -> String {
    let next = fields.one("next");
    let plain = next
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = super::is_page(next.split('?').next().unwrap_or_default());
    // A browser takes `/-/..` and `/-/%2e%2e` out before it asks.
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let path = path.to_ascii_lowercase().replace("%2e", ".");
    let is_straight = !path.contains("/.") && !path.contains("//");
    let goes_on = plain && is_straight && is_page && !next.starts_with("/-/sign-");
    match goes_on {
        true => next.to_owned(),
        false => super::ROOT.to_owned(),
    }
}

async fn ask(request: Request<Body>) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let fields = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
    let stranger = Stranger::of(&parts);
    let page = SignIn {
        shell: Outside::new("Sign in"),
        proof: stranger.proof(),
        next: next(&fields),
        again: fields.one("again") == "yes",
        email: String::new(),
        password: None,
        problem: None,
        done: done(fields.one("done")),
    };
    stranger.shown(StatusCode::OK, &page)
}

/// The fields of a stranger's form, with what proves it.
async fn proven(request: Request<Body>) -> Result<(Parts, Fields), Stop> {
    let (parts, body) = request.into_parts();
    let fields = read(&parts, body).await?;
    let is_ours = browser::form_cookie(&parts.headers)
        .is_some_and(|secret| browser::is_proven(&secret, fields.one("form")));
    match is_ours {
        true => Ok((parts, fields)),
        false => Err(Problem::foreign().into()),
    }
}

async fn sign_in(
    State(site): State<Arc<Site>>,
    request: Request<Body>,
) -> Result<Response<Body>, Stop> {
    let (parts, fields) = proven(request).await?;
    let source = Source::of(&parts);
    let mut body = json!({ "email": fields.one("email"), "password": fields.whole("password") });
    if let (Some(code), Some(body)) = (fields.given("code"), body.as_object_mut()) {
        body.insert("otp".to_owned(), code.into());
    }
    let (_, secure) = reached(&site, &parts, &source);
    let answer = ask_gate(&site, &source, Endpoint::LogIn, "/-/login", &body).await;
    let problem = match answer {
        Ok(body) => {
            let granted: Granted =
                serde_json::from_slice(&body).map_err(|_| Problem::unreadable())?;
            let mut reply = see(&next(&fields));
            for gone in browser::clear_session() {
                reply.headers_mut().append(SET_COOKIE, gone);
            }
            let cookie = browser::set_session(&granted.token, secure);
            reply.headers_mut().append(SET_COOKIE, cookie);
            return Ok(reply);
        }
        Err(problem) => problem,
    };
    let stranger = Stranger::of(&parts);
    let asks_code = problem.code == "otp_required";
    let had_code = fields.given("code").is_some();
    let page = SignIn {
        shell: Outside::new("Sign in"),
        proof: stranger.proof(),
        next: next(&fields),
        again: fields.one("again") == "yes",
        email: fields.one("email").to_owned(),
        // After a wrong code the password need not be typed again.
        password: (asks_code || had_code).then(|| fields.whole("password").to_owned()),
        problem: (!asks_code).then(|| said(&problem, had_code)),
        done: None,
    };
    let status = if asks_code {
        StatusCode::OK
    } else {
        problem.status
    };
    Ok(stranger.shown(status, &page))
}

/// What a failed log-in is told.
fn said(problem: &Problem, had_code: bool) -> String {
    match (problem.code.as_str(), had_code) {
        ("bad-login", true) => {
            "That did not work: the e-mail address, the password or the code is another one."
                .to_owned()
        }
        ("bad-login", false) => {
            "That did not work: the e-mail address or the password is another one.".to_owned()
        }
        _ => problem.detail.clone(),
    }
}

/// Calls one of the gate's own session endpoints.
async fn ask_gate(
    site: &Site,
    source: &Source,
    endpoint: Endpoint,
    path: &str,
    body: &Value,
) -> Result<bytes::Bytes, Problem> {
    let mut request = source.request(Method::POST, path, Body::from(body.to_string()));
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    let reply = login::answer(endpoint, &site.gate, &site.clock, request).await;
    let (parts, body) = reply.into_parts();
    let body = body.collect().await.map_err(|_| Problem::unreadable())?;
    let body = body.to_bytes();
    match parts.status.is_success() {
        true => Ok(body),
        false => Err(Problem::read(parts.status, &parts.headers, &body)),
    }
}

/// Ends this session, or every session of the visitor's.
async fn sign_out(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let everywhere = fields.one("everywhere") == "yes";
    let done = if everywhere {
        let all = Call::new(Method::DELETE, "/sessions");
        visitor.calls.make(all).await?;
        "signed-out-everywhere"
    } else {
        let site = &visitor.site;
        let mut request = visitor
            .source
            .request(Method::POST, "/-/logout", Body::empty());
        browser::authorize(request.headers_mut(), &visitor.token);
        let reply = login::answer(Endpoint::LogOut, &site.gate, &site.clock, request).await;
        if !reply.status().is_success() {
            return Err(Problem::read(reply.status(), reply.headers(), b"").into());
        }
        "signed-out"
    };
    let mut reply = see_done("/-/sign-in", done);
    for gone in browser::clear_session() {
        reply.headers_mut().append(SET_COOKIE, gone);
    }
    Ok(reply)
}

#[derive(Template)]
#[template(path = "join.html")]
struct Join {
    shell: Outside,
    proof: String,
    invitation: String,
    problem: Option<String>,
}

/// The invitation stands after the `#` of its link, which no server and no log sees; the script puts it into its field.
async fn ask_password(request: Request<Body>) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let stranger = Stranger::of(&parts);
    let page = Join {
        shell: Outside::new("Choose your password"),
        proof: stranger.proof(),
        invitation: String::new(),
        problem: None,
    };
    stranger.shown(StatusCode::OK, &page)
}

async fn join(
    State(site): State<Arc<Site>>,
    request: Request<Body>,
) -> Result<Response<Body>, Stop> {
    let (parts, fields) = proven(request).await?;
    let source = Source::of(&parts);
    let invitation = fields.one("invitation");
    let (password, repeated) = (fields.whole("password"), fields.whole("repeated"));
    let problem = if password == repeated {
        let body = json!({ "invitation": invitation, "password": password });
        match ask_gate(&site, &source, Endpoint::Invitation, "/-/invitation", &body).await {
            Ok(_) => return Ok(see_done("/-/sign-in", "joined")),
            Err(problem) => problem,
        }
    } else {
        let title = "Not the same";
        Problem::own(
            StatusCode::UNPROCESSABLE_ENTITY,
            title,
            "The two passwords are not the same.",
        )
    };
    let stranger = Stranger::of(&parts);
    let page = Join {
        shell: Outside::new("Choose your password"),
        proof: stranger.proof(),
        invitation: invitation.to_owned(),
        problem: Some(problem.detail),
    };
    Ok(stranger.shown(problem.status, &page))
}

/// Where one signs in to come back to this page.
pub(super) fn path(page: &str, again: bool) -> String {
    let again = if again { "yes" } else { "" };
    format!("/-/sign-in{}", query([("next", page), ("again", again)]))
}

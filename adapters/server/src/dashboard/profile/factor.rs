//! The second factor: an authenticator app, and codes on paper for the day when it is lost.

use askama::Template;
use axum::{body::Body, response::Response};
use http::Method;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;
use serde_json::json;

use super::PAGE;
use crate::dashboard::{
    calls::Call,
    confirm::Question,
    page::{Shell, html, ok, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// White around a code, in modules (ISO/IEC 18004, section 6.3.8).
const QUIET_ZONE: usize = 4;

/// Asks before something is done.
fn step(
    visitor: &Visitor,
    title: &str,
    happens: &str,
    (button, danger): (&'static str, bool),
) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let question = Question {
        title: title.to_owned(),
        happens: happens.to_owned(),
        button,
        danger,
        stay: "Leave it",
        back: PAGE.to_owned(),
        version: None,
    };
    Ok(question.ask(visitor, None))
}

/// Explains what is about to happen.
pub(in crate::dashboard) async fn ask(visitor: Visitor) -> Result<Response<Body>, Stop> {
    step(
        &visitor,
        "Add a second factor",
        "An authenticator app on your phone shows six digits that change every half minute. From then on signing in takes \
         them besides your password. Have the app at hand: the next page shows a picture for it to scan.",
        ("Show the picture", false),
    )
}

/// A secret for the app, as the API gives it.
#[derive(Deserialize)]
struct Enrolment {
    secret: String,
    url: String,
}

#[derive(Template)]
#[template(path = "profile/enrol.html")]
struct Enrol {
    shell: Shell,
    secret: String,
    url: String,
    picture: Option<Picture>,
    problem: Option<String>,
}

/// A QR code: how many modules it is wide, quiet zone included, and the dark ones as an SVG path.
struct Picture {
    wide: usize,
    dark: String,
}

impl Picture {
    /// Of a text; none where it is too long for one.
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut dark = String::new();
        for (place, colour) in code.to_colors().into_iter().enumerate() {
            if colour == qrcode::Color::Dark {
                let (x, y) = (place % width + QUIET_ZONE, place / width + QUIET_ZONE);
                dark.push_str(&format!("M{x} {y}h1v1h-1z"));
            }
        }
        Some(Self {
            wide: width + 2 * QUIET_ZONE,
            dark,
        })
    }
}

fn enrol(visitor: &Visitor, enrolment: Enrolment, problem: Option<Problem>) -> Response<Body> {
    let status = problem
        .as_ref()
        .map_or(http::StatusCode::OK, |problem| problem.status);
    let page = Enrol {
        shell: visitor.shell("Scan the picture"),
        picture: Picture::of(&enrolment.url),
        secret: enrolment.secret,
        url: enrolment.url,
        problem: problem.map(|problem| problem.detail),
    };
    html(status, &page)
}

/// Shows the secret, once.
pub(in crate::dashboard) async fn begin(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let visitor = submitted.visitor;
    let begin = Call::new(Method::POST, "/me/factor");
    let enrolment = visitor.calls.make(begin).await?.read()?;
    Ok(enrol(&visitor, enrolment, None))
}

/// Codes, as the API gives them.
#[derive(Deserialize)]
struct Codes {
    recovery_codes: Vec<String>,
}

#[derive(Template)]
#[template(path = "profile/codes.html")]
struct CodesPage {
    shell: Shell,
    codes: Vec<String>,
}

fn codes(visitor: &Visitor, codes: Codes) -> Response<Body> {
    ok(&CodesPage {
        shell: visitor.shell("Keep these codes"),
        codes: codes.recovery_codes,
    })
}

/// Confirms the app with its first code.
pub(in crate::dashboard) async fn confirm(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let otp: String = fields.one("code").split_whitespace().collect();
    let confirm = Call::post("/me/factor/confirm", &json!({ "otp": otp }));
    match visitor.calls.make(confirm).await {
        Ok(answer) => Ok(codes(&visitor, answer.read()?)),
        // The picture is shown again: it went to nobody but this visitor, who sent it back.
        Err(problem) if problem.is_of_form() => {
            let enrolment = Enrolment {
                secret: fields.one("secret").to_owned(),
                url: fields.one("url").to_owned(),
            };
            Ok(enrol(&visitor, enrolment, Some(problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Explains what becomes of the codes from before.
pub(in crate::dashboard) async fn ask_codes(visitor: Visitor) -> Result<Response<Body>, Stop> {
    step(
        &visitor,
        "Make new recovery codes",
        "Each stands in for a code of your app, once. Those from before work no more.",
        ("Make new codes", false),
    )
}

/// Shows new ones, once.
pub(in crate::dashboard) async fn make_codes(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let visitor = submitted.visitor;
    let make = Call::new(Method::POST, "/me/factor/recovery-codes");
    let made = visitor.calls.make(make).await?.read()?;
    Ok(codes(&visitor, made))
}

/// Explains what protects the account then.
pub(in crate::dashboard) async fn ask_remove(visitor: Visitor) -> Result<Response<Body>, Stop> {
    step(
        &visitor,
        "Remove the second factor",
        "Signing in takes your password alone then, and the recovery codes are gone.",
        ("Remove it", true),
    )
}

/// Removes it.
pub(in crate::dashboard) async fn remove(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let remove = Call::new(Method::DELETE, "/me/factor");
    submitted.visitor.calls.make(remove).await?;
    Ok(see_done(PAGE, "factor-removed"))
}

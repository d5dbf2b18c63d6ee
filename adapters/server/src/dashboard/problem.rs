//! What the API refused, in words for a page.

use askama::Template;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use super::{
    calls,
    page::{Outside, html},
};

/// What went wrong.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// The status.
    pub(super) status: StatusCode,
    /// The word that is stable.
    pub(super) code: String,
    /// In a few words.
    pub(super) title: String,
    /// In a sentence.
    pub(super) detail: String,
}

/// A problem document (RFC 9457), as the gate writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    title: String,
    detail: String,
    code: String,
}

impl Problem {
    /// From the API's reply.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let document: Document = serde_json::from_slice(body).unwrap_or_default();
        let mut detail = sentence(&document.detail);
        if let Some(seconds) = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
        {
            detail = format!("{detail} Try again in {seconds} seconds.");
        }
        Self {
            status,
            title: match document.title.is_empty() {
                true => status.canonical_reason().unwrap_or("Refused").to_owned(),
                false => document.title,
            },
            detail,
            code: document.code,
        }
    }

    /// Of the dashboard's own.
    pub(super) fn own(status: StatusCode, title: &str, detail: &str) -> Self {
        Self {
            status,
            code: String::new(),
            title: title.to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// An answer that broke off or is of another version.
    pub(super) fn unreadable() -> Self {
        Self::own(
            StatusCode::BAD_GATEWAY,
            "No answer",
            "The gate did not answer as it should. Its log says more.",
        )
    }

    /// There is nothing here.
    pub(super) fn nothing() -> Self {
        Self::own(
            StatusCode::NOT_FOUND,
            "Nothing here",
            "There is no such page, or nothing of this name that you may see.",
        )
    }

    /// A form that did not come from its page.
    pub(super) fn foreign() -> Self {
        Self::own(
            StatusCode::FORBIDDEN,
            "Not from this page",
            "The form was not sent by the page that it belongs to, or that page is from before you signed in. Nothing was \
             changed: go back, load the page anew and send it again.",
        )
    }

    /// Whether a form can be shown again with this above it.
    pub(super) fn is_of_form(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_REQUEST
                | StatusCode::CONFLICT
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::UNPROCESSABLE_ENTITY
        ) || self.code == "not-held"
    }
}

/// The API's details begin in lower case and have no full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let end = match text.ends_with(['.', '!', '?']) {
        true => "",
        false => ".",
    };
    // A name in backticks stays as it is.
    format!("{}{}{end}", first.to_uppercase(), chars.as_str())
}

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum Stop {
    /// One has to sign in first.
    SignIn,
    /// One has to sign in again: it was too long ago for this.
    SignInAgain,
    /// Something is wrong.
    Problem(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        if calls::is_sign_in(problem.status) {
            Self::SignIn
        } else if problem.code == "sign-in-required" {
            Self::SignInAgain
        } else {
            Self::Problem(problem)
        }
    }
}

/// Marks a reply in whose place one signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignsIn {
    /// For the first time.
    First,
    /// Once more.
    Again,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'p> {
    shell: Outside,
    problem: &'p Problem,
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response<Body> {
        let marked = |signs_in| {
            let mut reply = StatusCode::SEE_OTHER.into_response();
            reply.extensions_mut().insert::<SignsIn>(signs_in);
            reply
        };
        match self {
            Self::SignIn => marked(SignsIn::First),
            Self::SignInAgain => marked(SignsIn::Again),
            Self::Problem(problem) => {
                let page = Page {
                    shell: Outside::new(&problem.title),
                    problem: &problem,
                };
                html(problem.status, &page)
            }
        }
    }
}

//! What every page has around it: head, menu, who is signed in, what was just done.

use askama::Template;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    assets,
    menu::Group,
    problem::{Problem, Stop},
    visitor::Visitor,
};

/// What does not stand in addresses as it is. What ids of clusters and names of roles are made of does.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b':');

/// Around pages for whoever has signed in.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) version: &'static str,
    pub(super) menu: Vec<Group>,
    pub(super) who: String,
    pub(super) role: String,
    /// Proves forms.
    pub(super) proof: String,
    /// What was just done.
    pub(super) done: Option<&'static str>,
}

/// Around pages for whoever has not.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) title: String,
    pub(super) version: &'static str,
}

impl Outside {
    /// With this title.
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            version: assets::version(),
        }
    }
}

/// What was done, by the word that the address says it with: no page says what an address makes up.
const DONE: [(&str, &str); 21] = [
    ("activated", "The policy is active now."),
    (
        "agent-revoked",
        "The agent token is revoked: it opens nothing any more.",
    ),
    (
        "cluster-connected",
        "The cluster is registered. Its agent needs a token.",
    ),
    (
        "cluster-removed",
        "The cluster is removed, and its agents' tokens with it.",
    ),
    ("dropped", "The shadow is empty."),
    (
        "factor-removed",
        "Signing in takes your password alone now.",
    ),
    (
        "factor-reset",
        "The second factor is taken away, and their sessions have ended.",
    ),
    ("joined", "Your password is set. Sign in with it."),
    (
        "key-revoked",
        "The key is revoked: no request with it is admitted any more.",
    ),
    (
        "no-factor",
        "They had no second factor: nothing was changed.",
    ),
    ("organization-created", "The organization is there."),
    (
        "password-changed",
        "The password is changed, and your other sessions have ended.",
    ),
    ("renamed", "The organization has its new name."),
    ("role-deleted", "The role is deleted."),
    (
        "role-saved",
        "The role is saved. It holds from the next request on.",
    ),
    ("session-ended", "The session has ended."),
    ("sessions-ended", "Their sessions have ended."),
    ("signed-out", "You are signed out."),
    ("signed-out-everywhere", "You are signed out everywhere."),
    (
        "user-disabled",
        "The user is disabled: their sessions and their keys have ended.",
    ),
    (
        "user-saved",
        "The user is saved. It holds from the next request on.",
    ),
];

/// What an address says was done.
pub(super) fn done(word: &str) -> Option<&'static str> {
    let found = DONE.iter().find(|(known, _)| *known == word);
    found.map(|(_, text)| *text)
}

impl Visitor {
    /// What is around a page of theirs.
    pub(super) fn shell(&self, title: impl Into<String>) -> Shell {
        Shell {
            title: title.into(),
            version: assets::version(),
            menu: self.menu(),
            who: self.me.name.clone(),
            role: match self.me.operator {
                true => "operator".to_owned(),
                false => self.me.roles.join(", "),
            },
            proof: self.proof.clone(),
            done: done(self.query.one("done")),
        }
    }
}

/// A page as a reply.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(text) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that shows what was asked for.
pub(super) fn ok(page: &impl Template) -> Response<Body> {
    html(StatusCode::OK, page)
}

/// Another page, which is loaded with GET.
pub(super) fn see(path: &str) -> Response<Body> {
    let mut reply = StatusCode::SEE_OTHER.into_response();
    // Paths are put together of encoded parts.
    if let Ok(path) = HeaderValue::from_str(path) {
        reply.headers_mut().insert(LOCATION, path);
    }
    reply
}

/// Another page, with what was done.
pub(super) fn see_done(path: &str, word: &str) -> Response<Body> {
    see(&format!("{path}?done={word}"))
}

/// A part of a page's address, whatever is in it. Those words are other pages', so what is called so is spelled in
/// another way.
pub(super) fn part(text: &str, words: &[&str]) -> String {
    match (text.bytes().next(), text.get(1..)) {
        (Some(first), Some(rest)) if words.contains(&text) => format!("%{first:02X}{rest}"),
        _ => utf8_percent_encode(text, ENCODED).to_string(),
    }
}

/// For addresses that no page has.
pub(super) async fn nothing_here() -> Stop {
    Stop::Problem(Problem::nothing())
}

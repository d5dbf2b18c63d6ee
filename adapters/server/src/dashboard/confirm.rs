//! Asking whether something is really meant.

use askama::Template;
use axum::{body::Body, response::Response};
use http::StatusCode;

use super::{
    page::{Shell, html},
    problem::Problem,
    visitor::Visitor,
};

/// What is asked. The answer is sent to the address that asks.
#[derive(Debug)]
pub(super) struct Question {
    /// Such as `Disable ada@example.com?`.
    pub(super) title: String,
    /// What happens then.
    pub(super) happens: String,
    /// What the button says.
    pub(super) button: &'static str,
    /// Whether something ends by it.
    pub(super) danger: bool,
    /// What the way back says.
    pub(super) stay: &'static str,
    /// Where it leads.
    pub(super) back: String,
    /// Which version is meant, where the API wants to know.
    pub(super) version: Option<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    shell: Shell,
    question: Question,
    problem: Option<String>,
}

impl Question {
    /// Asks it, with what went wrong when it was answered before.
    pub(super) fn ask(self, visitor: &Visitor, problem: Option<Problem>) -> Response<Body> {
        let status = problem
            .as_ref()
            .map_or(StatusCode::OK, |problem| problem.status);
        let page = Page {
            shell: visitor.shell(self.title.clone()),
            question: self,
            problem: problem.map(|problem| problem.detail),
        };
        html(status, &page)
    }
}

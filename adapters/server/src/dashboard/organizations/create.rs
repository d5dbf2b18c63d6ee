//! Creating an organization together with its first administrator, for operators.

use askama::Template;
use axum::{body::Body, response::Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::dashboard::{
    calls::Call,
    invitation::{self, Invitation},
    page::{Shell, html},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// Where one goes on from the administrator's link.
const DONE: &str = "/-/organizations?done=organization-created";

/// A new organization, as the API gives it.
#[derive(Deserialize)]
struct Created {
    admin: Invitation,
}

#[derive(Template)]
#[template(path = "organizations/new.html")]
struct Page {
    shell: Shell,
    name: String,
    admin: String,
    /// Makes sending the form again harmless.
    once: Uuid,
    problem: Option<String>,
}

fn form(visitor: &Visitor, name: &str, admin: &str, problem: Option<Problem>) -> Response<Body> {
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell("Create an organization"),
        name: name.to_owned(),
        admin: admin.to_owned(),
        once: visitor.once(),
        problem: problem.map(|problem| problem.detail),
    };
    html(status, &page)
}

/// Shows an empty form.
pub(super) async fn ask(visitor: Visitor) -> Result<Response<Body>, Stop> {
    if !visitor.me.operator {
        return Err(Problem::nothing().into());
    }
    visitor.signed_in_recently()?;
    Ok(form(&visitor, "", "", None))
}

/// Creates it, and shows its administrator's link once.
pub(super) async fn create(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (name, admin) = (fields.one("name"), fields.one("admin"));
    let body = json!({ "name": name, "admin": admin });
    let call = Call::post("/organizations", &body).once(fields.one("once"));
    match visitor.calls.make(call).await {
        Ok(answer) => {
            let created: Created = answer.read()?;
            Ok(invitation::page(&visitor, created.admin, DONE))
        }
        Err(problem) if problem.is_of_form() => Ok(form(&visitor, name, admin, Some(problem))),
        Err(problem) => Err(problem.into()),
    }
}

//! Inviting a user.

use askama::Template;
use axum::{body::Body, response::Response};
use http::StatusCode;
use uuid::Uuid;

use super::{
    PAGE,
    rights::{Choices, Rights},
};
use crate::dashboard::{
    calls::Call,
    invitation,
    page::{Shell, html},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

#[derive(Template)]
#[template(path = "users/invite.html")]
struct Page {
    shell: Shell,
    email: String,
    rights: Choices,
    /// Makes sending the form again harmless.
    once: Uuid,
    problem: Option<String>,
}

/// Shows an empty form; the query may fill some of it in.
pub(super) async fn ask(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.must("manage:users")?;
    visitor.signed_in_recently()?;
    let mut rights = Rights::of(&visitor.query);
    // Who has every cluster gives every cluster, unless they choose.
    if rights.reach.is_empty() && visitor.me.clusters.is_none() {
        "all".clone_into(&mut rights.reach);
    }
    form(&visitor, visitor.query.one("email"), &rights, None).await
}

async fn form(
    visitor: &Visitor,
    email: &str,
    rights: &Rights,
    problem: Option<Problem>,
) -> Result<Response<Body>, Stop> {
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell("Invite a user"),
        email: email.to_owned(),
        rights: rights.choices(visitor).await?,
        // What was tried with the one before is not what will be tried next.
        once: visitor.once(),
        problem: problem.map(|problem| problem.detail),
    };
    Ok(html(status, &page))
}

/// Invites them, and shows the link once.
pub(super) async fn send(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (email, rights) = (fields.one("email"), Rights::of(&fields));
    let mut body = match rights.body() {
        Ok(body) => body,
        Err(problem) => return form(&visitor, email, &rights, Some(problem)).await,
    };
    if let Some(members) = body.as_object_mut() {
        members.insert("email".to_owned(), email.into());
    }
    let call = Call::post("/users", &body).once(fields.one("once"));
    match visitor.calls.make(call).await {
        Ok(answer) => Ok(invitation::page(&visitor, answer.read()?, PAGE)),
        Err(problem) if problem.is_of_form() => form(&visitor, email, &rights, Some(problem)).await,
        Err(problem) => Err(problem.into()),
    }
}

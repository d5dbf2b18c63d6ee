//! Giving a user another role or other clusters.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::{Method, StatusCode, header::IF_MATCH};

use super::{
    User, find,
    rights::{Choices, Rights},
};
use crate::dashboard::{
    calls::Call,
    page::{Shell, html, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

#[derive(Template)]
#[template(path = "users/edit.html")]
struct Page {
    shell: Shell,
    email: String,
    back: String,
    rights: Choices,
    /// The version that is changed.
    version: String,
    problem: Option<String>,
}

async fn form(
    visitor: &Visitor,
    (user, version): (&User, String),
    rights: &Rights,
    problem: Option<Problem>,
) -> Result<Response<Body>, Stop> {
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell(format!("Change {}", user.email)),
        email: user.email.clone(),
        back: user.page(),
        rights: rights.choices(visitor).await?,
        version,
        problem: problem.map(|problem| problem.detail),
    };
    Ok(html(status, &page))
}

/// Shows what they have.
pub(super) async fn ask(
    visitor: Visitor,
    Path(user): Path<String>,
) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let (user, version) = find(&visitor, &user).await?;
    let rights = Rights::of_user(&user);
    form(&visitor, (&user, version), &rights, None).await
}

/// Changes it, if nobody else has done so meanwhile.
pub(super) async fn save(
    Path(user): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (user, current) = find(&visitor, &user).await?;
    let version = fields.one("version").to_owned();
    let rights = Rights::of(&fields);
    let body = match rights.body() {
        Ok(body) => body,
        Err(problem) => return form(&visitor, (&user, version), &rights, Some(problem)).await,
    };
    let call = Call::new(Method::PATCH, user.path())
        .json(&body)
        .header(IF_MATCH, version.as_str());
    match visitor.calls.make(call).await {
        Ok(_) => Ok(see_done(&user.page(), "user-saved")),
        Err(mut problem) if problem.status == StatusCode::PRECONDITION_FAILED => {
            problem.detail = changed_meanwhile(&user);
            form(&visitor, (&user, current), &rights, Some(problem)).await
        }
        Err(problem) if problem.is_of_form() => {
            form(&visitor, (&user, version), &rights, Some(problem)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// What is said to the second of two who change a user at once.
fn changed_meanwhile(user: &User) -> String {
    let clusters = match user.clusters.as_deref() {
        None => "every cluster".to_owned(),
        Some([]) => "no cluster".to_owned(),
        Some(ids) => ids.join(", "),
    };
    format!(
        "Somebody else has changed this user meanwhile: the role is `{}` now, on {clusters}. Nothing of yours was saved. \
         Save again to put what stands below in its place.",
        user.role
    )
}

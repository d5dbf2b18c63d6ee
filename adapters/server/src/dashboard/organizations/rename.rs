//! Giving an organization another name.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::{Method, StatusCode, header::IF_MATCH};
use serde_json::json;

use super::Place;
use crate::dashboard::{
    calls::Call,
    fields::Fields,
    page::{Shell, html, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

#[derive(Template)]
#[template(path = "organizations/rename.html")]
struct Page {
    shell: Shell,
    name: String,
    back: String,
    /// The version that is changed.
    version: String,
    problem: Option<String>,
}

fn form(
    visitor: &Visitor,
    place: Place,
    name: &str,
    version: &str,
    problem: Option<Problem>,
) -> Response<Body> {
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell("Rename the organization"),
        name: name.to_owned(),
        back: place.page,
        version: version.to_owned(),
        problem: problem.map(|problem| problem.detail),
    };
    html(status, &page)
}

async fn ask(visitor: &Visitor, place: Place) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let (organization, version) = place.find(visitor).await?;
    Ok(form(visitor, place, &organization.name, &version, None))
}

async fn save(visitor: &Visitor, fields: &Fields, place: Place) -> Result<Response<Body>, Stop> {
    let (name, version) = (fields.one("name"), fields.one("version"));
    let call = Call::new(Method::PATCH, place.path.as_str())
        .json(&json!({ "name": name }))
        .header(IF_MATCH, version);
    match visitor.calls.make(call).await {
        Ok(_) => Ok(see_done(&place.page, "renamed")),
        Err(mut problem) if problem.status == StatusCode::PRECONDITION_FAILED => {
            let (organization, current) = place.find(visitor).await?;
            problem.detail = format!(
                "Somebody else has renamed it meanwhile: it is “{}” now. Save again to call it what stands below.",
                organization.name
            );
            Ok(form(visitor, place, name, &current, Some(problem)))
        }
        Err(problem) if problem.is_of_form() => {
            Ok(form(visitor, place, name, version, Some(problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Asks what the visitor's own is to be called.
pub(super) async fn ask_own(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.must("manage:organization")?;
    ask(&visitor, Place::own()).await
}

/// Renames it.
pub(super) async fn save_own(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    save(&visitor, &fields, Place::own()).await
}

/// Asks what one is to be called, for operators.
pub(super) async fn ask_any(
    visitor: Visitor,
    Path(organization): Path<String>,
) -> Result<Response<Body>, Stop> {
    ask(&visitor, Place::any(&organization)).await
}

/// Renames it.
pub(super) async fn save_any(
    Path(organization): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    save(&visitor, &fields, Place::any(&organization)).await
}

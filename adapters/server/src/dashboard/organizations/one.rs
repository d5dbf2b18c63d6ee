//! One organization.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};

use super::Place;
use crate::dashboard::{
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "organizations/one.html")]
struct Page {
    shell: Shell,
    page: String,
    name: String,
    id: String,
    created: Moment,
    may_rename: bool,
    /// Whether it is one of many, for an operator.
    one_of_many: bool,
}

async fn show(
    visitor: &Visitor,
    place: Place,
    may_rename: bool,
    one_of_many: bool,
) -> Result<Response<Body>, Stop> {
    let (organization, _) = place.find(visitor).await?;
    let title = match one_of_many {
        true => organization.name.clone(),
        false => "Organization".to_owned(),
    };
    Ok(ok(&Page {
        shell: visitor.shell(title),
        page: place.page,
        created: visitor.moment(organization.created_at),
        name: organization.name,
        id: organization.id.to_string(),
        may_rename,
        one_of_many,
    }))
}

/// The visitor's own.
pub(super) async fn own(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let may_rename = visitor.may("manage:organization");
    show(&visitor, Place::own(), may_rename, false).await
}

/// Any, for operators.
pub(super) async fn any(
    visitor: Visitor,
    Path(organization): Path<String>,
) -> Result<Response<Body>, Stop> {
    show(&visitor, Place::any(&organization), true, true).await
}

//! Organizations: the visitor's own, and for operators all.

mod create;
mod list;
mod one;
mod rename;

use std::sync::Arc;

use axum::{Router, routing::get};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Site,
    calls::{self, Call},
    keys::named,
    page::part,
    problem::Problem,
    visitor::Visitor,
};

/// Where the list is.
const PAGE: &str = "/-/organizations";

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/-/settings/organization", get(one::own))
        .route(
            "/-/settings/organization/rename",
            get(rename::ask_own).post(rename::save_own),
        )
        .route(PAGE, get(list::show))
        .route(
            "/-/organizations/new",
            get(create::ask).post(create::create),
        )
        .route("/-/organizations/{organization}", get(one::any))
        .route(
            "/-/organizations/{organization}/rename",
            get(rename::ask_any).post(rename::save_any),
        )
}

/// An organization, as the API shows it.
#[derive(Clone, Debug, Deserialize)]
struct Organization {
    id: Uuid,
    name: String,
    created_at: Timestamp,
}

/// Where an organization is.
#[derive(Debug)]
struct Place {
    /// In the API.
    path: String,
    page: String,
}

impl Place {
    /// The visitor's own.
    fn own() -> Self {
        Self {
            path: "/organization".to_owned(),
            page: "/-/settings/organization".to_owned(),
        }
    }

    /// Any, for operators.
    fn any(id: &str) -> Self {
        Self {
            path: format!("/organizations/{}", calls::part(id)),
            page: format!("{PAGE}/{}", part(id, &[])),
        }
    }

    /// What is there, and which version it is.
    async fn find(&self, visitor: &Visitor) -> Result<(Organization, String), Problem> {
        let answer = visitor.calls.make(Call::get(self.path.as_str())).await;
        let answer = answer.map_err(named)?;
        Ok((answer.read()?, answer.etag()))
    }
}

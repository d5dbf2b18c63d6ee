//! Users: who is in, with which role and clusters; inviting, changing, signing out and disabling them.

mod act;
mod bounds;
mod edit;
mod invite;
mod list;
mod one;
mod rights;

use std::sync::Arc;

use axum::{Router, routing::get};
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Site,
    calls::{Call, part},
    keys::{Badge, named},
    problem::Problem,
    visitor::Visitor,
};

/// Where the list is.
const PAGE: &str = "/-/users";

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(PAGE, get(list::show))
        .route("/-/users/invite", get(invite::ask).post(invite::send))
        .route("/-/users/{user}", get(one::show))
        .route("/-/users/{user}/keys", get(one::keys))
        .route("/-/users/{user}/edit", get(edit::ask).post(edit::save))
        .route("/-/users/{user}/{act}", get(act::ask).post(act::act))
}

/// A user, as the API shows them.
#[derive(Clone, Debug, Deserialize)]
struct User {
    id: Uuid,
    email: String,
    role: String,
    /// `None`: every cluster.
    clusters: Option<Vec<String>>,
    created_at: Timestamp,
    disabled_at: Option<Timestamp>,
}

impl User {
    /// Their page.
    fn page(&self) -> String {
        format!("{PAGE}/{}", self.id)
    }

    /// Where the API has them.
    fn path(&self) -> String {
        format!("/users/{}", self.id)
    }

    fn badge(&self) -> Badge {
        match self.disabled_at {
            None => Badge::of("active"),
            Some(_) => Badge {
                class: "revoked",
                words: "Disabled",
            },
        }
    }
}

/// The user whom an address names, and which version it is.
async fn find(visitor: &Visitor, user: &str) -> Result<(User, String), Problem> {
    let call = Call::get(format!("/users/{}", part(user)));
    let answer = visitor.calls.make(call).await.map_err(named)?;
    Ok((answer.read()?, answer.etag()))
}

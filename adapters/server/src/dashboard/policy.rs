//! The policy: what is active and since when, who may do what, why, what the next one would change.

mod matrix;
mod question;
mod versions;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    body::Body,
    response::Response,
    routing::{get, post},
};

use self::{
    matrix::Matrix,
    question::{Asked, Explained},
    versions::{Shadow, Version},
};
use super::{
    Site, catalogue,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

/// Where it is.
const PAGE: &str = "/-/policy";

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(PAGE, get(show))
        .route(
            "/-/policy/activate",
            get(versions::ask).post(versions::activate),
        )
        .route("/-/policy/shadow/promote", post(versions::promote))
        .route("/-/policy/shadow/drop", post(versions::drop))
}

/// What is active, as everybody may know.
#[derive(Debug)]
struct Active {
    name: String,
    version: String,
    digest: String,
    contract: String,
}

#[derive(Template)]
#[template(path = "policy/show.html")]
struct Page {
    shell: Shell,
    active: Active,
    /// Those that are kept, for operators.
    versions: Vec<Version>,
    operator: bool,
    /// The gates of the store, where there are several; for operators.
    gates: Vec<versions::Gate>,
    shadow: Option<Shadow>,
    asked: Asked,
    explained: Option<Explained>,
    matrix: Matrix,
}

async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let policy = catalogue::read(&visitor).await?;
    let asked = Asked::of(&visitor).await?;
    let explained = asked.explained(&visitor).await?;
    let operator = visitor.me.operator;
    let (mut kept, mut gates, mut shadow) = (Vec::new(), Vec::new(), None);
    if operator {
        kept = versions::kept(&visitor).await?;
        gates = versions::gates(&visitor).await?;
        shadow = versions::shadow(&visitor).await?;
    }
    Ok(ok(&Page {
        shell: visitor.shell("Policy"),
        matrix: Matrix::of(&policy),
        active: Active {
            name: policy.name,
            version: policy.version,
            digest: policy.digest,
            contract: policy.contract,
        },
        versions: kept,
        operator,
        gates,
        shadow,
        asked,
        explained,
    }))
}

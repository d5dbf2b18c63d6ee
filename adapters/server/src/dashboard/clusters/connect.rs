//! Connecting a cluster.

use askama::Template;
use axum::{body::Body, response::Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Cluster, agent::Agent, install};
use crate::dashboard::{
    calls::Call,
    keys::Minted,
    page::{Shell, html, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// A new cluster, as the API gives it.
#[derive(Deserialize)]
struct Connected {
    agent: Option<Minted<Agent>>,
}

#[derive(Template)]
#[template(path = "clusters/connect.html")]
struct Page {
    shell: Shell,
    id: String,
    agent: bool,
    /// Makes sending the form again harmless.
    once: Uuid,
    problem: Option<String>,
}

fn form(visitor: &Visitor, id: &str, agent: bool, problem: Option<Problem>) -> Response<Body> {
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell("Connect a cluster"),
        id: id.to_owned(),
        agent,
        once: visitor.once(),
        problem: problem.map(|problem| problem.detail),
    };
    html(status, &page)
}

/// Shows an empty form.
pub(super) async fn ask(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.must("manage:clusters")?;
    visitor.signed_in_recently()?;
    Ok(form(&visitor, visitor.query.one("id"), true, None))
}

/// Registers the cluster, and shows its agent's token once.
pub(super) async fn connect(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (id, agent) = (fields.one("id"), fields.has("agent", "yes"));
    let body = json!({ "id": id, "agent": agent });
    let call = Call::post("/clusters", &body).once(fields.one("once"));
    let answer = match visitor.calls.make(call).await {
        Ok(answer) => answer,
        Err(problem) if problem.is_of_form() => {
            return Ok(form(&visitor, id, agent, Some(problem)));
        }
        Err(problem) => return Err(problem.into()),
    };
    let connected: Connected = answer.read()?;
    let cluster = Cluster {
        id: id.to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
    };
    match connected.agent {
        Some(minted) => install::page(&visitor, &cluster, minted, None).await,
        None => Ok(see_done(&cluster.page(), "cluster-connected")),
    }
}

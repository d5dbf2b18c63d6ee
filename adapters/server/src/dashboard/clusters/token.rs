//! Tokens of a cluster's agents: making one, rotating it with an overlap, revoking it.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{
    Cluster,
    agent::{self, Agent},
    find, install,
};
use crate::dashboard::{
    calls::Call,
    confirm::Question,
    keys::{Choice, Minted, OVERLAP, ends, overlaps},
    moment::Moment,
    page::{Shell, html, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

#[derive(Template)]
#[template(path = "clusters/token.html")]
struct New {
    shell: Shell,
    cluster: String,
    back: String,
    name: String,
    /// Makes sending the form again harmless.
    once: Uuid,
    problem: Option<String>,
}

fn form(
    visitor: &Visitor,
    cluster: &Cluster,
    name: &str,
    problem: Option<Problem>,
) -> Response<Body> {
    let status = status(problem.as_ref());
    let page = New {
        shell: visitor.shell(format!("New token for {}", cluster.id)),
        cluster: cluster.id.clone(),
        back: cluster.page(),
        name: name.to_owned(),
        once: visitor.once(),
        problem: problem.map(|problem| problem.detail),
    };
    html(status, &page)
}

fn status(problem: Option<&Problem>) -> StatusCode {
    problem.map_or(StatusCode::OK, |problem| problem.status)
}

/// Asks what it is called.
pub(super) async fn ask(
    visitor: Visitor,
    Path(cluster): Path<String>,
) -> Result<Response<Body>, Stop> {
    visitor.must("manage:agents")?;
    visitor.signed_in_recently()?;
    let cluster = find(&visitor, &cluster).await?;
    Ok(form(&visitor, &cluster, &cluster.id, None))
}

/// Makes it and shows it once.
pub(super) async fn mint(
    Path(cluster): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let cluster = find(&visitor, &cluster).await?;
    let name = fields.one("name");
    let body = json!({ "cluster": cluster.id, "name": name });
    let call = Call::post("/agents", &body).once(fields.one("once"));
    match visitor.calls.make(call).await {
        Ok(answer) => install::page(&visitor, &cluster, answer.read()?, None).await,
        Err(problem) if problem.is_of_form() => Ok(form(&visitor, &cluster, name, Some(problem))),
        Err(problem) => Err(problem.into()),
    }
}

#[derive(Template)]
#[template(path = "clusters/rotate.html")]
struct Rotate {
    shell: Shell,
    cluster: String,
    back: String,
    hint: String,
    last_seen: Option<Moment>,
    overlaps: Vec<Choice>,
    /// Makes sending the form again harmless.
    once: Uuid,
    problem: Option<String>,
}

fn rotation(
    visitor: &Visitor,
    cluster: &Cluster,
    agent: &Agent,
    overlap: &str,
    problem: Option<Problem>,
) -> Response<Body> {
    let status = status(problem.as_ref());
    let page = Rotate {
        shell: visitor.shell(format!("Rotate the token of {}", cluster.id)),
        cluster: cluster.id.clone(),
        back: cluster.page(),
        hint: agent.hint(),
        last_seen: agent.last_seen(visitor),
        overlaps: overlaps(overlap),
        once: visitor.once(),
        problem: problem.map(|problem| problem.detail),
    };
    html(status, &page)
}

/// Asks how long the old token lives on.
pub(super) async fn ask_rotate(
    visitor: Visitor,
    Path((cluster, agent)): Path<(String, String)>,
) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let cluster = find(&visitor, &cluster).await?;
    let agent = agent::find(&visitor, &cluster.id, &agent).await?;
    Ok(rotation(&visitor, &cluster, &agent, OVERLAP, None))
}

/// Makes its successor and shows that once.
pub(super) async fn rotate(
    Path((cluster, agent)): Path<(String, String)>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let cluster = find(&visitor, &cluster).await?;
    let agent = agent::find(&visitor, &cluster.id, &agent).await?;
    let overlap = fields.one("overlap");
    let (once, shown_at) = visitor.shown_at(fields.one("once"));
    let Some(retires_at) = ends(shown_at, overlap) else {
        let problem = Problem::own(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Not a time",
            "Choose when the old token ends.",
        );
        let page = rotation(&visitor, &cluster, &agent, OVERLAP, Some(problem));
        return Ok(page);
    };
    let path = format!("/agents/{}/rotate", agent.id);
    let call = Call::post(path, &json!({ "retires_at": retires_at }));
    match visitor.calls.make(call.once(&once.to_string())).await {
        Ok(answer) => {
            let minted: Minted<Agent> = answer.read()?;
            let old_ends = visitor.moment(retires_at);
            install::page(&visitor, &cluster, minted, Some(old_ends)).await
        }
        Err(problem) if problem.is_of_form() => {
            Ok(rotation(&visitor, &cluster, &agent, overlap, Some(problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

fn question(cluster: &Cluster, agent: &Agent) -> Question {
    Question {
        title: format!("Revoke {}?", agent.hint()),
        happens: format!(
            "From that moment the agent of {} that has this token is refused, and its metrics are lost until it has another \
             one. It cannot be taken back: to change a token without losing anything, rotate it.",
            cluster.id
        ),
        button: "Revoke token",
        danger: true,
        stay: "Keep it",
        back: cluster.page(),
        version: None,
    }
}

/// Asks whether it is really meant.
pub(super) async fn ask_revoke(
    visitor: Visitor,
    Path((cluster, agent)): Path<(String, String)>,
) -> Result<Response<Body>, Stop> {
    let cluster = find(&visitor, &cluster).await?;
    let agent = agent::find(&visitor, &cluster.id, &agent).await?;
    Ok(question(&cluster, &agent).ask(&visitor, None))
}

/// Revokes it.
pub(super) async fn revoke(
    Path((cluster, agent)): Path<(String, String)>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, .. } = submitted;
    let cluster = find(&visitor, &cluster).await?;
    let agent = agent::find(&visitor, &cluster.id, &agent).await?;
    let call = Call::new(Method::DELETE, format!("/agents/{}", agent.id));
    match visitor.calls.make(call).await {
        Ok(_) => Ok(see_done(&cluster.page(), "agent-revoked")),
        Err(problem) if problem.is_of_form() => {
            Ok(question(&cluster, &agent).ask(&visitor, Some(problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

//! One cluster: its agents' tokens; and removing it.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::Method;

use super::{
    Cluster, PAGE,
    agent::{self, Shown},
    find,
};
use crate::dashboard::{
    audit,
    calls::{Call, part},
    confirm::Question,
    moment::Moment,
    page::{Shell, ok, see_done},
    problem::Stop,
    visitor::{Submitted, Visitor},
};

#[derive(Template)]
#[template(path = "clusters/one.html")]
struct Page {
    shell: Shell,
    id: String,
    page: String,
    connected: Moment,
    /// `None`: the visitor may not see them.
    agents: Option<Vec<Shown>>,
    /// Whether older tokens were not looked at.
    more_agents: bool,
    may_remove: bool,
    /// Where the audit of its changes is, for whoever may read it.
    audit: Option<String>,
}

/// What is known of it.
pub(super) async fn show(
    visitor: Visitor,
    Path(cluster): Path<String>,
) -> Result<Response<Body>, Stop> {
    let cluster = find(&visitor, &cluster).await?;
    let (mut agents, mut more_agents) = (None, false);
    if visitor.may("manage:agents") {
        let (all, more) = agent::all(&visitor).await?;
        let own = all.into_iter().filter(|agent| agent.cluster == cluster.id);
        agents = Some(own.map(|agent| agent.shown(&visitor)).collect());
        more_agents = more;
    }
    Ok(ok(&Page {
        shell: visitor.shell(cluster.id.clone()),
        page: cluster.page(),
        connected: visitor.moment(cluster.created_at),
        agents,
        more_agents,
        may_remove: visitor.may("manage:clusters"),
        audit: visitor
            .may("manage:audit")
            .then(|| audit::of("subject", &cluster.id)),
        id: cluster.id,
    }))
}

fn question(cluster: &Cluster) -> Question {
    Question {
        title: format!("Remove {}?", cluster.id),
        happens: format!(
            "The gate forgets {0}: nobody reaches its data any more, its agents' tokens are revoked, and requests under way \
             with them end. The id `{0}` is never used again, so it cannot be connected a second time.",
            cluster.id
        ),
        button: "Remove cluster",
        danger: true,
        stay: "Keep it",
        back: cluster.page(),
        version: None,
    }
}

/// Asks whether it is really meant.
pub(super) async fn ask_remove(
    visitor: Visitor,
    Path(cluster): Path<String>,
) -> Result<Response<Body>, Stop> {
    visitor.must("manage:clusters")?;
    visitor.signed_in_recently()?;
    let cluster = find(&visitor, &cluster).await?;
    Ok(question(&cluster).ask(&visitor, None))
}

/// Removes it.
pub(super) async fn remove(
    Path(cluster): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, .. } = submitted;
    let cluster = find(&visitor, &cluster).await?;
    let call = Call::new(Method::DELETE, format!("/clusters/{}", part(&cluster.id)));
    match visitor.calls.make(call).await {
        Ok(_) => Ok(see_done(PAGE, "cluster-removed")),
        Err(problem) if problem.is_of_form() => Ok(question(&cluster).ask(&visitor, Some(problem))),
        Err(problem) => Err(problem.into()),
    }
}

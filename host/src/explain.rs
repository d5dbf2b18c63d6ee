//! Why a question is answered as it is, for people.

mod facts;

use std::{collections::BTreeSet, sync::Arc};

use scopegate_policy::{
    CallerKind, ClusterSource, Clusters, Description, Outcome, RouteInfo,
    document::Compiled,
    explain::{ClusterQuestion, Explanation, Grants, Held, NearMiss, Question, RoleSeen, Why},
    packed::RequestRef,
    yaml::{Severity, excerpt},
};

use crate::{
    Cause,
    engine::{CallerRef, PackedCaller, Policy},
};

/// A policy, as explanations speak of it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'p> {
    /// What it says of itself.
    pub description: &'p Description,
    /// The document that it was made from, of which lines are shown.
    pub document: Option<&'p Compiled>,
}

/// Explains a policy's answer to a question, of which nothing is kept and counted.
///
/// # Errors
/// When the policy gives no answer that makes sense.
pub async fn explain(policy: Arc<Policy>, question: Question) -> Result<Explanation, Cause> {
    let runtime = tokio::runtime::Handle::current();
    // It asks again for every suggestion, one after the other.
    let explained = tokio::task::spawn_blocking(move || {
        let none = BTreeSet::new();
        scopegate_policy::explain::explain(policy.description(), &question, |question| {
            let packed = PackedCaller::default();
            let caller = CallerRef {
                caller: &question.caller,
                packed: &packed,
            };
            let registered = question.registered.as_ref().unwrap_or(&none);
            let asked = RequestRef::from(&question.request);
            runtime.block_on(policy.decide_bounded(&caller, &asked, registered))
        })
    });
    let explained = explained.await;
    let explained = explained.map_err(|error| Cause::Unavailable(error.to_string()))?;
    explained.map_err(Cause::from)
}

/// The answer, what decided it with its source, what was looked at, and what would change it.
pub fn text(subject: &Subject<'_>, question: &Question, explanation: &Explanation) -> String {
    let mut parts = vec![answer(question, explanation), decided(subject, explanation)];
    let mut looked_at = Vec::new();
    if let Some(index) = explanation.route()
        && let Some(route) = subject.description.routes.get(index)
    {
        looked_at.push(format!(
            "route: {}{}",
            in_words(route),
            line(subject, index)
        ));
    }
    if !explanation.near_misses.is_empty() {
        looked_at.push("near misses:".to_owned());
        let near = explanation.near_misses.iter();
        looked_at.extend(near.map(|near| format!("  {}", near_miss(subject, near))));
    }
    if let Some(grants) = &explanation.grants {
        looked_at.push(format!("who holds `{}`:", grants.permission));
        let held = held(subject, grants).into_iter();
        looked_at.extend(held.map(|held| format!("  {held}")));
    }
    if let Some(clusters) = &explanation.clusters {
        looked_at.push(format!("cluster: {}", cluster(clusters)));
    }
    parts.push(looked_at.join("\n"));
    parts.push(otherwise(subject, explanation));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn answer(question: &Question, explanation: &Explanation) -> String {
    let verdict = match &explanation.decision.outcome {
        Outcome::Allow(Clusters::All) => "allowed, and every cluster is visible".to_owned(),
        Outcome::Allow(Clusters::Only(ids)) if ids.is_empty() => {
            "allowed, and no cluster is visible".to_owned()
        }
        Outcome::Allow(Clusters::Only(ids)) => {
            format!("allowed, and visible: {}", quoted(ids))
        }
        Outcome::Deny(reason) => match reason.subject() {
            Some(about) => format!("refused: {} `{about}`", reason.code()),
            None => format!("refused: {}", reason.code()),
        },
    };
    let request = &question.request;
    let query: Vec<String> = request
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let query = match query.as_slice() {
        [] => String::new(),
        fields => format!("?{}", fields.join("&")),
    };
    let facts: String = facts::of(question, &explanation.reads)
        .into_iter()
        .map(|fact| format!(", {fact}"))
        .collect();
    let caller = caller(question);
    format!(
        "{} {}{query}, by {caller}{facts}\n{verdict}",
        request.method, request.path
    )
}

fn caller(question: &Question) -> String {
    let caller = &question.caller;
    let mut words = match caller.kind {
        CallerKind::Anonymous => return "somebody without a credential".to_owned(),
        CallerKind::Agent => {
            let cluster = caller.agent_cluster.as_deref().unwrap_or_default();
            return format!("the agent of `{cluster}`");
        }
        CallerKind::Session if caller.operator => "an operator".to_owned(),
        CallerKind::Session => "a session".to_owned(),
        CallerKind::ApiKey => "a key".to_owned(),
    };
    let mut has = Vec::new();
    if !caller.roles.is_empty() {
        has.push(format!("role {}", quoted(&caller.roles)));
    }
    if !caller.permissions.is_empty() {
        has.push(format!("permission {}", quoted(&caller.permissions)));
    }
    if let Some(scopes) = &caller.scopes {
        has.push(format!("scope {}", quoted(scopes)));
    }
    if let Clusters::Only(ids) = &caller.clusters {
        has.push(format!("assigned to {}", quoted(ids)));
    }
    if let Clusters::Only(ids) = &caller.allowed_clusters {
        has.push(format!("restricted to {}", quoted(ids)));
    }
    if !has.is_empty() {
        words = format!("{words} ({})", has.join("; "));
    }
    words
}

/// What decided, with the line that it stands on where there is a document.
fn decided(subject: &Subject<'_>, explanation: &Explanation) -> String {
    let shown = subject.document.and_then(|document| {
        let span = explanation.place(&document.places)?;
        let (note, because) = (Severity::Note, explanation.because.as_str());
        Some(excerpt(note, because, &document.source, span, None))
    });
    shown.unwrap_or_else(|| format!("note: {}", explanation.because))
}

fn in_words(route: &RouteInfo) -> String {
    let needs = match (&route.requires, route.public) {
        (Some(name), _) => format!("requires `{name}`"),
        (None, true) => "public".to_owned(),
        (None, false) => "requires no permission".to_owned(),
    };
    let when = route.when.as_ref();
    let when = when.map_or_else(String::new, |when| format!(", when `{when}`"));
    format!("{} {} ({needs}{when})", route.method, route.pattern)
}

/// Where a route stands, behind what is said of it.
fn line(subject: &Subject<'_>, route: usize) -> String {
    let place = subject.document.and_then(|document| {
        let span = document.places.routes.get(route)?.matched;
        let (line, _) = document.source.line_column(span.start);
        Some(format!(", {}:{line}", document.source.name()))
    });
    place.unwrap_or_default()
}

fn near_miss(subject: &Subject<'_>, near: &NearMiss) -> String {
    let why = match &near.why {
        Why::OtherMethod => "has another method".to_owned(),
        Why::LessSpecific => "matches too, and is less specific".to_owned(),
        Why::OtherCase => "differs in case".to_owned(),
        Why::OtherSegment { written, expected } => {
            format!("has `{expected}` where the path has `{written}`")
        }
        Why::PathTooShort => "goes on where the path ends".to_owned(),
        Why::PathTooLong => "ends before the path does".to_owned(),
    };
    let line = line(subject, near.route);
    format!("{} {}: {why}{line}", near.method, near.pattern)
}

fn held(subject: &Subject<'_>, grants: &Grants) -> Vec<String> {
    let yes = |has: bool| if has { "yes" } else { "no" };
    let mut lines: Vec<String> = grants
        .roles
        .iter()
        .map(|seen| match seen.is_known {
            true => format!(
                "role `{}`: {}{}",
                seen.role,
                yes(seen.has),
                condition(subject, seen)
            ),
            false => format!("role `{}`: not a role of this policy", seen.role),
        })
        .collect();
    let each = |word: &str, held: &[Held]| -> Vec<String> {
        let held = held
            .iter()
            .map(|held| format!("{word} `{}`: {}", held.pattern, yes(held.has)));
        held.collect()
    };
    lines.extend(each("own permission", &grants.own));
    match &grants.scopes {
        Some(scopes) => lines.extend(each("scope", scopes)),
        None if lines.is_empty() => lines.push("the caller holds nothing".to_owned()),
        None => {}
    }
    lines
}

/// Whether a role's condition is true, and where it stands.
fn condition(subject: &Subject<'_>, seen: &RoleSeen) -> String {
    let Some(condition) = seen.condition.as_ref().filter(|_| seen.has) else {
        return String::new();
    };
    let place = subject.document.and_then(|document| {
        let span = document.places.roles.get(seen.index?)?.when?;
        let (line, _) = document.source.line_column(span.start);
        Some(format!(", {}:{line}", document.source.name()))
    });
    let place = place.unwrap_or_default();
    let text = &condition.text;
    match condition.holds {
        Some(true) => format!(", and its condition is true: `{text}`{place}"),
        Some(false) => format!(", but its condition is not true: `{text}`{place}"),
        None => format!(", under the condition `{text}`{place}"),
    }
}

fn cluster(clusters: &ClusterQuestion) -> String {
    let source = match &clusters.source {
        ClusterSource::Spans => "the route spans every cluster".to_owned(),
        ClusterSource::Path(_) => "named in the path".to_owned(),
        ClusterSource::Query(name) => format!("named with `?{name}=`"),
        ClusterSource::Header(name) => format!("named in the header `{name}`"),
        ClusterSource::None => "no cluster's data".to_owned(),
        ClusterSource::Upstream => "the upstream narrows its answer".to_owned(),
        ClusterSource::Lists(_) => "the list in the reply is cut down".to_owned(),
    };
    let Some(named) = &clusters.named else {
        let names_one = matches!(
            clusters.source,
            ClusterSource::Query(_) | ClusterSource::Header(_)
        );
        return match names_one {
            true => format!("{source}, and the request names none"),
            false => source,
        };
    };
    let mut facts = vec![if clusters.is_implied {
        "the agent's own, which the request does not name".to_owned()
    } else {
        source
    }];
    let fact =
        |is: Option<bool>, yes: &str, no: &str| is.map(|is| if is { yes } else { no }.to_owned());
    facts.extend(fact(
        clusters.on_authority,
        "among the user's",
        "not among the user's",
    ));
    facts.extend(fact(
        clusters.on_key,
        "on the key's list",
        "not on the key's list",
    ));
    let is_agents = clusters.is_agents.filter(|_| !clusters.is_implied);
    facts.extend(fact(is_agents, "the agent's", "not the agent's"));
    facts.extend(fact(clusters.is_registered, "registered", "not registered"));
    format!("`{named}`: {}", facts.join(", "))
}

fn otherwise(subject: &Subject<'_>, explanation: &Explanation) -> String {
    let route = explanation
        .route()
        .and_then(|index| subject.description.routes.get(index));
    let has_condition = route.is_some_and(|route| route.when.is_some());
    let grants = explanation.grants.as_ref();
    let has_unmet = has_condition || grants.is_some_and(|grants| grants.unmet().is_some());
    let (other, none) = match explanation.is_allowed() {
        true if has_condition => (
            "refused",
            "it would be refused where the condition is not true, and no example of that was found",
        ),
        true => ("refused", "no caller is refused here"),
        false if has_unmet => (
            "allowed",
            "it might be allowed where the condition is true, and no example of that was found",
        ),
        false => (
            "allowed",
            "no change to this caller or request alone would allow it",
        ),
    };
    let suggestions: Vec<String> = explanation
        .otherwise
        .iter()
        .map(|suggestion| format!("  - {}", suggestion.text))
        .collect();
    match suggestions.as_slice() {
        [] => format!("{none}."),
        lines => format!("it would be {other} if you\n{}", lines.join("\n")),
    }
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        }
    }
}

//! The lints themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::description::{ClusterSource, RouteInfo};
use crate::document::{Compiled, RoleEntry, RoutePlaces};
use crate::permission::Pattern;
use crate::routing::pattern::{self, Segment};
use crate::yaml::Span;

use super::{Finding, Lint};

/// Actions that change nothing, so that having one on everything is common.
const READING: [&str; 4] = ["read", "list", "get", "view"];
/// The role that is expected to have everything.
const ADMIN: &str = "admin";

/// Permissions that nothing requires, and those that nobody can have.
pub(super) fn permissions(document: &Compiled, found: &mut Vec<Finding>) {
    let description = document.tables.description();
    let required: BTreeSet<&str> = description
        .routes
        .iter()
        .filter_map(|route| route.requires.as_deref())
        .collect();
    let held: BTreeSet<&str> = description
        .roles
        .iter()
        .flat_map(|role| role.permissions.iter().map(String::as_str))
        .collect();
    for (info, span) in description
        .permissions
        .iter()
        .zip(&document.places.permissions)
    {
        let name = info.name.as_str();
        let (lint, message, help) = if !required.contains(name) {
            (
                Lint::UnusedPermission,
                format!("no route requires `{name}`"),
                "a scope or role that has it gives nothing: add a route, or take it out",
            )
        } else if !held.contains(name) && !info.scope {
            (
                Lint::UnheldPermission,
                format!("no role has `{name}`, and no key can carry it"),
                "only an organization's own roles could give it: add it to a role",
            )
        } else {
            continue;
        };
        found.push(finding(lint, *span, message, help));
    }
}

/// Roles that give nothing, the same as another, everything, or something twice.
pub(super) fn roles(document: &Compiled, found: &mut Vec<Finding>) {
    let description = document.tables.description();
    // What a role gives, and when.
    let mut first: BTreeMap<(&[String], Option<&str>), &str> = BTreeMap::new();
    for (role, places) in description.roles.iter().zip(&document.places.roles) {
        let name = role.name.as_str();
        if role.permissions.is_empty() {
            let message = format!("the role `{name}` gives nothing");
            let help =
                "whoever has it may do what strangers may: give it a permission, or take it out";
            found.push(finding(Lint::EmptyRole, places.name, message, help));
            continue;
        }
        let gives = (role.permissions.as_slice(), role.when.as_deref());
        if let Some(other) = first.get(&gives) {
            let message = format!("the role `{name}` gives the same as `{other}`");
            let help = "one of the two would do";
            found.push(finding(Lint::SameRole, places.name, message, help));
        } else {
            first.insert(gives, name);
        }
        for entry in &places.entries {
            wildcard(name, entry, found);
        }
        redundant(document, name, &places.entries, found);
    }
}

fn wildcard(role: &str, entry: &RoleEntry, found: &mut Vec<Finding>) {
    let help = match Pattern::parse(&entry.pattern) {
        Some(Pattern::All) if role != ADMIN => {
            "it has what is added later too, and the management of the gate: name what it needs"
        }
        Some(Pattern::Action(action)) if !READING.contains(&action) => {
            "it has that action on what is added later too: name the permissions that it needs"
        }
        _ => return,
    };
    let message = format!("the role `{role}` has `{}`", entry.pattern);
    found.push(finding(Lint::WildcardGrant, entry.span, message, help));
}

/// Entries that an entry which stands for more covers.
fn redundant(document: &Compiled, role: &str, entries: &[RoleEntry], found: &mut Vec<Finding>) {
    let vocabulary = document.tables.vocabulary();
    let stands_for = |entry: &RoleEntry| -> BTreeSet<String> {
        vocabulary
            .expand(&entry.pattern)
            .map(str::to_owned)
            .collect()
    };
    let wide: Vec<(&RoleEntry, BTreeSet<String>)> = entries
        .iter()
        .filter(|entry| entry.pattern.contains('*'))
        .map(|entry| (entry, stands_for(entry)))
        .collect();
    for entry in entries {
        let own = stands_for(entry);
        let covering = wide.iter().find(|(other, names)| {
            other.pattern != entry.pattern
                && own.is_subset(names)
                && (own.len() < names.len() || !entry.pattern.contains('*'))
        });
        if let Some((other, _)) = covering {
            let (pattern, other) = (&entry.pattern, &other.pattern);
            let message = format!("`{other}` gives the role `{role}` all that `{pattern}` does");
            let help = "take it out";
            found.push(finding(Lint::RedundantGrant, entry.span, message, help));
        }
    }
}

/// A route with its place, taken apart.
struct Route<'d> {
    info: &'d RouteInfo,
    places: &'d RoutePlaces,
    segments: Vec<Segment<'d>>,
}

/// Routes that are more open, or more closed, than what stands around them.
pub(super) fn routes(document: &Compiled, found: &mut Vec<Finding>) {
    let description = document.tables.description();
    let routes: Vec<Route<'_>> = description
        .routes
        .iter()
        .zip(&document.places.routes)
        .filter_map(|(info, places)| {
            let segments = pattern::parse(&info.pattern).ok()?;
            Some(Route {
                info,
                places,
                segments,
            })
        })
        .collect();
    // Only what ends in a tail guards what is below it: few routes do, so that this is not quadratic in practice.
    let guards: Vec<&Route<'_>> = routes
        .iter()
        .filter(|route| !route.info.public && route.segments.last() == Some(&Segment::Tail))
        .collect();
    let narrowed = narrowed_parents(&routes);
    for route in &routes {
        if route.info.public {
            public(route, &guards, found);
        } else {
            another_name(route, found);
            silence(route, &narrowed, found);
        }
    }
}

fn public(route: &Route<'_>, guards: &[&Route<'_>], found: &mut Vec<Finding>) {
    let place = route.places.key_or_match("public");
    let (method, pattern) = (&route.info.method, &route.info.pattern);
    let guard = guards.iter().find(|guard| {
        let same_method = guard.info.method == *method || guard.info.method == "*" || method == "*";
        same_method && covers(&guard.segments, &route.segments)
    });
    if let Some(guard) = guard {
        let needs = match &guard.info.requires {
            Some(name) => format!("requires `{name}`"),
            None => "is for operators".to_owned(),
        };
        let guard = format!("{} {}", guard.info.method, guard.info.pattern);
        let message = format!("`{method} {pattern}` is public, and `{guard}` around it {needs}");
        let help = "make sure that it is meant for everyone, with or without a credential";
        found.push(finding(Lint::PublicBelowGuard, place, message, help));
    }
    if method == "*" {
        let message = format!("`* {pattern}` is public for every method");
        let help = "name the method: what is open to read need not be open to change";
        found.push(finding(Lint::PublicEveryMethod, place, message, help));
    }
}

/// Whether a pattern that ends in a tail matches all that another does.
fn covers(guard: &[Segment<'_>], route: &[Segment<'_>]) -> bool {
    let guard = guard.split_last().map_or(guard, |(_, before)| before);
    guard.len() <= route.len()
        && guard
            .iter()
            .zip(route)
            .all(|(guard, segment)| match (guard, segment) {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                (Segment::Parameter(_), Segment::Literal(_) | Segment::Parameter(_)) => true,
                _ => false,
            })
}

/// `/v1/clusters/{id}` looks like one cluster's and is read as spanning all of them.
fn another_name(route: &Route<'_>, found: &mut Vec<Finding>) {
    if route.info.cluster != ClusterSource::Spans {
        return;
    }
    let mut before = None;
    for segment in &route.segments {
        if let Segment::Parameter(name) = segment {
            let lower = name.to_ascii_lowercase();
            let is_under_clusters =
                matches!(before, Some(Segment::Literal("clusters" | "cluster")));
            if is_under_clusters || lower.starts_with("cluster") {
                let message = format!("no cluster is read from `{{{name}}}`");
                let help = "call it `{cluster}`; as it is, the route spans every cluster";
                let place = route.places.matched;
                found.push(finding(Lint::ClusterByAnotherName, place, message, help));
                return;
            }
        }
        before = Some(*segment);
    }
}

/// The parents of routes that GET a collection and narrow it, each with the first of them.
fn narrowed_parents<'d>(routes: &[Route<'d>]) -> BTreeMap<String, &'d RouteInfo> {
    let mut parents = BTreeMap::new();
    for route in routes.iter().filter(|route| !route.info.public) {
        let narrows = matches!(
            route.info.cluster,
            ClusterSource::Query(_)
                | ClusterSource::Header(_)
                | ClusterSource::Lists(_)
                | ClusterSource::Upstream
        );
        if let Some(parent) = collection_parent(route).filter(|_| narrows) {
            parents.entry(parent).or_insert(route.info);
        }
    }
    parents
}

/// The pattern without its last segment, of a route that GETs what a literal names: what an id names mostly is of
/// one cluster, and which one is not known.
fn collection_parent(route: &Route<'_>) -> Option<String> {
    let is_get = route.info.method == "GET" || route.info.method == "*";
    let ends_in_literal = matches!(route.segments.last(), Some(Segment::Literal(_)));
    let (parent, _) = route.info.pattern.rsplit_once('/')?;
    (is_get && ends_in_literal && route.segments.len() > 1).then(|| parent.to_owned())
}

fn silence(route: &Route<'_>, narrowed: &BTreeMap<String, &RouteInfo>, found: &mut Vec<Finding>) {
    if route.info.cluster != ClusterSource::Spans || route.info.requires.is_none() {
        return;
    }
    let beside = collection_parent(route).and_then(|parent| narrowed.get(&parent));
    if let Some(beside) = beside {
        let message = format!(
            "`{} {}` spans every cluster by saying nothing, and `{} {}` beside it narrows",
            route.info.method, route.info.pattern, beside.method, beside.pattern
        );
        let help = "callers restricted to clusters are refused here: say `cluster` or `lists`";
        let place = route.places.matched;
        found.push(finding(Lint::SpansBySilence, place, message, help));
    }
}

pub(super) fn finding(lint: Lint, span: Span, message: String, help: &str) -> Finding {
    Finding {
        lint,
        span,
        message,
        help: help.to_owned(),
    }
}

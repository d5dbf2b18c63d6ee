//! Trying a policy out before anybody depends on it: a few questions about its own routes, each in a fresh instance.

use std::collections::BTreeSet;

use scopegate_policy::{
    Caller, CallerKind, Clusters, Description, Request, RouteInfo,
    packed::RequestRef,
    routing::pattern::{self, Segment},
};

use super::{
    Policy,
    caller::{CallerRef, PackedCaller},
};

/// Routes that are asked about, spread over all of them. A policy that fails for good fails at the first.
const ROUTES_MAX: usize = 8;
/// What stands for a parameter of a path.
const PARAMETER: &str = "probe";
/// When the questions are asked: 2026-01-01. A policy has no other clock.
const NOW: i64 = 1_767_225_600;

impl Policy {
    /// Asks about some of its own routes, as nobody and as somebody with every role that it knows. What it decides does
    /// not matter, only that it does.
    ///
    /// # Errors
    /// How it failed, and about which route.
    pub fn probe(&self) -> Result<(), String> {
        let callers = [Caller::anonymous(), everybody(self.description())];
        for route in chosen(&self.description().routes) {
            let request = question(route);
            for caller in &callers {
                let packed = PackedCaller::default();
                let caller = CallerRef {
                    caller,
                    packed: &packed,
                };
                self.decide_apart(&caller, &RequestRef::from(&request), &BTreeSet::new())
                    .map_err(|why| {
                        format!("{why}, asked about `{} {}`", request.method, request.path)
                    })?;
            }
        }
        Ok(())
    }
}

fn chosen(routes: &[RouteInfo]) -> impl Iterator<Item = &RouteInfo> {
    let step = routes.len().div_ceil(ROUTES_MAX).max(1);
    routes.iter().step_by(step)
}

fn everybody(description: &Description) -> Caller {
    Caller {
        kind: CallerKind::Session,
        subject: PARAMETER.to_owned(),
        organization: PARAMETER.to_owned(),
        roles: description
            .roles
            .iter()
            .map(|role| role.name.clone())
            .collect(),
        clusters: Clusters::All,
        allowed_clusters: Clusters::All,
        auth_time: Some(NOW),
        ..Caller::anonymous()
    }
}

/// A request that the route matches.
fn question(route: &RouteInfo) -> Request {
    let segments = pattern::parse(&route.pattern).unwrap_or_default();
    let path: String = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(literal) => format!("/{literal}"),
            _ => format!("/{PARAMETER}"),
        })
        .collect();
    Request {
        method: match route.method.as_str() {
            "*" => "GET".to_owned(),
            method => method.to_owned(),
        },
        path: if path.is_empty() {
            "/".to_owned()
        } else {
            path
        },
        query: Vec::new(),
        headers: Vec::new(),
        address: None,
        now: NOW,
    }
}

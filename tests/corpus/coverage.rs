//! What the corpus leaves untried: routes of the management API, which are in every document, and reasons.

use std::collections::{BTreeMap, BTreeSet};

use scopegate_host::trial::{Outcome, REASONS};
use scopegate_policy::RouteInfo;

/// Which routes were allowed and refused.
#[derive(Default)]
pub struct Routes {
    allowed: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Routes {
    /// Notes what came of a case on a route.
    pub fn note(&mut self, route: &RouteInfo, outcome: &Outcome) {
        match outcome {
            Outcome::Allow(_) => self.allowed.insert(name(route)),
            Outcome::Deny { .. } => self.refused.insert(name(route)),
        };
    }

    /// Which of these were never allowed or never refused. A public one is refused to nobody.
    pub fn missing<'r>(&self, routes: impl Iterator<Item = &'r RouteInfo>) -> Vec<String> {
        let mut missing = Vec::new();
        for route in routes {
            let name = name(route);
            if !self.allowed.contains(&name) {
                missing.push(format!("{name} is never allowed"));
            }
            if !route.public && !self.refused.contains(&name) {
                missing.push(format!("{name} is never refused"));
            }
        }
        missing
    }
}

fn name(route: &RouteInfo) -> String {
    format!("{} {}", route.method, route.pattern)
}

/// How often each reason was expected.
#[derive(Default)]
pub struct Reasons(BTreeMap<String, usize>);

impl Reasons {
    /// Notes what a case expects.
    pub fn note(&mut self, expected: &Outcome) {
        if let Outcome::Deny { reason, .. } = expected {
            *self.0.entry(reason.clone()).or_default() += 1;
        }
    }

    /// Reasons that no case expects.
    pub fn missing(&self) -> Vec<&'static str> {
        REASONS
            .iter()
            .map(|(reason, _)| *reason)
            .filter(|reason| !self.0.contains_key(*reason))
            .collect()
    }
}

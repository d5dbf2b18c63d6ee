//! What the corpus leaves untried: routes of the product documents, and reasons.

use std::collections::{BTreeMap, BTreeSet};

use scopegate_policy::Description;

use super::case::{Outcome, REASONS};

/// Which routes of a document were allowed and refused.
#[derive(Default)]
pub struct Routes {
    allowed: BTreeSet<u32>,
    refused: BTreeSet<u32>,
}

impl Routes {
    /// Notes what came of a case on a route.
    pub fn note(&mut self, route: Option<u32>, outcome: &Outcome) {
        let Some(route) = route else { return };
        match outcome {
            Outcome::Allow(_) => self.allowed.insert(route),
            Outcome::Deny { .. } => self.refused.insert(route),
        };
    }

    /// The document's own routes that were never allowed or never refused. A public one is refused to nobody, and the
    /// gate's own routes are in every document.
    pub fn missing(&self, description: &Description) -> Vec<String> {
        let routes = (0..)
            .zip(&description.routes)
            .filter(|(_, route)| !route.pattern.starts_with("/-/"));
        let mut missing = Vec::new();
        for (index, route) in routes {
            let name = format!("{} {}", route.method, route.pattern);
            if !self.allowed.contains(&index) {
                missing.push(format!("{name} is never allowed"));
            }
            if !route.public && !self.refused.contains(&index) {
                missing.push(format!("{name} is never refused"));
            }
        }
        missing
    }
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

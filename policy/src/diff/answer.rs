//! An answer as those see it who get it, and what tells two of them apart.

use std::cmp::Ordering;

use crate::description::{ClusterSource, Description, ListShape};
use crate::facts::{Clusters, Decision, Outcome, Reason};

use super::Effect;

/// What is different about two answers, without the clusters that a case happens to be about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) old: Answer,
    pub(super) new: Answer,
    /// What the new one shows against the old one, where both allow.
    visible: Option<Visible>,
    /// Whether lists are cut down in another way, where both allow.
    lists: bool,
}

/// One policy's answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answer {
    pub(super) route: Option<Route>,
    /// The reason of a refusal, and the permission that it is about.
    refused: Option<(String, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) text: String,
    requires: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Visible {
    Same,
    More,
    Fewer,
    Others,
}

impl Key {
    /// Nothing when the answers are alike.
    pub(super) fn of(
        old: &Description,
        before: &Decision,
        new: &Description,
        after: &Decision,
    ) -> Option<Self> {
        let visible = match (&before.outcome, &after.outcome) {
            (Outcome::Allow(before), Outcome::Allow(after)) => Some(compare(before, after)),
            _ => None,
        };
        let lists = visible.is_some() && shape(old, before) != shape(new, after);
        let is_same = match visible {
            Some(visible) => visible == Visible::Same && !lists,
            None => before.outcome == after.outcome,
        };
        (!is_same).then(|| Self {
            old: Answer::of(old, before),
            new: Answer::of(new, after),
            visible,
            lists,
        })
    }

    pub(super) fn effect(&self) -> Effect {
        match (&self.old.refused, &self.new.refused, self.visible) {
            (Some(_), None, _) | (_, _, Some(Visible::More)) => Effect::Gains,
            (None, Some(_), _) | (_, _, Some(Visible::Fewer)) => Effect::Loses,
            _ => Effect::Differs,
        }
    }

    /// The permissions that the routes require.
    pub(super) fn requires(&self) -> Vec<String> {
        let routes = [&self.old, &self.new].map(|answer| answer.route.as_ref());
        let mut names: Vec<String> = routes
            .into_iter()
            .flatten()
            .filter_map(|route| route.requires.clone())
            .collect();
        names.dedup();
        names
    }

    /// The two answers in words.
    pub(super) fn words(&self) -> (String, String) {
        match (self.visible, self.lists) {
            (Some(Visible::Same), _) | (None, true) => {
                ("allowed".to_owned(), "allowed, lists differ".to_owned())
            }
            (Some(visible), _) => {
                let shown = match visible {
                    Visible::More => "more clusters",
                    Visible::Fewer => "fewer clusters",
                    Visible::Same | Visible::Others => "other clusters",
                };
                ("allowed".to_owned(), format!("allowed, {shown}"))
            }
            (None, false) => (self.old.text(), self.new.text()),
        }
    }
}

impl Answer {
    fn of(description: &Description, decision: &Decision) -> Self {
        let route = decision.rule.route;
        let route = route.and_then(|index| description.routes.get(index as usize));
        Self {
            route: route.map(|route| Route {
                text: format!("{} {}", route.method, route.pattern),
                requires: route.requires.clone(),
            }),
            refused: match &decision.outcome {
                Outcome::Allow(_) => None,
                Outcome::Deny(reason) => Some((reason.code().to_owned(), about(reason))),
            },
        }
    }

    fn text(&self) -> String {
        match &self.refused {
            None => "allowed".to_owned(),
            Some((code, None)) => code.clone(),
            Some((code, Some(name))) => format!("{code} `{name}`"),
        }
    }
}

fn about(reason: &Reason) -> Option<String> {
    match reason {
        Reason::MissingPermission(name) => Some(name.clone()),
        _ => None,
    }
}

/// How the gate cuts a reply down.
fn shape<'d>(description: &'d Description, decision: &Decision) -> Option<&'d ListShape> {
    let route = description.routes.get(decision.rule.route? as usize)?;
    match &route.cluster {
        ClusterSource::Lists(shape) => Some(shape),
        _ => None,
    }
}

fn compare(before: &Clusters, after: &Clusters) -> Visible {
    let both = before.intersect(after);
    let ordering = match (before, after) {
        _ if before == after => Some(Ordering::Equal),
        _ if both == *before => Some(Ordering::Less),
        _ if both == *after => Some(Ordering::Greater),
        _ => None,
    };
    match ordering {
        Some(Ordering::Equal) => Visible::Same,
        Some(Ordering::Less) => Visible::More,
        Some(Ordering::Greater) => Visible::Fewer,
        None => Visible::Others,
    }
}

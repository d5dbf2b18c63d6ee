//! What the policy in the shadow answers otherwise than the active one: counted, and a few examples of each difference.
//! However much comes, only so much is kept.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use jiff::Timestamp;
use parking_lot::Mutex;
use scopegate_policy::{
    ClusterSource, Clusters, Decision, Description, ListShape, Outcome, RouteInfo,
};

use super::{
    asker::Asked,
    status::{Counted, Difference, DifferenceKind, Example},
};
use crate::{Cause, audit::Judge};

/// Kinds of differences by route at most; what differs besides is counted.
const ROWS_MAX: usize = 200;
/// Examples of each.
const EXAMPLES_MAX: usize = 3;

/// An answer as it would have reached the caller.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The clusters that are visible, or why the request was refused.
    pub(crate) outcome: Result<Clusters, Cause>,
    /// The route that decided, by its number in the policy's description.
    pub(crate) route: Option<u32>,
}

/// What came of comparing an active policy with the one in its shadow.
pub(crate) struct Tally {
    active: Arc<Judge>,
    shadow: Arc<Description>,
    skipped: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    since_ms: Option<i64>,
    same: u64,
    different: u64,
    faults: u64,
    rows: BTreeMap<Key, Row>,
    unlisted: u64,
}

/// A route of the active policy, or of the one in the shadow where only that one has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Active(u32),
    Shadow(u32),
    Nowhere,
}

type Key = (DifferenceKind, Place);

#[derive(Default)]
struct Row {
    count: u64,
    examples: Vec<Example>,
}

impl Answer {
    /// A policy's answer to somebody with a name, or to nobody.
    pub(crate) fn of(decision: Decision) -> Self {
        let outcome = match decision.outcome {
            Outcome::Allow(visible) => Ok(visible),
            Outcome::Deny(reason) => Err(Cause::Denied(reason)),
        };
        Self {
            outcome,
            route: decision.rule.route,
        }
    }

    /// What the gate says in place of a policy.
    pub(crate) fn refusal(cause: Cause) -> Self {
        Self {
            outcome: Err(cause),
            route: None,
        }
    }

    fn is_fault(&self) -> bool {
        matches!(self.outcome, Err(Cause::PolicyFault(_)))
    }

    fn route_in<'d>(&self, description: &'d Description) -> Option<&'d RouteInfo> {
        description.routes.get(self.route? as usize)
    }
}

impl Tally {
    /// Nothing is counted yet.
    pub(crate) fn new(active: Arc<Judge>, shadow: Arc<Description>) -> Self {
        Self {
            active,
            shadow,
            skipped: AtomicU64::new(0),
            counts: Mutex::default(),
        }
    }

    /// Counts a question that is not asked.
    pub(crate) fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
        count("skipped");
    }

    /// Compares the two answers to a question.
    pub(super) fn note(&self, asked: Asked, shadow: Answer) {
        let kind = self.compare(&asked.active, &shadow);
        count(match kind {
            None => "same",
            Some(DifferenceKind::Fault) => "fault",
            Some(_) => "different",
        });
        let mut counts = self.counts.lock();
        counts.since_ms.get_or_insert(asked.at_ms);
        let Some(kind) = kind else {
            counts.same += 1;
            return;
        };
        match kind {
            DifferenceKind::Fault => counts.faults += 1,
            _ => counts.different += 1,
        }
        let key = (kind, place(&asked.active, &shadow));
        let is_full = counts.rows.len() >= ROWS_MAX;
        if is_full && !counts.rows.contains_key(&key) {
            counts.unlisted += 1;
            return;
        }
        let row = counts.rows.entry(key).or_default();
        row.count += 1;
        if row.examples.len() < EXAMPLES_MAX {
            let example = Example::of(&asked, &shadow);
            // Others say more than the same once more.
            if !row.examples.iter().any(|known| known.is_like(&example)) {
                row.examples.push(example);
            }
        }
    }

    /// What was counted so far.
    pub(super) fn counted(&self) -> Counted {
        let counts = self.counts.lock();
        let mut differences: Vec<Difference> = counts
            .rows
            .iter()
            .map(|((kind, place), row)| Difference {
                kind: *kind,
                route: self.route(*place),
                count: row.count,
                examples: row.examples.clone(),
            })
            .collect();
        // What opens something first, and then what is met most often.
        differences.sort_by_key(|difference| (difference.kind, u64::MAX - difference.count));
        let since = counts
            .since_ms
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        Counted {
            beside: self.active.digest.clone(),
            since,
            asked: counts.same + counts.different + counts.faults,
            same: counts.same,
            different: counts.different,
            faults: counts.faults,
            skipped: self.skipped.load(Relaxed),
            differences,
            unlisted: counts.unlisted,
        }
    }

    fn compare(&self, active: &Answer, shadow: &Answer) -> Option<DifferenceKind> {
        use DifferenceKind as Kind;
        match (&active.outcome, &shadow.outcome) {
            (_, Err(_)) if shadow.is_fault() => Some(Kind::Fault),
            (Ok(_), Err(_)) => Some(Kind::NewlyRefused),
            (Err(_), Ok(_)) => Some(Kind::NewlyAllowed),
            (Ok(before), Ok(after)) if !is_same_set(before, after) => Some(Kind::OtherClusters),
            (Ok(_), Ok(_)) => {
                let before = active.route_in(&self.active.description).and_then(list);
                let after = shadow.route_in(&self.shadow).and_then(list);
                (before != after).then_some(Kind::OtherList)
            }
            (Err(before), Err(after)) => {
                (words(before) != words(after)).then_some(Kind::OtherReason)
            }
        }
    }

    fn route(&self, place: Place) -> Option<String> {
        let (description, index) = match place {
            Place::Active(index) => (&self.active.description, index),
            Place::Shadow(index) => (&self.shadow, index),
            Place::Nowhere => return None,
        };
        let route = description.routes.get(index as usize)?;
        Some(format!("{} {}", route.method, route.pattern))
    }
}

fn place(active: &Answer, shadow: &Answer) -> Place {
    match (active.route, shadow.route) {
        (Some(index), _) => Place::Active(index),
        (None, Some(index)) => Place::Shadow(index),
        (None, None) => Place::Nowhere,
    }
}

/// How a reply is narrowed.
fn list(route: &RouteInfo) -> Option<&ListShape> {
    match &route.cluster {
        ClusterSource::Lists(shape) => Some(shape),
        _ => None,
    }
}

/// A reason, and the permission or cluster that it is about.
pub(super) fn words(cause: &Cause) -> (&str, Option<&str>) {
    let about = match cause {
        Cause::Denied(reason) => reason.subject(),
        _ => None,
    };
    (cause.code(), about)
}

/// Whether two sets are one, whatever the order: policies that were written by hand have theirs.
fn is_same_set(one: &Clusters, other: &Clusters) -> bool {
    match (one, other) {
        (Clusters::All, Clusters::All) => true,
        (Clusters::Only(one), Clusters::Only(other)) => {
            one == other || Clusters::only(one.clone()) == Clusters::only(other.clone())
        }
        _ => false,
    }
}

fn count(result: &'static str) {
    metrics::counter!("scopegate_policy_shadow_total", "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::policies::shadow::asker::Told;
    use scopegate_policy::Reason;

    /// As many routes as this.
    fn description(routes: u32) -> Arc<Description> {
        let route = |number: u32| RouteInfo {
            method: "GET".to_owned(),
            pattern: format!("/v1/{number}"),
            public: true,
            requires: None,
            when: None,
            cluster: ClusterSource::None,
        };
        Arc::new(Description {
            name: "many".to_owned(),
            version: String::new(),
            permissions: Vec::new(),
            roles: Vec::new(),
            routes: (0..routes).map(route).collect(),
            headers: Vec::new(),
        })
    }

    fn tally(routes: u32) -> Arc<Tally> {
        let active = Judge {
            digest: "sha256:0".to_owned(),
            description: description(routes),
        };
        Arc::new(Tally::new(Arc::new(active), description(routes)))
    }

    /// A question that the active policy allowed by this route.
    fn asked(tally: &Arc<Tally>, route: u32, path: &str) -> Asked {
        let told = Told {
            query: vec![("cluster".to_owned(), "sg_live_secret".to_owned())],
            headers: Vec::new(),
        };
        Asked {
            at_ms: 0,
            method: "GET".into(),
            path: path.into(),
            told: Ok(told),
            client: Some(Ipv4Addr::LOCALHOST.into()),
            principal: None,
            active: Answer {
                outcome: Ok(Clusters::All),
                route: Some(route),
            },
            tally: Arc::clone(tally),
        }
    }

    fn denied() -> Answer {
        Answer::refusal(Cause::Denied(Reason::NoRoute))
    }

    #[test]
    fn whatever_comes_only_so_much_is_kept() {
        const MORE: usize = 100;
        let routes = u32::try_from(ROWS_MAX + MORE).unwrap();
        let tally = tally(routes);
        for route in 0..routes {
            for number in 0..5 {
                let path = format!("/v1/{route}/{number}/{}", "x".repeat(5000));
                tally.note(asked(&tally, route, &path), denied());
            }
        }
        let counted = tally.counted();
        assert_eq!(counted.different, 5 * u64::from(routes));
        assert_eq!(counted.differences.len(), ROWS_MAX);
        assert_eq!(counted.unlisted, 5 * MORE as u64);
        for difference in &counted.differences {
            assert_eq!(
                (difference.count, difference.examples.len()),
                (5, EXAMPLES_MAX)
            );
            assert!(difference.examples.iter().all(|one| one.path.len() <= 256));
        }
        let told = serde_json::to_string(&counted).unwrap();
        assert!(!told.contains("secret"), "a credential is told");
    }

    #[test]
    fn the_same_set_in_another_order_is_no_difference() {
        let tally = tally(1);
        let only = |ids: [&str; 2]| Answer {
            outcome: Ok(Clusters::Only(ids.map(str::to_owned).to_vec())),
            route: Some(0),
        };
        let compared = |one, other| tally.compare(&only(one), &only(other));
        assert_eq!(compared(["a", "b"], ["b", "a"]), None);
        let other = compared(["a", "b"], ["a", "c"]);
        assert_eq!(other, Some(DifferenceKind::OtherClusters));
    }
}

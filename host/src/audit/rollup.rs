//! What happened to an organization's requests over time, in numbers: they are counted in the transaction that adds their
//! records, so that a picture of weeks costs no search. They are no part of the chain, and can be made from it again.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{chain::Row, line::RecordKind};

/// How far back the numbers go, in seconds: 92 days.
pub const LOOK_BACK_SECS: i64 = 92 * DAY_SECS;
/// How long they are kept, in seconds: a bucket that is looked at is whole.
pub(crate) const KEPT_SECS: i64 = LOOK_BACK_SECS + 3 * DAY_SECS;
/// Pieces of time that are counted apart, in seconds: each is a multiple of the one before it.
pub(crate) const PIECES_SECS: [i64; 3] = [300, 3600, DAY_SECS];
/// Buckets of a summary at most, but for one that is there in part.
const BUCKETS_MAX: i64 = 60;
/// How wide buckets are, in seconds: those that look right on a clock and a calendar.
const WIDTHS_SECS: [i64; 12] = [
    300,
    600,
    900,
    1800,
    3600,
    2 * 3600,
    3 * 3600,
    4 * 3600,
    6 * 3600,
    12 * 3600,
    DAY_SECS,
    2 * DAY_SECS,
];
const DAY_SECS: i64 = 24 * 3600;
/// Reasons and limits that a summary names at most.
const NAMED_MAX: usize = 10;

/// What is counted.
pub(crate) const OUTCOME: &str = "outcome";
pub(crate) const REASON: &str = "reason";
pub(crate) const LIMIT: &str = "limit";
pub(crate) const LATENCY: &str = "latency";
const ADMITTED: &str = "admitted";
const REFUSED: &str = "refused";
const LIMITED: &str = "limited";

/// The reasons of refusals over a limit.
const LIMITS: [&str; 2] = ["rate-limited", "too-many-failures"];

/// A span of time in buckets. All times are in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where the first bucket begins.
    pub since: i64,
    /// Where the last one ends.
    pub until: i64,
    /// How wide they are.
    pub bucket_secs: i64,
}

impl Window {
    /// The buckets that a span of time is in, which begin and end at or around it.
    pub fn around(since: i64, until: i64) -> Self {
        let until = until.max(since.saturating_add(1));
        let span = until.saturating_sub(since);
        let is_enough = |width: &i64| span <= width.saturating_mul(BUCKETS_MAX);
        let width = WIDTHS_SECS.into_iter().find(is_enough);
        let bucket_secs = width.unwrap_or(2 * DAY_SECS);
        let floor = |at: i64| at.div_euclid(bucket_secs).saturating_mul(bucket_secs);
        Self {
            since: floor(since),
            until: floor(until.saturating_add(bucket_secs - 1)),
            bucket_secs,
        }
    }

    /// The pieces that its buckets are made of: the widest that fit.
    pub(crate) fn piece_secs(&self) -> i64 {
        let fits = |piece: &&i64| self.bucket_secs % **piece == 0;
        let [first, ..] = PIECES_SECS;
        *PIECES_SECS.iter().rev().find(fits).unwrap_or(&first)
    }

    fn buckets(&self) -> usize {
        let count = (self.until - self.since).div_euclid(self.bucket_secs);
        usize::try_from(count).unwrap_or_default()
    }
}

/// What happened to an organization's requests in a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The span.
    pub window: Window,
    /// Its buckets, all of them, oldest first.
    pub buckets: Vec<Bucket>,
    /// Why requests were refused, the most frequent first.
    pub reasons: Vec<(String, u64)>,
    /// Whose limits were hit, the most frequent first.
    pub limits: Vec<LimitHit>,
    /// How long the gate took.
    pub latency: Latency,
}

/// What happened to requests in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub start: i64,
    /// Requests that were let through.
    pub admitted: u64,
    /// Those that were refused, but for a limit.
    pub refused: u64,
    /// Those that were over a limit.
    pub limited: u64,
}

/// A limit that was hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHit {
    /// What is counted: `session`, `api-key`, `agent`.
    pub scope: String,
    /// Whose: the key's or agent's name, or the user's e-mail address.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// How long the gate took, of as many records as there are, to within an eighth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Records.
    pub count: u64,
    /// The median, in microseconds.
    pub p50_us: Option<u64>,
    /// The 95th percentile.
    pub p95_us: Option<u64>,
    /// The 99th percentile.
    pub p99_us: Option<u64>,
}

/// So many of something, in a piece of time of [`PIECES_SECS`]'s first length.
#[derive(Debug, Serialize)]
pub(crate) struct Counted<'l> {
    pub(crate) organization: &'l str,
    pub(crate) start: i64,
    pub(crate) what: &'static str,
    pub(crate) name: String,
    pub(crate) count: u64,
}

/// What a line of a request says that is counted.
#[derive(Deserialize)]
struct Measured<'l> {
    #[serde(borrow)]
    kind: Cow<'l, str>,
    #[serde(borrow)]
    agent: Option<Cow<'l, str>>,
    #[serde(borrow)]
    name: Option<Cow<'l, str>>,
    micros: Option<u64>,
    count: Option<u64>,
    /// There where nobody has made the request.
    asked_by: Option<serde::de::IgnoredAny>,
}

/// What is counted of records that are being added.
pub(crate) fn count(rows: &[Row]) -> Vec<Counted<'_>> {
    let [piece, ..] = PIECES_SECS;
    let mut counts: BTreeMap<(&str, i64, &'static str, String), u64> = BTreeMap::new();
    for row in rows {
        let facts = &row.facts;
        let (RecordKind::Request, Some(organization)) = (facts.kind, &facts.organization) else {
            continue;
        };
        let Ok(measured) = serde_json::from_str::<Measured<'_>>(&row.line) else {
            continue;
        };
        if measured.asked_by.is_some() {
            continue;
        }
        let start = facts.at_ms.div_euclid(1000 * piece) * piece;
        let mut add = |what, name: String, count| {
            let counted = counts.entry((organization, start, what, name)).or_default();
            *counted = counted.saturating_add(count);
        };
        let count = measured.count.unwrap_or(1);
        let reason = facts.reason.as_deref();
        let is_limited = reason.is_some_and(|reason| LIMITS.contains(&reason));
        let outcome = match (facts.outcome.as_deref(), is_limited) {
            (Some("admit"), _) => ADMITTED,
            (_, true) => LIMITED,
            (_, false) => REFUSED,
        };
        add(OUTCOME, outcome.to_owned(), count);
        if let Some(reason) = reason {
            add(REASON, reason.to_owned(), count);
        }
        if is_limited {
            let name = measured.agent.or(measured.name).unwrap_or_default();
            add(LIMIT, format!("{} {name}", measured.kind), count);
        }
        if let Some(micros) = measured.micros {
            add(LATENCY, bound(micros).to_string(), 1);
        }
    }
    counts
        .into_iter()
        .map(|((organization, start, what, name), count)| Counted {
            organization,
            start,
            what,
            name,
            count,
        })
        .collect()
}

/// The lower bound of the class of times that this one is in: four classes for each doubling. The migration that counted the
/// records of before has the same bounds.
fn bound(micros: u64) -> u64 {
    match micros.checked_ilog2() {
        None | Some(0 | 1) => micros,
        Some(log) => micros >> (log - 2) << (log - 2),
    }
}

/// The time that stands for its class: its middle.
fn middle(bound: u64) -> u64 {
    match bound.checked_ilog2() {
        None | Some(0..=2) => bound,
        Some(log) => bound.saturating_add(1 << (log - 3)),
    }
}

impl Summary {
    /// A summary of what was counted: of outcomes by bucket, and of everything else in the whole span.
    pub(crate) fn of(
        window: Window,
        outcomes: Vec<(i64, String, u64)>,
        others: Vec<(String, String, u64)>,
    ) -> Self {
        let starts = (0_i64..).map(|place| window.since + place * window.bucket_secs);
        let blank = starts.take(window.buckets()).map(|start| Bucket {
            start,
            ..Bucket::default()
        });
        let mut buckets: Vec<Bucket> = blank.collect();
        for (place, outcome, count) in outcomes {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let Some(bucket) = buckets.get_mut(place) else {
                continue;
            };
            match outcome.as_str() {
                ADMITTED => bucket.admitted = count,
                LIMITED => bucket.limited = count,
                _ => bucket.refused = count,
            }
        }
        let (mut reasons, mut limits, mut times) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (what, name, count) in others {
            match what.as_str() {
                REASON => reasons.push((name, count)),
                LIMIT => limits.push((name, count)),
                _ => {
                    times.insert(name.parse().unwrap_or_default(), count);
                }
            }
        }
        let limit_hit = |(name, count): (String, u64)| {
            let (scope, name) = name.split_once(' ').unwrap_or((name.as_str(), ""));
            LimitHit {
                scope: scope.to_owned(),
                name: name.to_owned(),
                count,
            }
        };
        Self {
            window,
            buckets,
            reasons: most_frequent(reasons),
            limits: most_frequent(limits).into_iter().map(limit_hit).collect(),
            latency: Latency::of(&times),
        }
    }
}

impl Latency {
    fn of(times: &BTreeMap<u64, u64>) -> Self {
        let count: u64 = times.values().sum();
        let percentile = |percent: u64| {
            // The record at this place, counted from one.
            let place = count * percent;
            let mut seen: u64 = 0;
            let found = times.iter().find(|(_, count)| {
                seen += **count * 100;
                seen >= place.max(1)
            });
            found.map(|(bound, _)| middle(*bound))
        };
        Self {
            count,
            p50_us: percentile(50),
            p95_us: percentile(95),
            p99_us: percentile(99),
        }
    }
}

fn most_frequent(mut counted: Vec<(String, u64)>) -> Vec<(String, u64)> {
    counted.sort_by(|(one, ones), (other, others)| others.cmp(ones).then_with(|| one.cmp(other)));
    counted.truncate(NAMED_MAX);
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_few_buckets_that_begin_where_clocks_and_calendars_do() {
        let now = 1_775_000_123;
        for (span, width) in [
            (1, 300),
            (3600, 300),
            (5 * 3600, 300),
            (DAY_SECS, 1800),
            (7 * DAY_SECS, 3 * 3600),
            (30 * DAY_SECS, 12 * 3600),
            (LOOK_BACK_SECS, 2 * DAY_SECS),
        ] {
            let window = Window::around(now - span, now);
            assert_eq!(window.bucket_secs, width, "{span}");
            assert!(window.since <= now - span && window.until >= now);
            assert_eq!((window.since % width, window.until % width), (0, 0));
            assert!(window.buckets() <= 61 && window.buckets() > 0);
            assert_eq!(window.bucket_secs % window.piece_secs(), 0);
        }
        assert_eq!(Window::around(0, 3600).piece_secs(), 300);
        assert_eq!(Window::around(0, LOOK_BACK_SECS).piece_secs(), DAY_SECS);
    }

    #[test]
    fn times_are_kept_to_within_an_eighth() {
        for micros in (0..5_000).chain([u64::MAX, 1 << 40]) {
            let bound = bound(micros);
            assert!(bound <= micros && self::bound(bound) == bound, "{micros}");
            let off = middle(bound).abs_diff(micros);
            assert!(off <= micros / 8, "{micros} is {}", middle(bound));
        }
    }

    #[test]
    fn percentiles_are_those_of_the_records() {
        let times = (1..=100).map(|micros| bound(micros * 1000));
        let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
        for time in times {
            *counted.entry(time).or_default() += 1;
        }
        let latency = Latency::of(&counted);
        let near = |found: Option<u64>, expected: u64| {
            found.is_some_and(|found| found.abs_diff(expected) <= expected / 8)
        };
        assert_eq!(latency.count, 100);
        assert!(near(latency.p50_us, 50_000), "{latency:?}");
        assert!(near(latency.p95_us, 95_000), "{latency:?}");
        assert!(near(latency.p99_us, 99_000), "{latency:?}");
        assert_eq!(Latency::of(&BTreeMap::new()), Latency::default());
    }
}

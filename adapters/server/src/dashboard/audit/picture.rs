//! What happened to requests over time, drawn as SVG here: bars by outcome, and what was refused, limited and how fast.

use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

use crate::dashboard::visitor::Visitor;

/// The drawing's own units.
const WIDTH: u64 = 960;
const HEIGHT: u64 = 180;
/// Room for the numbers at its side and the times below.
const LEFT: u64 = 56;
const BELOW: u64 = 24;
/// Times below it.
const TIMES: usize = 6;

/// What the API says happened.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    bucket_secs: i64,
    buckets: Vec<Bucket>,
    reasons: Vec<Reason>,
    limits: Vec<Limit>,
    latency: Latency,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    start: Timestamp,
    admitted: u64,
    refused: u64,
    limited: u64,
}

#[derive(Debug, Deserialize)]
struct Reason {
    reason: String,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct Limit {
    name: String,
    count: u64,
}

#[derive(Debug, Deserialize)]
struct Latency {
    count: u64,
    p50_us: Option<u64>,
    p95_us: Option<u64>,
    p99_us: Option<u64>,
}

/// A bar's part: where it is and what it says when looked at.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) says: String,
}

/// A word in the drawing.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) text: String,
}

/// A row of a list with a bar behind it.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) count: u64,
    /// Of the most frequent one, in percent.
    pub(super) percent: u64,
}

/// The picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) left: u64,
    pub(super) ground: u64,
    pub(super) bars: Vec<Bar>,
    pub(super) times: Vec<Label>,
    /// The most requests of a bar.
    pub(super) most: u64,
    pub(super) admitted: u64,
    pub(super) refused: u64,
    pub(super) limited: u64,
    pub(super) reasons: Vec<Share>,
    pub(super) limits: Vec<Share>,
    /// Half, 95 and 99 of a hundred requests took the gate at most this.
    pub(super) latency: Vec<(&'static str, String)>,
}

impl Picture {
    /// Of what happened.
    pub(super) fn of(summary: &Summary, visitor: &Visitor) -> Self {
        let all = |bucket: &Bucket| bucket.admitted + bucket.refused + bucket.limited;
        let most = summary.buckets.iter().map(all).max().unwrap_or_default();
        let sum = |of: fn(&Bucket) -> u64| summary.buckets.iter().map(of).sum();
        let count = u64::try_from(summary.buckets.len()).unwrap_or(1).max(1);
        let step = ((WIDTH - LEFT) / count).max(1);
        let mut bars = Vec::new();
        let mut times = Vec::new();
        let every = summary.buckets.len().div_ceil(TIMES).max(1);
        for (place, bucket) in summary.buckets.iter().enumerate() {
            let x = LEFT + step * u64::try_from(place).unwrap_or_default();
            let at = visitor.moment(bucket.start).exact;
            bars.extend(stacked(bucket, (x, step), most, &at));
            if place % every == 0 {
                times.push(Label {
                    x,
                    y: HEIGHT - 6,
                    text: time(bucket.start, summary.bucket_secs),
                });
            }
        }
        let latency = &summary.latency;
        let took = [
            ("Half within", latency.p50_us),
            ("95 % within", latency.p95_us),
            ("99 % within", latency.p99_us),
        ];
        let took = took
            .into_iter()
            .filter_map(|(words, at)| Some((words, duration(at?))));
        Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            ground: HEIGHT - BELOW,
            bars,
            times,
            most,
            admitted: sum(|bucket| bucket.admitted),
            refused: sum(|bucket| bucket.refused),
            limited: sum(|bucket| bucket.limited),
            reasons: shares(summary.reasons.iter().map(|of| (&of.reason, of.count))),
            limits: shares(summary.limits.iter().map(|of| (&of.name, of.count))),
            latency: match latency.count {
                0 => Vec::new(),
                _ => took.collect(),
            },
        }
    }
}

/// The parts of one bar, one above the other.
fn stacked(bucket: &Bucket, (x, step): (u64, u64), most: u64, at: &str) -> Vec<Bar> {
    let room = HEIGHT - BELOW - 10;
    let mut y = HEIGHT - BELOW;
    let parts = [
        ("admitted", bucket.admitted),
        ("limited", bucket.limited),
        ("refused", bucket.refused),
    ];
    let mut bars = Vec::new();
    for (class, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
        // One request among thousands is still seen.
        let height = (count * room).checked_div(most).unwrap_or_default().max(1);
        y = y.saturating_sub(height);
        bars.push(Bar {
            class,
            x,
            y,
            width: step.saturating_sub(1).max(1),
            height,
            says: format!("{count} {class}, from {at}"),
        });
    }
    bars
}

/// The time below a bar: of day, or the day where bars are long.
fn time(at: Timestamp, bucket_secs: i64) -> String {
    let format = if bucket_secs >= 6 * 3600 {
        "%m-%d"
    } else {
        "%H:%M"
    };
    at.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// Microseconds in a unit that reads well.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

fn shares<'s>(counted: impl Iterator<Item = (&'s String, u64)> + Clone) -> Vec<Share> {
    let most = counted
        .clone()
        .map(|(_, count)| count)
        .max()
        .unwrap_or_default();
    counted
        .map(|(name, count)| Share {
            name: name.clone(),
            count,
            percent: (count * 100).checked_div(most).unwrap_or_default().max(1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(7), "7 µs");
        assert_eq!(duration(1_250), "1.2 ms");
        assert_eq!(duration(2_600_000), "2.6 s");
    }

    #[test]
    fn a_bar_is_no_higher_than_its_room_and_never_nothing() {
        let bucket = Bucket {
            start: Timestamp::UNIX_EPOCH,
            admitted: 100_000,
            refused: 1,
            limited: 0,
        };
        let bars = stacked(&bucket, (LEFT, 10), 100_001, "then");
        assert_eq!(bars.len(), 2);
        assert!(bars.iter().all(|bar| bar.height >= 1));
        assert!(bars.iter().map(|bar| bar.height).sum::<u64>() <= HEIGHT - BELOW);
    }
}

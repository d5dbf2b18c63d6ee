//! Moments as people say them, with the exact one beside.

use jiff::{Timestamp, tz::TimeZone};

/// A moment to show.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// For machines: RFC 3339.
    pub(super) machine: String,
    /// For who looks closer: date and time in UTC.
    pub(super) exact: String,
    /// From now: `3 minutes ago`, `in 5 days`.
    pub(super) relative: String,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Units, each with how many seconds before it says more than the one below.
const UNITS: [(i64, &str); 5] = [
    (365 * DAY, "year"),
    (30 * DAY, "month"),
    (DAY, "day"),
    (HOUR, "hour"),
    (MINUTE, "minute"),
];

impl Moment {
    /// A moment as it is seen at `now`.
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        let utc = at.to_zoned(TimeZone::UTC);
        Self {
            machine: at.to_string(),
            exact: utc.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            relative: relative(at.as_second().saturating_sub(now.as_second())),
        }
    }
}

/// How far away something is, in seconds; less than none is past.
fn relative(seconds: i64) -> String {
    let far = seconds.saturating_abs();
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| far >= *unit) else {
        return if seconds > 0 {
            "in less than a minute"
        } else {
            "just now"
        }
        .to_owned();
    };
    let count = far / unit;
    let plural = if count == 1 { "" } else { "s" };
    match seconds > 0 {
        true => format!("in {count} {name}{plural}"),
        false => format!("{count} {name}{plural} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_from_now() {
        for (seconds, said) in [
            (0, "just now"),
            (-59, "just now"),
            (30, "in less than a minute"),
            (-60, "1 minute ago"),
            (-3 * HOUR - 5, "3 hours ago"),
            (5 * DAY + 1, "in 5 days"),
            (-40 * DAY, "1 month ago"),
            (800 * DAY, "in 2 years"),
            (i64::MIN, "292471208677 years ago"),
        ] {
            assert_eq!(relative(seconds), said);
        }
        let at = Timestamp::from_second(1_774_958_400).unwrap();
        assert_eq!(Moment::of(at, at).exact, "2026-03-31 12:00:00 UTC");
    }
}

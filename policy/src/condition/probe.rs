//! What tells a condition's parts apart: the values of facts at which something changes, from its own constants, and
//! what comes of each part for a question. Cases are made of it.

use std::collections::BTreeSet;

use crate::description::Description;
use crate::facts::{Caller, Request};
use crate::packed::{Question, RequestRef, pack_caller, pack_request};
use crate::vocabulary::Vocabulary;

use super::{Condition, Fact, Op, holds};

const DAY_SECS: i64 = 24 * 3600;
/// Constants of one kind that are looked at, at most.
const CONSTANTS_MAX: usize = 24;
/// Bytes of a text made for a header, at most.
const TEXT_BYTES_MAX: usize = 200;

/// Values for what conditions read, each once, in order. Where a fact is not read, there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// Just inside and just outside of every network, in IPv6's form.
    pub(crate) addresses: BTreeSet<u128>,
    /// Seconds since the epoch, just before and at every bound.
    pub(crate) times: BTreeSet<i64>,
    /// Seconds, a minute around every bound: what files of tests can say.
    pub(crate) ages_secs: BTreeSet<i64>,
    /// What texts are compared with, and what only begins or ends so.
    pub(crate) texts: BTreeSet<String>,
    /// Names of headers that are read.
    pub(crate) headers: BTreeSet<String>,
    /// Whether these are read.
    pub(crate) mfa: bool,
    pub(crate) subject: bool,
    pub(crate) method: bool,
    pub(crate) path: bool,
}

impl Values {
    /// Of these conditions together; `day` is a moment at the beginning of a day, UTC.
    pub(crate) fn of(conditions: &[&Condition], day: i64) -> Self {
        let mut values = Self::default();
        for condition in conditions {
            values.note(condition.code(), day);
        }
        values
    }

    fn note(&mut self, code: &[Op], day: i64) {
        let facts = || {
            code.iter().filter_map(|op| match op {
                Op::Fact(fact) | Op::Has(fact) => Some(fact),
                _ => None,
            })
        };
        let constants = Constants::of(code);
        for fact in facts() {
            match fact {
                Fact::Method => self.method = true,
                Fact::Path => self.path = true,
                Fact::Mfa => self.mfa = true,
                Fact::Subject => self.subject = true,
                Fact::Header(name) => {
                    self.headers.insert(name.clone());
                }
                Fact::Time => self.times.extend(constants.times(code, day)),
                Fact::CredentialAge | Fact::SignedInAge => {
                    let around = |bound: &i64| [bound - 60, *bound, bound + 60];
                    let ages = constants.spans.iter().flat_map(around);
                    self.ages_secs.extend(ages.filter(|age| *age > 0));
                }
                Fact::Address => self.addresses.extend(addresses(code)),
                Fact::Kind => {}
            }
        }
        if self.method || self.path || self.subject || !self.headers.is_empty() {
            self.texts.extend(constants.similar());
        }
    }
}

/// The constants of a condition.
struct Constants<'c> {
    texts: Vec<&'c str>,
    ints: Vec<i64>,
    times: Vec<i64>,
    spans: Vec<i64>,
}

impl<'c> Constants<'c> {
    fn of(code: &'c [Op]) -> Self {
        let mut found = Self {
            texts: Vec::new(),
            ints: Vec::new(),
            times: Vec::new(),
            spans: Vec::new(),
        };
        for op in code {
            match op {
                Op::Text(text) => found.texts.push(text),
                Op::Int(int) => found.ints.push(*int),
                Op::Time(time) => found.times.push(*time),
                Op::Span(span) => found.spans.push(*span),
                _ => {}
            }
        }
        found.texts.truncate(CONSTANTS_MAX);
        found.ints.truncate(CONSTANTS_MAX);
        found.times.truncate(CONSTANTS_MAX);
        found.spans.truncate(CONSTANTS_MAX);
        found
    }

    /// Moments around each bound. Hours and days of the week are those of the week that begins at `day`.
    fn times(&self, code: &[Op], day: i64) -> BTreeSet<i64> {
        let mut times = BTreeSet::new();
        for time in &self.times {
            let shifted = self
                .spans
                .iter()
                .flat_map(|span| [time + span, time - span]);
            for bound in shifted.chain([*time]) {
                times.extend([bound - 1, bound, bound + 1]);
            }
        }
        let around = |unit: i64, most: i64| -> BTreeSet<i64> {
            let near = self
                .ints
                .iter()
                .flat_map(|int| [int.saturating_sub(1), *int, int.saturating_add(1)]);
            near.filter(|near| (0..most).contains(near))
                .map(|near| near * unit)
                .collect()
        };
        let (mut hours, mut minutes, mut days) = (BTreeSet::new(), BTreeSet::from([0]), 1);
        for op in code {
            match op {
                Op::Hours(east) => {
                    hours.extend(around(3600, 24).iter().map(|secs| secs - i64::from(*east)));
                }
                Op::Minutes(_) => minutes.extend(around(60, 60)),
                Op::DayOfWeek(east) => {
                    hours.insert(-i64::from(*east));
                    days = 7;
                }
                _ => {}
            }
        }
        if hours.is_empty() && minutes.len() > 1 {
            hours.insert(0);
        }
        for number in 0..days {
            for hour in &hours {
                for minute in &minutes {
                    let bound = day + number * DAY_SECS + hour + minute;
                    times.extend([bound - 1, bound]);
                }
            }
        }
        times
    }

    /// Each text, and what is only a little like it.
    fn similar(&self) -> Vec<String> {
        let mut similar = vec![String::new(), "x".to_owned()];
        for text in self.texts.iter().filter(|text| text.len() < TEXT_BYTES_MAX) {
            similar.extend([
                (*text).to_owned(),
                format!("{text}x"),
                format!("x{text}"),
                format!("x{text}x"),
            ]);
        }
        // For what asks how long a text is.
        let lengths = self
            .ints
            .iter()
            .flat_map(|int| [int.saturating_sub(1), *int, int.saturating_add(1)]);
        let lengths = lengths.filter_map(|length| usize::try_from(length).ok());
        similar.extend(
            lengths
                .filter(|length| *length < TEXT_BYTES_MAX)
                .map(|length| "x".repeat(length)),
        );
        similar
    }
}

fn addresses(code: &[Op]) -> BTreeSet<u128> {
    let mut addresses = BTreeSet::new();
    for op in code {
        match op {
            Op::Address(address) => addresses.extend([*address, address.saturating_add(1)]),
            Op::Within { network, bits } => {
                let rest = u128::MAX.checked_shr(u32::from(*bits)).unwrap_or(0);
                let (first, last) = (network & !rest, network | rest);
                addresses.extend([first, last, first.saturating_sub(1), last.saturating_add(1)]);
            }
            _ => {}
        }
    }
    addresses
}

/// Conditions taken apart: each as a whole, and each comparison in them, with its opposite.
pub(crate) struct Parts {
    whole: Vec<Vec<Op>>,
    comparisons: Vec<[Vec<Op>; 2]>,
    vocabulary: Vocabulary,
}

impl Parts {
    pub(crate) fn of(conditions: &[&Condition]) -> Self {
        let mut comparisons: Vec<[Vec<Op>; 2]> = Vec::new();
        for condition in conditions {
            for part in comparisons_of(condition.code()) {
                let mut opposite = part.to_vec();
                opposite.push(Op::Not);
                let both = [part.to_vec(), opposite];
                if !comparisons.contains(&both) {
                    comparisons.push(both);
                }
            }
        }
        Self {
            whole: conditions.iter().map(|one| one.code().to_vec()).collect(),
            comparisons,
            // Conditions ask for none of a policy's names.
            vocabulary: Vocabulary::new(&Description {
                name: String::new(),
                version: String::new(),
                permissions: Vec::new(),
                roles: Vec::new(),
                routes: Vec::new(),
                headers: Vec::new(),
            }),
        }
    }

    /// Whether each condition is true.
    pub(crate) fn truths(&self, caller: &Caller, request: &Request) -> Vec<bool> {
        self.truths_of(caller, &RequestRef::from(request))
    }

    /// The same of a borrowed request.
    pub(crate) fn truths_of(&self, caller: &Caller, request: &RequestRef<'_>) -> Vec<bool> {
        let whole = self.whole.iter().map(Vec::as_slice);
        self.ask(caller, request, whole)
    }

    /// What comes of each comparison: true, false, or neither where it is an error.
    pub(crate) fn comparisons(&self, caller: &Caller, request: &Request) -> Vec<bool> {
        let parts = self.comparisons.iter().flatten().map(Vec::as_slice);
        self.ask(caller, &RequestRef::from(request), parts)
    }

    fn ask<'c>(
        &self,
        caller: &Caller,
        request: &RequestRef<'_>,
        codes: impl Iterator<Item = &'c [Op]>,
    ) -> Vec<bool> {
        let mut bytes = pack_caller(&self.vocabulary, caller);
        pack_request(&mut bytes, request);
        match Question::read(&bytes) {
            Some(question) => codes.map(|code| holds(code, &question)).collect(),
            None => Vec::new(),
        }
    }
}

/// A question of nobody, for nothing.
pub(crate) fn nothing() -> (Caller, Request) {
    let request = Request {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        now: 0,
        address: None,
    };
    (Caller::anonymous(), request)
}

/// The parts of a code that leave true or false and are not made of such: each is a row of its instructions.
fn comparisons_of(code: &[Op]) -> Vec<&[Op]> {
    let mut starts: Vec<usize> = Vec::new();
    let mut parts = Vec::new();
    for (place, op) in code.iter().enumerate() {
        let (takes, leaves) = op.effect();
        let taken = starts.split_off(starts.len().saturating_sub(takes));
        let start = taken.first().copied().unwrap_or(place);
        starts.push(start);
        if leaves == 2 {
            starts.push(taken.get(1).copied().unwrap_or(place));
        }
        let is_comparison = matches!(
            op,
            Op::Equal
                | Op::Less
                | Op::LessOrEqual
                | Op::StartsWith
                | Op::EndsWith
                | Op::Contains
                | Op::Within { .. }
                | Op::Found
                | Op::Has(_)
                | Op::Fact(Fact::Mfa)
        );
        if is_comparison && let Some(part) = code.get(start..=place) {
            parts.push(part);
        }
    }
    parts
}

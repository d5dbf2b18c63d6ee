//! What conditions ask of a question: whether one is true of it, which facts it reads, and what would make it otherwise.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::CallerKind;
use crate::condition::check;
use crate::condition::probe::{Parts, Values};
use crate::condition::{Condition, Fact, Op, TIME_MAX, TIME_MIN};

use super::{Change, Question, Reads};

const DAY_SECS: i64 = 24 * 3600;
/// No session is older.
const SESSION_SECS_MAX: i64 = 7 * DAY_SECS;
/// Facts that are changed together at most.
const TOGETHER_MAX: u32 = 3;
/// Facts that are looked at, at most.
const FACTORS_MAX: usize = 10;
/// Values of one fact that are looked at, at most.
const VALUES_MAX: usize = 1000;
/// Combinations that are tried at most.
const TRIED_MAX: usize = 1000;
/// Addresses that nobody has: for "from anywhere else".
const ELSEWHERE: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Whether a condition is true of a question. Nothing where a component says a condition of itself that is none.
pub(super) fn holds(text: &str, question: &Question) -> Option<bool> {
    let condition = check::compile(text).ok()?;
    let truths = Parts::of(&[&condition]).truths(&question.caller, &question.request);
    truths.first().copied()
}

/// Notes what a condition reads.
pub(super) fn note(reads: &mut Reads, text: &str) {
    let Ok(condition) = check::compile(text) else {
        return;
    };
    for fact in facts(&condition) {
        match fact {
            Fact::Address => reads.address = true,
            Fact::Time => reads.time = true,
            Fact::Mfa => reads.second_factor = true,
            Fact::CredentialAge | Fact::SignedInAge => reads.age = true,
            Fact::Header(name) if !reads.headers.contains(name) => {
                reads.headers.push(name.clone());
            }
            Fact::Header(_) | Fact::Method | Fact::Path | Fact::Kind | Fact::Subject => {}
        }
    }
}

/// Changes that each make a condition true, or not true, of a question of which it is the other: one for each choice
/// of facts, the fewest facts first. The values are those at which the condition's own constants change something.
pub(super) fn changes(text: &str, is_true: bool, question: &Question) -> Vec<Vec<Change>> {
    let Ok(condition) = check::compile(text) else {
        return Vec::new();
    };
    let parts = Parts::of(&[&condition]);
    let is_so = |question: &Question| {
        let truths = parts.truths(&question.caller, &question.request);
        truths.first() == Some(&is_true)
    };
    if is_so(question) {
        return Vec::new();
    }
    let factors = factors(&condition, &parts, question);
    let mut masks: Vec<u32> = (1..1_u32 << factors.len())
        .filter(|mask| mask.count_ones() <= TOGETHER_MAX)
        .collect();
    masks.sort_by_key(|mask| mask.count_ones());
    let mut found: Vec<(u32, Vec<Change>)> = Vec::new();
    let mut tried = 0;
    for mask in masks {
        if found.iter().any(|(less, _)| less & mask == *less) {
            continue;
        }
        let chosen = (0_u32..).zip(&factors);
        let chosen: Vec<&Vec<Change>> = chosen
            .filter(|(place, _)| mask & (1 << place) != 0)
            .map(|(_, factor)| factor)
            .collect();
        for changes in choices(&chosen) {
            tried += 1;
            if tried > TRIED_MAX {
                break;
            }
            if is_so(&with(question, &changes)) {
                found.push((mask, changes));
                break;
            }
        }
    }
    found.into_iter().map(|(_, changes)| changes).collect()
}

fn with(question: &Question, changes: &[Change]) -> Question {
    let mut next = question.clone();
    changes.iter().for_each(|change| change.apply(&mut next));
    next
}

/// One of each, in every way, the first of each first.
fn choices(factors: &[&Vec<Change>]) -> Vec<Vec<Change>> {
    let mut all = vec![Vec::new()];
    for factor in factors {
        let longer = all.iter().flat_map(|shorter: &Vec<Change>| {
            let with =
                |change: &Change| [shorter.as_slice(), std::slice::from_ref(change)].concat();
            factor.iter().map(with)
        });
        all = longer.take(TRIED_MAX).collect();
    }
    all
}

fn facts(condition: &Condition) -> impl Iterator<Item = &Fact> {
    condition.code().iter().filter_map(|op| match op {
        Op::Fact(fact) | Op::Has(fact) => Some(fact),
        _ => None,
    })
}

/// What could be otherwise, in lists of which one is so at most: of the values that no comparison tells apart, the
/// first.
fn factors(condition: &Condition, parts: &Parts, question: &Question) -> Vec<Vec<Change>> {
    let now = question.request.now;
    let values = Values::of(&[condition], now - now.rem_euclid(DAY_SECS));
    let kinds = kinds(condition, question);
    let mut from = vec![question.clone()];
    from.extend(kinds.iter().map(|kind| {
        let kind = std::slice::from_ref(kind);
        with(question, kind)
    }));
    let compared = |change: Option<&Change>| -> Vec<Vec<bool>> {
        let compared = |question: &Question| {
            let change: Vec<Change> = change.cloned().into_iter().collect();
            let question = with(question, &change);
            parts.comparisons(&question.caller, &question.request)
        };
        from.iter().map(compared).collect()
    };
    let mut factors = vec![
        second_factor(&values, question),
        addresses(condition, &values),
        times(&values, now),
        ages(&values, question),
    ];
    for name in &values.headers {
        factors.push(headers(name, condition, &values));
    }
    factors.push(subjects(condition, &values));
    factors.push(requests(condition, &values, question));
    for factor in &mut factors {
        factor.truncate(VALUES_MAX);
        let mut seen = vec![compared(None)];
        factor.retain(|change| {
            let compared = compared(Some(change));
            let is_new = !seen.contains(&compared);
            seen.push(compared);
            is_new
        });
    }
    // First, because what the credential is says what else can be true of it.
    factors.insert(0, kinds);
    factors.retain(|factor| !factor.is_empty());
    factors.truncate(FACTORS_MAX);
    factors
}

/// Another credential of the same user.
fn kinds(condition: &Condition, question: &Question) -> Vec<Change> {
    let is_of_session = |fact: &Fact| matches!(fact, Fact::Kind | Fact::Mfa | Fact::SignedInAge);
    match question.caller.kind {
        CallerKind::ApiKey if facts(condition).any(is_of_session) => vec![Change::Session],
        CallerKind::Session if facts(condition).any(|fact| *fact == Fact::Kind) => {
            vec![Change::Key]
        }
        _ => Vec::new(),
    }
}

fn second_factor(values: &Values, question: &Question) -> Vec<Change> {
    match (values.mfa, question.caller.mfa) {
        (true, true) => vec![Change::NoSecondFactor],
        (true, false) => vec![Change::SecondFactor],
        (false, _) => Vec::new(),
    }
}

/// Those that somebody may have before those at the bounds.
fn addresses(condition: &Condition, values: &Values) -> Vec<Change> {
    if values.addresses.is_empty() {
        return Vec::new();
    }
    let address = |bits: u128| IpAddr::from(Ipv6Addr::from(bits)).to_canonical();
    let hosts = condition.code().iter().filter_map(|op| match op {
        Op::Within { network, bits } if *bits < 127 => Some(address(network.saturating_add(1))),
        _ => None,
    });
    let bounds = values.addresses.iter().map(|bits| address(*bits));
    let all = hosts.chain(ELSEWHERE).chain(bounds);
    all.map(|address| Change::Address { address }).collect()
}

/// Full minutes before others, what is to come before what was, and the nearest first.
fn times(values: &Values, now: i64) -> Vec<Change> {
    let full = |time: &i64| [*time, time - time.rem_euclid(60)];
    let mut times: Vec<i64> = values.times.iter().flat_map(full).collect();
    times.retain(|time| (TIME_MIN..=TIME_MAX).contains(time));
    times.sort_by_key(|time| (time.rem_euclid(60) != 0, *time < now, time.abs_diff(now)));
    times.dedup();
    let times = times.into_iter();
    times.map(|time| Change::Time { time }).collect()
}

/// The nearest to what it is first; for a session, a new one before all.
fn ages(values: &Values, question: &Question) -> Vec<Change> {
    let caller = &question.caller;
    if values.ages_secs.is_empty() || caller.kind == CallerKind::Anonymous {
        return Vec::new();
    }
    let is_session = caller.kind == CallerKind::Session;
    let made = caller.credential_created.or(caller.auth_time);
    let is = made.map_or(0, |made| question.request.now.saturating_sub(made));
    let mut ages: Vec<i64> = values.ages_secs.iter().copied().chain([0]).collect();
    ages.retain(|age| !is_session || *age <= SESSION_SECS_MAX);
    ages.sort_by_key(|age| (is_session && *age != 0, age.abs_diff(is)));
    let change = |secs| match is_session {
        true => Change::SignInAge { secs },
        false => Change::CredentialAge { secs },
    };
    ages.into_iter().map(change).collect()
}

/// The texts of the condition before those that are only like them.
fn texts<'c>(condition: &'c Condition, values: &'c Values) -> impl Iterator<Item = &'c str> {
    let own = condition.code().iter().filter_map(|op| match op {
        Op::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let all = own.chain(values.texts.iter().map(String::as_str));
    // As a header can have them.
    all.filter(|text| {
        let is_shown = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        !text.is_empty() && is_shown && text.trim() == *text
    })
}

fn headers(name: &str, condition: &Condition, values: &Values) -> Vec<Change> {
    let name = || name.to_owned();
    let without = Change::WithoutHeader { name: name() };
    let with = texts(condition, values).map(|value| Change::Header {
        name: name(),
        value: value.to_owned(),
    });
    [without].into_iter().chain(with).collect()
}

fn subjects(condition: &Condition, values: &Values) -> Vec<Change> {
    if !values.subject {
        return Vec::new();
    }
    let subject = |text: &str| Change::Subject {
        subject: text.to_owned(),
    };
    texts(condition, values).map(subject).collect()
}

fn requests(condition: &Condition, values: &Values, question: &Question) -> Vec<Change> {
    let request = &question.request;
    let mut changes = Vec::new();
    let mut ask = |method: &str, path: &str| {
        changes.push(Change::Request {
            method: method.to_owned(),
            path: path.to_owned(),
        });
    };
    if values.method {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            ask(method, &request.path);
        }
    }
    if values.path {
        for text in texts(condition, values) {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~/".contains(&byte);
            let is_path = text.starts_with('/') && text.bytes().all(is_plain);
            if is_path && !text.ends_with('/') && !text.contains("//") {
                ask(&request.method, text);
                ask(&request.method, &format!("{text}/x"));
            }
        }
    }
    changes
}

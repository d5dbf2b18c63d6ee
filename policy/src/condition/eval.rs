//! Running a condition on a question.

use std::cmp::Ordering;

use crate::facts::CallerKind;
use crate::packed::{FieldKind, Question, Value as Field};
use crate::routing::pattern::Method;

use super::{Fact, Op, STACK_MAX};

/// The first and last second of CEL's timestamps: the years 1 to 9999.
pub(crate) const TIME_MIN: i64 = -62_135_596_800;
pub(crate) const TIME_MAX: i64 = 253_402_300_799;
/// CEL's durations are of so many seconds at most, either way: what 64 bits of nanoseconds hold.
pub(crate) const SPAN_SECS_MAX: i64 = 9_223_372_036;
/// Bytes of a header that conditions read at most; of a longer one nothing is known.
const HEADER_BYTES_MAX: usize = 1024;
const DAY_SECS: i64 = 24 * 3600;
/// The first address of those that are IPv4's.
const IPV4: u128 = 0xffff_0000_0000;
/// Bits of a network that has IPv4 addresses alone, at least.
const IPV4_BITS: u8 = 96;

/// A value; `Error` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Error,
    Bool(bool),
    Int(i64),
    Text(&'a [u8]),
    Time(i64),
    Span(i64),
    Address(u128),
}

use Value::{Address, Bool, Error, Int, Span, Text, Time};

/// Whether a condition is true. An error is not, and neither is code that makes no sense: this is total, takes one
/// step for each instruction and allocates nothing.
#[inline(never)]
pub(crate) fn holds(code: &[Op], question: &Question<'_>) -> bool {
    let mut stack = Stack {
        values: [Error; STACK_MAX],
        depth: 0,
    };
    for op in code {
        step(&mut stack, op, question);
    }
    stack.depth == 1 && stack.pop() == Bool(true)
}

/// What is taken from an empty stack is an error, and what does not fit is not put there: code that was verified does
/// neither.
struct Stack<'a> {
    values: [Value<'a>; STACK_MAX],
    depth: usize,
}

impl<'a> Stack<'a> {
    fn push(&mut self, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(self.depth) {
            *place = value;
            self.depth += 1;
        }
    }

    fn pop(&mut self) -> Value<'a> {
        self.depth = self.depth.saturating_sub(1);
        self.values
            .get_mut(self.depth)
            .map_or(Error, |place| std::mem::replace(place, Error))
    }

    fn map(&mut self, change: impl FnOnce(Value<'a>) -> Value<'a>) {
        let value = self.pop();
        self.push(change(value));
    }

    fn join(&mut self, join: impl FnOnce(Value<'a>, Value<'a>) -> Value<'a>) {
        let second = self.pop();
        let first = self.pop();
        self.push(join(first, second));
    }
}

fn step<'a>(stack: &mut Stack<'a>, op: &'a Op, question: &Question<'a>) {
    match op {
        Op::Bool(value) => stack.push(Bool(*value)),
        Op::Int(value) => stack.push(Int(*value)),
        Op::Text(text) => stack.push(Text(text.as_bytes())),
        Op::Time(time) => stack.push(Time(*time)),
        Op::Span(span) => stack.push(Span(*span)),
        Op::Address(address) => stack.push(Address(*address)),
        Op::Fact(fact) => stack.push(read(fact, question)),
        Op::Has(fact) => stack.push(has(fact, question)),
        Op::Not => stack.map(|value| match value {
            Bool(value) => Bool(!value),
            _ => Error,
        }),
        Op::And => stack.join(|first, second| match (first, second) {
            (Bool(false), _) | (_, Bool(false)) => Bool(false),
            (Bool(true), Bool(true)) => Bool(true),
            _ => Error,
        }),
        Op::Or => stack.join(|first, second| match (first, second) {
            (Bool(true), _) | (_, Bool(true)) => Bool(true),
            (Bool(false), Bool(false)) => Bool(false),
            _ => Error,
        }),
        Op::Choose => {
            let (otherwise, then) = (stack.pop(), stack.pop());
            stack.map(|condition| match condition {
                Bool(true) => then,
                Bool(false) => otherwise,
                _ => Error,
            });
        }
        Op::Equal => stack.join(equal),
        Op::Less => stack.join(|first, second| compare(first, second, Ordering::is_lt)),
        Op::LessOrEqual => {
            stack.join(|first, second| compare(first, second, Ordering::is_le));
        }
        Op::Add => stack.join(add),
        Op::Subtract => stack.join(subtract),
        Op::Multiply => stack.join(|first, second| match (first, second) {
            (Int(first), Int(second)) => first.checked_mul(second).map_or(Error, Int),
            _ => Error,
        }),
        Op::Negate => stack.map(|value| match value {
            Int(value) => value.checked_neg().map_or(Error, Int),
            _ => Error,
        }),
        Op::StartsWith => stack.join(|text, part| texts(text, part, <[u8]>::starts_with)),
        Op::EndsWith => stack.join(|text, part| texts(text, part, <[u8]>::ends_with)),
        Op::Contains => stack.join(|text, part| texts(text, part, contains)),
        Op::Size => stack.map(|value| match value {
            // Characters: every byte of UTF-8 that is none of those which follow another.
            Text(text) => Int(text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as i64),
            _ => Error,
        }),
        Op::Hours(east) => stack.map(|time| of_day(time, *east, |secs| secs / 3600)),
        Op::Minutes(east) => stack.map(|time| of_day(time, *east, |secs| secs / 60 % 60)),
        Op::DayOfWeek(east) => stack.map(|time| match time {
            // The epoch was a Thursday, and weeks start with Sunday, 0.
            Time(time) => Int((time
                .saturating_add(i64::from(*east))
                .div_euclid(DAY_SECS)
                .saturating_add(4))
            .rem_euclid(7)),
            _ => Error,
        }),
        Op::Within { network, bits } => stack.map(|value| match value {
            Address(address) => Bool(is_within(address, *network, *bits)),
            _ => Error,
        }),
        Op::Match => {
            let (candidate, found, value) = (stack.pop(), stack.pop(), stack.pop());
            stack.push(value);
            stack.push(match (found, equal(value, candidate)) {
                (Bool(found), Bool(same)) => Bool(found || same),
                _ => Error,
            });
        }
        Op::Found => stack.join(|value, found| if value == Error { Error } else { found }),
    }
}

/// A fact, as a value.
fn read<'a>(fact: &'a Fact, question: &Question<'a>) -> Value<'a> {
    match fact {
        Fact::Method => Text(match question.method {
            Method::Get => b"GET",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Patch => b"PATCH",
            Method::Delete => b"DELETE",
            Method::Options => b"OPTIONS",
            // Its name is not part of the question.
            Method::Any => return Error,
        }),
        Fact::Path => Text(match question.segments.path() {
            [] => b"/",
            path => path,
        }),
        Fact::Time => time(Some(question.now)),
        Fact::Address => question.address().map_or(Error, Address),
        Fact::Header(name) => match question.field(FieldKind::Header, name) {
            Some(Field::Once(value)) if value.len() <= HEADER_BYTES_MAX => Text(value),
            _ => Error,
        },
        Fact::Kind => Text(match question.kind {
            CallerKind::Anonymous => b"anonymous",
            CallerKind::Session => b"session",
            CallerKind::ApiKey => b"api-key",
            CallerKind::Agent => b"agent",
        }),
        Fact::Subject => question.subject().map_or(Error, Text),
        Fact::Mfa => Bool(question.has_mfa()),
        Fact::CredentialAge => subtract(time(Some(question.now)), time(question.created())),
        Fact::SignedInAge => subtract(time(Some(question.now)), time(question.auth_time())),
    }
}

/// Whether a fact is there. A header that is there twice is neither there nor not.
fn has<'a>(fact: &'a Fact, question: &Question<'a>) -> Value<'a> {
    match fact {
        Fact::Header(name) => match question.field(FieldKind::Header, name) {
            Some(Field::Once(_)) => Bool(true),
            Some(Field::Absent) => Bool(false),
            Some(Field::Repeated) | None => Error,
        },
        Fact::Address => Bool(question.address().is_some()),
        Fact::CredentialAge => Bool(question.created().is_some()),
        Fact::SignedInAge => Bool(question.auth_time().is_some()),
        _ => Bool(true),
    }
}

fn time<'a>(secs: Option<i64>) -> Value<'a> {
    secs.filter(|secs| (TIME_MIN..=TIME_MAX).contains(secs))
        .map_or(Error, Time)
}

fn span<'a>(secs: Option<i64>) -> Value<'a> {
    secs.filter(|secs| (-SPAN_SECS_MAX..=SPAN_SECS_MAX).contains(secs))
        .map_or(Error, Span)
}

fn equal<'a>(first: Value<'a>, second: Value<'a>) -> Value<'a> {
    match (first, second) {
        (Bool(first), Bool(second)) => Bool(first == second),
        (Int(first), Int(second)) | (Time(first), Time(second)) | (Span(first), Span(second)) => {
            Bool(first == second)
        }
        (Text(first), Text(second)) => Bool(first == second),
        (Address(first), Address(second)) => Bool(first == second),
        _ => Error,
    }
}

fn compare<'a>(
    first: Value<'a>,
    second: Value<'a>,
    is: impl FnOnce(Ordering) -> bool,
) -> Value<'a> {
    match (first, second) {
        (Int(first), Int(second)) | (Time(first), Time(second)) | (Span(first), Span(second)) => {
            Bool(is(first.cmp(&second)))
        }
        (Text(first), Text(second)) => Bool(is(first.cmp(second))),
        _ => Error,
    }
}

fn add<'a>(first: Value<'a>, second: Value<'a>) -> Value<'a> {
    match (first, second) {
        (Int(first), Int(second)) => first.checked_add(second).map_or(Error, Int),
        (Time(secs), Span(by)) | (Span(by), Time(secs)) => time(secs.checked_add(by)),
        (Span(first), Span(second)) => span(first.checked_add(second)),
        _ => Error,
    }
}

fn subtract<'a>(first: Value<'a>, second: Value<'a>) -> Value<'a> {
    match (first, second) {
        (Int(first), Int(second)) => first.checked_sub(second).map_or(Error, Int),
        (Time(secs), Span(by)) => time(secs.checked_sub(by)),
        (Time(first), Time(second)) | (Span(first), Span(second)) => {
            span(first.checked_sub(second))
        }
        _ => Error,
    }
}

fn texts<'a>(text: Value<'a>, part: Value<'a>, is: impl Fn(&[u8], &[u8]) -> bool) -> Value<'a> {
    match (text, part) {
        (Text(text), Text(part)) => Bool(is(text, part)),
        _ => Error,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// Something of the time of day, given as its seconds.
fn of_day<'a>(value: Value<'a>, east: i32, of: impl FnOnce(i64) -> i64) -> Value<'a> {
    match value {
        Time(secs) => Int(of(secs
            .saturating_add(i64::from(east))
            .rem_euclid(DAY_SECS))),
        _ => Error,
    }
}

/// Whether an address is of a network. No IPv4 address is of an IPv6 network, however large.
fn is_within(address: u128, network: u128, bits: u8) -> bool {
    let is_ipv4 = address >> 32 == IPV4 >> 32;
    let is_of_ipv4 = bits >= IPV4_BITS && network >> 32 == IPV4 >> 32;
    let rest = u32::from(128_u8.saturating_sub(bits));
    is_ipv4 == is_of_ipv4 && (address ^ network).checked_shr(rest).unwrap_or_default() == 0
}

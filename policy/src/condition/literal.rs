//! The texts within a condition that stand for something else: times, durations, offsets, addresses, networks. Each is
//! read when the document is compiled, so that a mistake in one is found there.

use core::net::{IpAddr, Ipv6Addr};

use super::{SPAN_SECS_MAX, TIME_MAX, TIME_MIN};

/// What is wrong with a text, and what would be right.
pub(super) type Wrong = (&'static str, Option<String>);

fn wrong<T>(what: &'static str, help: impl Into<String>) -> Result<T, Wrong> {
    Err((what, Some(help.into())))
}

/// The seconds since the epoch of a time as RFC 3339 writes it.
pub(super) fn time(text: &str) -> Result<i64, Wrong> {
    const NOT_ONE: &str = "is not a time";
    const HELP: &str =
        "write it as RFC 3339 does: `2026-01-31T08:00:00Z`, or with an offset such as `+02:00`";
    let parsed = (|| {
        let (date, rest) = text.split_at_checked(10)?;
        let clock = rest.strip_prefix(['T', 't'])?;
        let (clock, zone) = clock.split_at_checked(8)?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let is_valid = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        let days = days_before(year, month) + day - 1;
        let secs = ((days * 24 + hour) * 60 + minute) * 60 + second;
        is_valid.then_some((secs, zone))
    })();
    let Some((secs, zone)) = parsed else {
        return wrong(NOT_ONE, HELP);
    };
    if zone.starts_with('.') {
        return wrong(
            "has a fraction of a second",
            "conditions know whole seconds",
        );
    }
    let east = match zone {
        "Z" | "z" => 0,
        zone => match offset_secs(zone) {
            Some(east) => i64::from(east),
            None => return wrong(NOT_ONE, HELP),
        },
    };
    let secs = secs - east;
    if (TIME_MIN..=TIME_MAX).contains(&secs) {
        Ok(secs)
    } else {
        wrong(NOT_ONE, "times are of the years 1 to 9999")
    }
}

/// A time as RFC 3339 writes it, in UTC; `secs` are since the epoch, of the years 1 to 9999.
pub(crate) fn written_time(secs: i64) -> String {
    let secs = secs.clamp(TIME_MIN, TIME_MAX);
    let (days, clock) = (secs.div_euclid(24 * 3600), secs.rem_euclid(24 * 3600));
    // Near to it: years have at most 366 days.
    let mut year = (days.div_euclid(366) + 1970).max(1);
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    while days_before(year, 1) > days {
        year -= 1;
    }
    let mut month = 1;
    while month < 12 && days_before(year, month + 1) <= days {
        month += 1;
    }
    let day = days - days_before(year, month) + 1;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Numbers of these many digits with something between.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        *number = number_of(parts.next().filter(|part| part.len() == digits)?)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Digits alone: no sign.
fn number_of(digits: &str) -> Option<i64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the epoch to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let past = year - 1;
    let to_year = past * 365 + past / 4 - past / 100 + past / 400 - 719_162;
    to_year + (1..month).map(|month| days_of(year, month)).sum::<i64>()
}

/// The seconds of a duration: whole numbers with units, such as `1h30m`.
pub(super) fn span(text: &str) -> Result<i64, Wrong> {
    const NOT_ONE: &str = "is not a duration";
    const HELP: &str = "write whole numbers with `h`, `m` and `s`, such as `1h30m`";
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut secs = 0_i64;
    if rest.is_empty() {
        return wrong(NOT_ONE, HELP);
    }
    while !rest.is_empty() && rest != "0" {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let unit = after
            .bytes()
            .take_while(|byte| !byte.is_ascii_digit() && *byte != b'-')
            .count();
        let (unit, after) = after.split_at_checked(unit).unwrap_or((after, ""));
        let Some(number) = number_of(number) else {
            return wrong(NOT_ONE, HELP);
        };
        let unit_secs = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            "d" => {
                let help = format!(
                    "CEL has no unit for days: write `{}h`",
                    number.saturating_mul(24)
                );
                return wrong(NOT_ONE, help);
            }
            "ms" | "us" | "µs" | "ns" => {
                return wrong("is not of whole seconds", "conditions know whole seconds");
            }
            _ => return wrong(NOT_ONE, HELP),
        };
        secs = secs.saturating_add(number.saturating_mul(unit_secs));
        rest = after;
    }
    if secs > SPAN_SECS_MAX {
        return wrong("is too long", "durations have at most 292 years");
    }
    Ok(if is_negative { -secs } else { secs })
}

/// How far east of UTC a zone is, in seconds.
pub(super) fn zone(text: &str) -> Result<i32, Wrong> {
    if text == "UTC" {
        return Ok(0);
    }
    if let Some(east) = offset_secs(text) {
        return Ok(east);
    }
    if text.contains(|char: char| char.is_ascii_alphabetic()) {
        return wrong(
            "is a named time zone, which a policy cannot know",
            "write its offset from UTC, such as `+01:00`; it does not follow summer time",
        );
    }
    wrong(
        "is not a time zone",
        "write an offset from UTC, such as `+01:00`",
    )
}

/// `+02:00` or `-05:30`.
fn offset_secs(text: &str) -> Option<i32> {
    let (sign, rest) = text
        .strip_prefix('+')
        .map(|rest| (1, rest))
        .or_else(|| Some((-1, text.strip_prefix('-')?)))?;
    let [hours, minutes] = numbers(rest, ':', [2, 2])?;
    let is_valid = hours <= 23 && minutes <= 59;
    is_valid.then_some(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?)
}

/// An address, IPv4 in its IPv6 form. It is written in the one way in which addresses are compared.
pub(super) fn address(text: &str) -> Result<u128, Wrong> {
    let Ok(address) = text.parse::<IpAddr>() else {
        if text.contains('/') {
            return wrong("is not an address", "a network is `cidr(…)`");
        }
        return Err(("is not an address", None));
    };
    let written = address.to_canonical().to_string();
    if written != text {
        return wrong(
            "is never how an address is written",
            format!("write `{written}`"),
        );
    }
    Ok(bits_of(address))
}

/// A network and its bits.
pub(super) fn network(text: &str) -> Result<(u128, u8), Wrong> {
    const NOT_ONE: &str = "is not a network";
    const HELP: &str = "write an address and its bits, such as `10.0.0.0/8` or `2001:db8::/32`";
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let bits = u8::try_from(number_of(bits)?).ok()?;
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some((address, bits))
    });
    let Some((address, bits)) = parsed else {
        if let Ok(address) = text.parse::<IpAddr>() {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return wrong(NOT_ONE, format!("one address is `{text}/{bits}`"));
        }
        return wrong(NOT_ONE, HELP);
    };
    if let IpAddr::V6(mapped) = address
        && mapped.to_ipv4_mapped().is_some()
    {
        return wrong(NOT_ONE, "write an IPv4 network as such: `10.0.0.0/8`");
    }
    let (whole, wide) = match address {
        IpAddr::V4(_) => (bits_of(address), bits + 96),
        IpAddr::V6(_) => (bits_of(address), bits),
    };
    let mask = u128::MAX
        .checked_shl(u32::from(128 - wide))
        .unwrap_or_default();
    if whole & !mask != 0 {
        let first = Ipv6Addr::from_bits(whole & mask);
        let first = if address.is_ipv4() {
            IpAddr::V6(first).to_canonical()
        } else {
            IpAddr::V6(first)
        };
        return wrong(
            "has bits behind its network",
            format!("did you mean `{first}/{bits}`?"),
        );
    }
    Ok((whole, wide))
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

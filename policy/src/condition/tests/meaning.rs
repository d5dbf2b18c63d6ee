//! What each part of the language means.

use super::{NOON, asked, condition, holds, session};
use crate::sample::{caller, request};
use crate::{Caller, CallerKind, Request};

/// Each condition, and whether it holds of the session's request.
fn check(table: &[(&str, bool)]) {
    for (text, expected) in table {
        let found = holds(&condition(text), &session(), &asked());
        assert_eq!(found, *expected, "{text}");
    }
}

/// Conditions that are an error: they do not hold, and neither does their opposite.
fn check_errors(table: &[&str], caller: &Caller, request: &Request) {
    for text in table {
        assert!(!holds(&condition(text), caller, request), "{text}");
        let opposite = format!("!({text})");
        assert!(!holds(&condition(&opposite), caller, request), "{opposite}");
    }
}

#[test]
fn requests_and_callers_are_read() {
    check(&[
        ("true", true),
        ("false", false),
        ("request.method == 'GET'", true),
        ("request.method != \"POST\"", true),
        ("request.path == '/v1/clusters/prod'", true),
        (
            "request.path.startsWith('/v1/') && !request.path.endsWith('/')",
            true,
        ),
        ("request.path.contains('clusters')", true),
        ("request.path.contains('')", true),
        ("request.path.contains('nodes')", false),
        ("size(request.path) == 17 && request.path.size() < 18", true),
        ("size('äöü€😀') == 5", true),
        ("request.headers['x-env'] == 'prod-eu'", true),
        ("request.headers[\"X-Env\"].startsWith('prod')", true),
        ("request.headers['x-empty'] == ''", true),
        (
            "'x-env' in request.headers && !('x-other' in request.headers)",
            true,
        ),
        ("caller.kind == 'session'", true),
        ("caller.kind in ['api-key', 'agent']", false),
        ("caller.subject == 'ana'", true),
        ("caller.mfa", true),
        ("caller.mfa == true && caller.mfa != false", true),
        (
            "has(caller.signed_in_age) && has(caller.mfa) && has(request.address)",
            true,
        ),
        (
            "has(request.headers.host2) || !has(request.headers.other)",
            true,
        ),
    ]);
    let root = request("GET", "/");
    assert!(holds(&condition("request.path == '/'"), &session(), &root));
    let anonymous = condition("caller.kind == 'anonymous' && caller.subject == '' && !caller.mfa");
    assert!(holds(&anonymous, &Caller::anonymous(), &root));
    for (kind, name) in [
        (CallerKind::ApiKey, "api-key"),
        (CallerKind::Agent, "agent"),
    ] {
        let text = format!("caller.kind == '{name}'");
        assert!(holds(&condition(&text), &caller(kind, "viewer"), &root));
    }
}

#[test]
fn addresses_are_of_networks() {
    let of = |address: &str, text: &str| {
        let request = Request {
            address: Some(address.parse().unwrap()),
            ..asked()
        };
        holds(&condition(text), &session(), &request)
    };
    for (address, network, expected) in [
        ("10.0.0.0", "10.0.0.0/8", true),
        ("10.255.255.255", "10.0.0.0/8", true),
        ("11.0.0.0", "10.0.0.0/8", false),
        ("9.255.255.255", "10.0.0.0/8", false),
        ("192.0.2.7", "192.0.2.7/32", true),
        ("192.0.2.6", "192.0.2.7/32", false),
        ("192.0.2.7", "0.0.0.0/0", true),
        // An IPv4 address within IPv6 is that address.
        ("::ffff:10.1.2.3", "10.0.0.0/8", true),
        ("::ffff:10.1.2.3", "::/0", false),
        ("10.1.2.3", "::/0", false),
        ("2001:db8::1", "10.0.0.0/8", false),
        ("2001:db8::1", "0.0.0.0/0", false),
        ("2001:db8::1", "::/0", true),
        ("2001:db8::1", "2001:db8::/32", true),
        ("2001:db9::1", "2001:db8::/32", false),
        ("2001:db8::1", "2001:db8::1/128", true),
    ] {
        let text = format!("cidr('{network}').containsIP(request.address)");
        assert_eq!(of(address, &text), expected, "{address} {network}");
        let text = format!("cidr('{network}').containsIP(ip(request.address))");
        assert_eq!(of(address, &text), expected, "{address} {network}");
    }
    assert!(of("10.1.2.3", "request.address == '10.1.2.3'"));
    assert!(of("::ffff:10.1.2.3", "'10.1.2.3' == request.address"));
    assert!(of("10.1.2.3", "request.address != '10.1.2.4'"));
    assert!(of(
        "2001:db8::1",
        "request.address in ['10.0.0.1', '2001:db8::1']"
    ));
    assert!(of("10.1.2.3", "ip(request.address) == ip('10.1.2.3')"));
    assert!(of("10.1.2.3", "cidr('10.0.0.0/8').containsIP('10.9.9.9')"));
    let unknown = Request {
        address: None,
        ..asked()
    };
    let within = "cidr('0.0.0.0/0').containsIP(request.address)";
    check_errors(
        &[within, "request.address == '10.1.2.3'"],
        &session(),
        &unknown,
    );
    assert!(holds(
        &condition("!has(request.address)"),
        &session(),
        &unknown
    ));
}

#[test]
fn the_clock_is_read_in_zones() {
    let at = |now: i64, text: &str| {
        let request = Request { now, ..asked() };
        holds(&condition(text), &session(), &request)
    };
    assert!(at(
        NOON,
        "request.time == timestamp('2026-11-21T12:00:00Z')"
    ));
    assert!(at(
        NOON,
        "request.time == timestamp('2026-11-21T14:00:00+02:00')"
    ));
    assert!(at(
        NOON,
        "request.time.getHours() == 12 && request.time.getMinutes() == 0"
    ));
    assert!(at(
        NOON,
        "request.time.getHours('+05:30') == 17 && request.time.getMinutes('+05:30') == 30"
    ));
    // Saturday is 6, and Sunday begins twelve hours later.
    assert!(at(NOON, "request.time.getDayOfWeek() == 6"));
    assert!(at(NOON, "request.time.getDayOfWeek('+12:00') == 0"));
    assert!(at(NOON, "request.time.getDayOfWeek('+11:59') == 6"));
    assert!(at(NOON, "request.time.getDayOfWeek('-12:01') == 5"));
    assert!(at(0, "request.time.getDayOfWeek() == 4"));
    assert!(at(
        -1,
        "request.time.getDayOfWeek() == 3 && request.time.getHours('UTC') == 23"
    ));
    // Over midnight: from 22:00 to 06:00, to the minute.
    let night = "request.time.getHours('+01:00') >= 22 || request.time.getHours('+01:00') < 6";
    let midnight = 1_795_219_200;
    for (minutes, expected) in [
        (-181, false),
        (-180, true),
        (-1, true),
        (0, true),
        (299, true),
        (300, false),
    ] {
        assert_eq!(at(midnight + minutes * 60, night), expected, "{minutes}");
    }
    let shift = "request.time.getHours() * 60 + request.time.getMinutes() >= 8 * 60 + 30";
    assert!(!at(NOON - 12_601, shift) && at(NOON - 12_600, shift));
    // What is outside of CEL's years is no time.
    let late = Request {
        now: i64::MAX,
        ..asked()
    };
    check_errors(
        &[
            "request.time.getHours() == 12",
            "request.time > timestamp('2020-01-01T00:00:00Z')",
        ],
        &session(),
        &late,
    );
}

#[test]
fn ages_are_durations_where_they_are_known() {
    check(&[
        ("caller.credential_age == duration('1h')", true),
        (
            "caller.credential_age <= duration('60m') && caller.credential_age >= duration('3600s')",
            true,
        ),
        ("caller.credential_age < duration('1h')", false),
        ("caller.signed_in_age < duration('15m')", true),
        (
            "caller.signed_in_age + duration('50m') == caller.credential_age",
            true,
        ),
        (
            "request.time - caller.credential_age == timestamp('2026-11-21T11:00:00Z')",
            true,
        ),
        (
            "request.time - timestamp('2026-11-21T00:00:00Z') == duration('12h')",
            true,
        ),
        (
            "duration('-1h30m') == duration('-5400s') && duration('0') == duration('0s')",
            true,
        ),
        ("duration('30m') - duration('1h') == duration('-30m')", true),
        (
            "duration('1h') + timestamp('2026-01-01T00:00:00Z') == timestamp('2026-01-01T01:00:00Z')",
            true,
        ),
    ]);
    let key = Caller {
        auth_time: None,
        credential_created: None,
        ..session()
    };
    let ages = [
        "caller.signed_in_age < duration('1h')",
        "caller.credential_age > duration('-1h')",
    ];
    check_errors(&ages, &key, &asked());
    let neither = "has(caller.signed_in_age) || has(caller.credential_age)";
    assert!(!holds(&condition(neither), &key, &asked()));
    assert!(holds(
        &condition("!has(caller.signed_in_age) || caller.signed_in_age < duration('1h')"),
        &key,
        &asked()
    ));
}

#[test]
fn numbers_lists_and_choices() {
    check(&[
        ("1 + 2 * 3 == 7 && -(3) == 0 - 3 && 5 - 7 == -2", true),
        ("2 > 1 && 1 >= 1 && !(1 > 1) && 1 <= 1 && 1 < 2", true),
        ("'a' < 'b' && 'B' < 'a' && '' < 'a' && 'ab' > 'a'", true),
        ("1 in [3, 2, 1]", true),
        ("1 in []", false),
        ("!(request.method in [])", true),
        ("request.time in [timestamp('2026-11-21T12:00:00Z')]", true),
        ("caller.mfa ? request.method == 'GET' : false", true),
        ("(request.method == 'PUT' ? 1 : 2) == 2", true),
        ("true || false && false", true),
    ]);
    let overflows = [
        "9223372036854775807 + 1 > 0",
        "-9223372036854775807 - 2 < 0",
        "9223372036854775807 * 2 > 0",
        "timestamp('9999-12-31T23:59:59Z') + duration('1s') > request.time",
        "timestamp('9999-01-01T00:00:00Z') - timestamp('0001-01-01T00:00:00Z') > duration('0')",
        "duration('2562047h') + duration('1h') > duration('0')",
    ];
    check_errors(&overflows, &session(), &asked());
}

#[test]
fn an_error_counts_only_where_it_decides() {
    const WRONG: &str = "request.headers['x-other'] == 'a'";
    check_errors(
        &[WRONG, "1 in [9223372036854775807 + 1]"],
        &session(),
        &asked(),
    );
    for (text, expected) in [
        ("ERROR && false", false),
        ("!(ERROR && false)", true),
        ("!(false && ERROR)", true),
        ("!(true && ERROR)", false),
        ("ERROR || true", true),
        ("true || ERROR", true),
        ("false || ERROR", false),
        ("!(false || ERROR)", false),
        ("!(ERROR && ERROR)", false),
        ("true ? true : ERROR", true),
        ("false ? ERROR : true", true),
        ("(ERROR) ? true : true", false),
        ("(ERROR) in []", false),
        ("!((ERROR) in [])", false),
        ("(ERROR) == (ERROR)", false),
        ("'x-other' in request.headers ? ERROR : true", true),
    ] {
        check(&[(&text.replace("ERROR", WRONG), expected)]);
    }
}

#[test]
fn what_is_not_told_is_not_known() {
    let long = |bytes: usize| Request {
        headers: vec![("x-env".to_owned(), "x".repeat(bytes))],
        ..asked()
    };
    let text = condition("size(request.headers['x-env']) > 1000");
    assert!(holds(&text, &session(), &long(1024)));
    assert!(!holds(&text, &session(), &long(1025)));
    check_errors(
        &["request.headers['x-env'].contains('y')"],
        &session(),
        &long(5000),
    );
    let mut twice = asked();
    twice.headers.push(("x-env".to_owned(), "dev".to_owned()));
    check_errors(
        &[
            "request.headers['x-env'] == 'prod-eu'",
            "'x-env' in request.headers",
        ],
        &session(),
        &twice,
    );
    // Methods beside the usual ones have no name.
    let other = Request {
        method: "PURGE".to_owned(),
        ..asked()
    };
    check_errors(&["request.method == 'GET'"], &session(), &other);
    let long = Caller {
        subject: "x".repeat(1025),
        ..session()
    };
    check_errors(&["caller.subject == ''"], &long, &asked());
}

#[test]
fn a_time_is_written_as_it_is_read() {
    use crate::condition::{TIME_MAX, TIME_MIN, literal, written_time};
    let secs = (0..400).map(|number| TIME_MIN + number * (TIME_MAX - TIME_MIN) / 400);
    for secs in secs.chain([-1, 0, 951_782_400, 1_709_251_199, NOON, TIME_MAX]) {
        assert_eq!(literal::time(&written_time(secs)), Ok(secs));
    }
    assert_eq!(written_time(NOON), "2026-11-21T12:00:00Z");
}

//! The interpreter of the `cel` crate as a second opinion: whatever both know means the same.

use std::collections::HashMap;

use cel::{Context, Program, Value};
use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::{compile, holds};
use crate::sample::{caller, request};
use crate::{Caller, CallerKind, Request};

/// What the interpreter says: true, false or an error.
fn interpreted(text: &str, caller: &Caller, request: &Request) -> Option<bool> {
    let mut context = Context::default();
    let time = |secs: i64| Value::Timestamp(DateTime::from_timestamp(secs, 0).unwrap().into());
    let text_of = |text: &str| Value::from(text.to_owned());
    let headers: HashMap<String, Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), text_of(value)))
        .collect();
    let mut asked: HashMap<String, Value> = HashMap::new();
    asked.insert("method".to_owned(), text_of(&request.method));
    asked.insert("path".to_owned(), text_of(&request.path));
    asked.insert("time".to_owned(), time(request.now));
    asked.insert("headers".to_owned(), headers.into());
    if let Some(address) = request.address {
        asked.insert("address".to_owned(), text_of(&address.to_string()));
    }
    let mut who: HashMap<String, Value> = HashMap::new();
    let kind = match caller.kind {
        CallerKind::Anonymous => "anonymous",
        CallerKind::Session => "session",
        CallerKind::ApiKey => "api-key",
        CallerKind::Agent => "agent",
    };
    who.insert("kind".to_owned(), text_of(kind));
    who.insert("subject".to_owned(), text_of(&caller.subject));
    who.insert("mfa".to_owned(), Value::Bool(caller.mfa));
    for (name, since) in [
        ("credential_age", caller.credential_created),
        ("signed_in_age", caller.auth_time),
    ] {
        if let Some(since) = since {
            let age = TimeDelta::seconds(request.now - since);
            who.insert(name.to_owned(), Value::Duration(age));
        }
    }
    context.add_variable_from_value("request", asked);
    context.add_variable_from_value("caller", who);
    match Program::compile(text).unwrap().execute(&context) {
        Ok(Value::Bool(value)) => Some(value),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(_) => None,
    }
}

/// Both opinions, the second of the expression and of its opposite: true, false or an error.
fn check(text: &str, caller: &Caller, request: &Request) {
    let opposite = format!("!({text})");
    let condition = |text: &str| compile(text).map_err(|wrong| format!("{text}: {wrong:?}"));
    let (Ok(condition), Ok(opposite)) = (condition(text), condition(&opposite)) else {
        panic!(
            "{text}: {:?}",
            condition(text).err().or(condition(&opposite).err())
        );
    };
    let found = match (
        holds(&condition, caller, request),
        holds(&opposite, caller, request),
    ) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
        (true, true) => panic!("{text} is true and false"),
    };
    assert_eq!(found, interpreted(text, caller, request), "{text}");
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-5..100_i64).prop_map(|number| format!("({number})")),
        one_of(&[
            "9223372036854775807",
            "size(request.path)",
            "caller.subject.size()",
            "size('äöü€😀')",
            "size(request.headers['x-env'])",
            "request.time.getHours()",
            "request.time.getMinutes('+05:30')",
            "request.time.getHours('-11:45')",
            "request.time.getDayOfWeek()",
            "request.time.getDayOfWeek('+13:00')",
            "request.time.getDayOfWeek('UTC')",
        ]),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(vec!["+", "-", "*"]),
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.prop_map(|a| format!("-({a})")),
        ]
    })
}

fn time() -> impl Strategy<Value = String> {
    let leaf = one_of(&[
        "request.time",
        "timestamp('1970-01-01T00:00:00Z')",
        "timestamp('2026-11-21T12:00:00+02:00')",
        "timestamp('0001-01-01T00:00:00Z')",
        "timestamp('9999-12-31T23:59:59Z')",
        "timestamp('2024-02-29T23:59:59-11:30')",
    ]);
    prop_oneof![
        3 => leaf.clone(),
        1 => (leaf.clone(), prop::sample::select(vec!["+", "-"]), span())
            .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        1 => (span(), leaf).prop_map(|(a, b)| format!("({a} + {b})")),
    ]
}

fn span() -> impl Strategy<Value = String> {
    let leaf = one_of(&[
        "caller.credential_age",
        "caller.signed_in_age",
        "duration('0s')",
        "duration('15m')",
        "duration('1h30m5s')",
        "duration('-24h')",
        "duration('2562047h')",
        "(request.time - timestamp('2020-01-01T00:00:00Z'))",
    ]);
    prop_oneof![
        2 => leaf.clone(),
        1 => (leaf.clone(), prop::sample::select(vec!["+", "-"]), leaf)
            .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    one_of(&[
        "request.path",
        "caller.subject",
        "request.headers['x-env']",
        "request.headers['x-other']",
        "'ana'",
        "'/v1/ä'",
        "''",
        "'prod'",
        r#""\u00e4\x41\"\n""#,
        "r'\\d'",
    ])
}

fn boolean() -> impl Strategy<Value = String> {
    let order = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let pair = |(a, op, b): (String, &str, String)| format!("({a} {op} {b})");
    let leaf = prop_oneof![
        one_of(&[
            "true",
            "false",
            "caller.mfa",
            "has(caller.signed_in_age)",
            "has(caller.credential_age)",
            "('x-env' in request.headers)",
            "has(request.headers.other)",
            "caller.kind == 'api-key'",
            "request.method in ['GET', 'PUT']",
            "caller.kind != 'session'",
            "request.address == '10.1.2.3'",
            "request.address in ['2001:db8::1', '10.1.2.4']",
            "has(request.address)",
            "request.path.contains('/v')",
            "request.headers['x-env'].contains('')",
        ]),
        (number(), order(), number()).prop_map(pair),
        (time(), order(), time()).prop_map(pair),
        (span(), order(), span()).prop_map(pair),
        (text(), order(), text()).prop_map(pair),
        (
            text(),
            prop::sample::select(vec!["startsWith", "endsWith"]),
            text()
        )
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        (number(), prop::collection::vec(number(), 0..3))
            .prop_map(|(a, list)| format!("({a} in [{}])", list.join(", "))),
        (text(), prop::collection::vec(text(), 0..4))
            .prop_map(|(a, list)| format!("({a} in [{}])", list.join(", "))),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) == ({b}))")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn questions() -> impl Strategy<Value = (Caller, Request)> {
    let kind = prop::sample::select(vec![
        CallerKind::Anonymous,
        CallerKind::Session,
        CallerKind::ApiKey,
        CallerKind::Agent,
    ]);
    let since = || prop::option::of(prop_oneof![Just(0_i64), 1_700_000_000..1_900_000_000_i64]);
    let address = prop::sample::select(vec![None, Some("10.1.2.3"), Some("2001:db8::1")]);
    let header = prop::option::of(prop::sample::select(vec!["prod", "", "ana", "ä"]));
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]);
    let path = prop::sample::select(vec!["/", "/v1/ä", "/prod"]);
    let now = prop_oneof![
        Just(0_i64),
        -90_000..90_000_i64,
        1_700_000_000..1_900_000_000_i64
    ];
    (
        kind,
        any::<bool>(),
        since(),
        since(),
        address,
        header,
        (method, path, now),
    )
        .prop_map(
            |(kind, mfa, auth_time, credential_created, address, header, (method, path, now))| {
                let who = Caller {
                    subject: "ana".to_owned(),
                    mfa,
                    auth_time,
                    credential_created,
                    ..caller(kind, "viewer")
                };
                let asked = Request {
                    headers: header
                        .map(|value| ("x-env".to_owned(), value.to_owned()))
                        .into_iter()
                        .collect(),
                    now,
                    address: address.map(|address| address.parse().unwrap()),
                    ..request(method, path)
                };
                (who, asked)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_both_know_means_the_same(text in boolean(), (caller, request) in questions()) {
        // What is too long or too deep is refused, and means nothing.
        prop_assume!(text.len() <= 900 && text.matches(['(', '[', '?']).count() < 60);
        if compile(&text).is_ok() {
            check(&text, &caller, &request);
        } else {
            let wrong = compile(&text).unwrap_err();
            prop_assert!(wrong.iter().all(|wrong| wrong.message.contains("too deep")), "{text}: {wrong:?}");
        }
    }
}

//! Expressions that are none of ours, and the words in which they are refused.

use insta::assert_snapshot;

use super::super::check::compile;

/// `from..to what message / help` of each mistake.
fn wrong(text: &str) -> String {
    let Err(wrong) = compile(text) else {
        return String::new();
    };
    let lines = wrong.into_iter().map(|wrong| {
        let help = wrong
            .help
            .map(|help| format!(" / {help}"))
            .unwrap_or_default();
        let place = text.get(wrong.at.clone()).expect("a place within the text");
        format!("{:?} [{place}] {}{help}", wrong.at, wrong.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn syntax() {
    assert_snapshot!(wrong(""), @"0..0 [] the condition ends too early / something is missing behind an operator, or a bracket is not closed");
    assert_snapshot!(wrong("caller.mfa &&"), @"13..13 [] the condition ends too early / something is missing behind an operator, or a bracket is not closed");
    assert_snapshot!(wrong("caller.mfa & true"), @"11..12 [&] `&` is not expected here / `&&` is true when both sides are");
    assert_snapshot!(wrong("caller.kind = 'agent'"), @"12..13 [=] `=` is not expected here / `==` compares");
    assert_snapshot!(wrong("caller.mfa and true"), @"11..14 [and] `and` is not expected here / did you mean `&&`?");
    assert_snapshot!(wrong("caller.subject == 'ana"), @"18..19 ['] `'` is not expected here / the text is not closed, or has an escape that CEL does not know");
    assert_snapshot!(wrong("(caller.mfa"), @"11..11 [] the condition ends too early / something is missing behind an operator, or a bracket is not closed");
    assert_snapshot!(wrong("caller.mfa)"), @"10..11 [)] `)` is not expected here");
    assert_snapshot!(wrong("has(caller)"), @"4..10 [caller] `has` asks for one part of `request` or `caller` / such as `has(caller.signed_in_age)`");
    assert_snapshot!(wrong("1 == 99999999999999999999"), @"5..25 [99999999999999999999] `99999999999999999999` is too large a number");
    assert_snapshot!(wrong("if"), @"0..2 [if] `if` is not expected here");
    assert_snapshot!(wrong("true\u{1}"), @"4..5 [] this character cannot stand in a condition");
    assert_snapshot!(wrong(&format!("{}true{}", "(".repeat(17), ")".repeat(17))), @"16..17 [(] the condition is too deep / at most 16 brackets and choices stand within each other");
    assert_eq!(
        wrong(&format!("{}true{}", "(".repeat(16), ")".repeat(16))),
        ""
    );
    let long = format!("caller.subject == '{}'", "x".repeat(1000));
    assert!(wrong(&long).ends_with("a condition has at most 1000 bytes"));
}

#[test]
fn names() {
    assert_snapshot!(wrong("requst.method == 'GET'"), @"0..6 [requst] unknown variable `requst` / did you mean `request`?");
    assert_snapshot!(wrong("user.name == 'x'"), @"0..4 [user] unknown variable `user` / variables are `request` and `caller`");
    assert_snapshot!(wrong("request.methd == 'GET'"), @"8..13 [methd] `request` has no `methd` / did you mean `method`?");
    assert_snapshot!(wrong("caller.roles == 'x'"), @"7..12 [roles] `caller` has no `roles` / it has `kind`, `subject`, `mfa`, `credential_age` and `signed_in_age`");
    assert_snapshot!(wrong("caller == 'x'"), @"0..6 [caller] `caller` is not a value / it has `kind`, `subject`, `mfa`, `credential_age` and `signed_in_age`");
    assert_snapshot!(wrong("request.headers == 'x'"), @r#"0..15 [request.headers] `request.headers` is not a value / name a header: `request.headers["x-env"]`"#);
    assert_snapshot!(wrong("request.headers[caller.subject] == 'x'"), @r#"16..30 [caller.subject] only a header that is named here can be read / such as `request.headers["x-env"]`"#);
    assert_snapshot!(wrong("caller.subject[0] == 'x'"), @"0..17 [caller.subject[0]] only `request.headers` is read by name");
    assert_snapshot!(wrong("caller.subject.length == 3"), @"15..21 [length] `caller.subject` has no parts");
    assert_snapshot!(wrong("request.headers['Authorization'] == 'x'"), @"16..31 ['Authorization'] a policy cannot read the header `Authorization` / it carries credentials");
    assert_snapshot!(wrong("'x-scopegate-roles' in request.headers"), @"0..19 ['x-scopegate-roles'] a policy cannot read the header `x-scopegate-roles` / identity headers are the gate's own and removed from requests");
    assert_snapshot!(wrong("request.headers['x-forwarded-for'] == '10.0.0.1'"), @"16..33 ['x-forwarded-for'] a policy cannot read the header `x-forwarded-for` / it says what proxies say; the client's address is `request.address` in a condition");
    assert_snapshot!(wrong("has(request.headers.host)"), @"20..24 [host] a policy cannot read the header `host` / it belongs to the connection or to the gate");
    assert_snapshot!(wrong("request.headers['x env'] == ''"), @"16..23 ['x env'] `x env` cannot be a header's name / a name has letters, digits and `-`");
    assert_snapshot!(wrong("caller.kind == 'sesion'"), @"15..23 ['sesion'] `caller.kind` is never `sesion` / did you mean `session`?");
    assert_snapshot!(wrong("caller.kind in ['user', 'agent']"), @"16..22 ['user'] `caller.kind` is never `user` / it may be `session`, `api-key`, `agent` or `anonymous`");
    assert_snapshot!(wrong("request.method == 'HEAD' || 'get' == request.method"), @"
    18..24 ['HEAD'] `request.method` is never `HEAD` / HEAD is decided as GET
    28..33 ['get'] `request.method` is never `get` / did you mean `GET`?
    ");
}

#[test]
fn functions() {
    assert_snapshot!(wrong("request.path.matches('^/v1')"), @"13..20 [matches] `matches` is not supported in a condition / functions are `cidr`, `contains`, `containsIP`, `duration`, `endsWith`, `getDayOfWeek`, `getHours`, `getMinutes`, `has`, `ip`, `size`, `startsWith` and `timestamp`");
    assert_snapshot!(wrong("request.path.startWith('/v1')"), @"13..22 [startWith] `startWith` is not supported in a condition / did you mean `startsWith`?");
    assert_snapshot!(wrong("['a'].exists(x, x == caller.subject)"), @"6..12 [exists] `exists` is not supported in a condition / functions are `cidr`, `contains`, `containsIP`, `duration`, `endsWith`, `getDayOfWeek`, `getHours`, `getMinutes`, `has`, `ip`, `size`, `startsWith` and `timestamp`");
    assert_snapshot!(wrong("startsWith(request.path, '/v1')"), @r#"0..10 [startsWith] `startsWith` is not called like this / such as `request.path.startsWith("/v1/")`"#);
    assert_snapshot!(wrong("request.path.contains(caller.subject)"), @"22..36 [caller.subject] what `contains` looks for is written out");
    assert_snapshot!(wrong("request.time.getHours('Europe/Berlin') < 18"), @"22..37 ['Europe/Berlin'] `Europe/Berlin` is a named time zone, which a policy cannot know / write its offset from UTC, such as `+01:00`; it does not follow summer time");
    assert_snapshot!(wrong("request.time.getHours('2') < 18"), @"22..25 ['2'] `2` is not a time zone / write an offset from UTC, such as `+01:00`");
    assert_snapshot!(wrong("caller.credential_age.getHours() < 18"), @"0..21 [caller.credential_age] `caller.credential_age` is a duration, and `getHours` takes a time");
    assert_snapshot!(wrong("cidr('10.0.0.0').containsIP(request.address)"), @"5..15 ['10.0.0.0'] `10.0.0.0` is not a network / one address is `10.0.0.0/32`");
    assert_snapshot!(wrong("cidr('10.0.0.1/8').containsIP(request.address)"), @"5..17 ['10.0.0.1/8'] `10.0.0.1/8` has bits behind its network / did you mean `10.0.0.0/8`?");
    assert_snapshot!(wrong("cidr('::ffff:10.0.0.0/104').containsIP(request.address)"), @"5..26 ['::ffff:10.0.0.0/104'] `::ffff:10.0.0.0/104` is not a network / write an IPv4 network as such: `10.0.0.0/8`");
    assert_snapshot!(wrong("cidr('10.0.0.0/33').containsIP(caller.subject)"), @"
    5..18 ['10.0.0.0/33'] `10.0.0.0/33` is not a network / write an address and its bits, such as `10.0.0.0/8` or `2001:db8::/32`
    31..45 [caller.subject] `containsIP` takes an address, not text
    ");
    assert_snapshot!(wrong("cidr(request.path).containsIP(request.address)"), @"5..17 [request.path] what `cidr` takes is a text that is written out");
    assert_snapshot!(wrong("request.address.containsIP('10.0.0.1')"), @"0..15 [request.address] only `cidr(…)` has `containsIP`");
    assert_snapshot!(wrong("cidr('10.0.0.0/8')"), @r#"0..18 [cidr('10.0.0.0/8')] a network is only asked what it contains / such as `cidr("10.0.0.0/8").containsIP(request.address)`"#);
    assert_snapshot!(wrong("ip(request.headers['x-real-ip']) == ip('10.0.0.1')"), @"3..31 [request.headers['x-real-ip']] `ip` takes `request.address` or a text that is written out");
    assert_snapshot!(wrong("request.address == '2001:DB8::1'"), @"19..32 ['2001:DB8::1'] `2001:DB8::1` is never how an address is written / write `2001:db8::1`");
    assert_snapshot!(wrong("request.address in ['10.0.0.0/8', 'home']"), @"
    20..32 ['10.0.0.0/8'] `10.0.0.0/8` is not an address / a network is `cidr(…)`
    34..40 ['home'] `home` is not an address
    ");
    assert_snapshot!(wrong("request.time > timestamp('2026-02-30T00:00:00Z')"), @"25..47 ['2026-02-30T00:00:00Z'] `2026-02-30T00:00:00Z` is not a time / write it as RFC 3339 does: `2026-01-31T08:00:00Z`, or with an offset such as `+02:00`");
    assert_snapshot!(wrong("request.time > timestamp('2026-02-28T00:00:00.5Z')"), @"25..49 ['2026-02-28T00:00:00.5Z'] `2026-02-28T00:00:00.5Z` has a fraction of a second / conditions know whole seconds");
    assert_snapshot!(wrong("caller.credential_age < duration('30d')"), @"33..38 ['30d'] `30d` is not a duration / CEL has no unit for days: write `720h`");
    assert_snapshot!(wrong("caller.credential_age < duration('1.5h')"), @"33..39 ['1.5h'] `1.5h` is not a duration / write whole numbers with `h`, `m` and `s`, such as `1h30m`");
    assert_snapshot!(wrong("caller.credential_age < duration('100ms')"), @"33..40 ['100ms'] `100ms` is not of whole seconds / conditions know whole seconds");
}

#[test]
fn kinds_of_values() {
    assert_snapshot!(wrong("request.path"), @"0..12 [request.path] a condition is true or false, and this is text");
    assert_snapshot!(wrong("request.path && caller.mfa"), @"0..12 [request.path] `request.path` is text, and `&&` takes true or false");
    assert_snapshot!(wrong("caller.mfa == 'true'"), @"11..13 [==] true or false is never compared with text / compare it with a value of its own kind");
    assert_snapshot!(wrong("caller.mfa < true"), @"11..12 [<] true or false is neither more nor less than another");
    assert_snapshot!(wrong("request.time > 5"), @r#"13..14 [>] a time is never compared with a number / a time is written `timestamp("2026-01-31T08:00:00Z")`; its hour is `getHours()`"#);
    assert_snapshot!(wrong("request.path + 'x' == 'y'"), @"13..14 [+] `+` does not join text and text / it is for numbers, times and durations");
    assert_snapshot!(wrong("caller.credential_age - request.time > duration('1h')"), @"22..23 [-] `-` does not join a duration and a time / it is for numbers, times and durations");
    assert_snapshot!(wrong("request.address.startsWith('10.')"), @r#"0..15 [request.address] `request.address` is an address as text, and `startsWith` takes text / ask `cidr("10.0.0.0/8").containsIP(request.address)`, or compare it by `==` or `in`"#);
    assert_snapshot!(wrong("1.5 < 2.0 && caller.subject == null"), @"
    0..3 [1.5] `1.5` is not supported in a condition / literals are `true`, `false`, whole numbers and text
    6..9 [2.0] `2.0` is not supported in a condition / literals are `true`, `false`, whole numbers and text
    31..35 [null] `null` is not supported in a condition / literals are `true`, `false`, whole numbers and text
    ");
    assert_snapshot!(wrong("7 / 2 == 3 && 7 % 2 == 1"), @"
    2..3 [/] `/` is not supported in a condition
    16..17 [%] `%` is not supported in a condition
    ");
    assert_snapshot!(wrong("caller.subject in caller.kind"), @r#"18..29 [caller.kind] a list is written out behind `in` / such as `caller.kind in ["session", "agent"]`"#);
    assert_snapshot!(wrong("caller.subject in ['a', 1]"), @"15..17 [in] text is never compared with a number / text stands in quotes, and numbers do not");
    assert_snapshot!(wrong("[1] == [1]"), @"
    0..3 [[1]] a list stands only behind `in`
    7..10 [[1]] a list stands only behind `in`
    ");
    assert_snapshot!(wrong("{'a': 1} == 1"), @"0..1 [{] maps and messages are not supported in a condition");
    assert_snapshot!(wrong("(caller.mfa ? 1 : 'a') == 1"), @"12..13 [?] both sides of `:` are of one kind, and these are a number and text");
    assert_snapshot!(wrong("-caller.subject == 1"), @"1..15 [caller.subject] `caller.subject` is text, and `-` takes a number");
    // Everything at once, with places behind what is not ASCII.
    assert_snapshot!(wrong("caller.subject == 'ä' && request.pth == 'x' || callr.mfa"), @"
    34..37 [pth] `request` has no `pth` / did you mean `path`?
    48..53 [callr] unknown variable `callr` / did you mean `caller`?
    ");
}

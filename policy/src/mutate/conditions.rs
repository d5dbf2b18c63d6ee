//! Conditions with one thing changed: none at all, the opposite, another operator, another constant.

use std::ops::Range;

use crate::condition::{Condition, check};
use crate::description::RoleInfo;
use crate::tables::Rules;

use super::{Changed, Mutant, required};

/// What a condition could have been instead, each in the place of another.
const OPERATORS: [(&str, &[&str]); 10] = [
    ("&&", &["||"]),
    ("||", &["&&"]),
    ("<=", &["<", ">"]),
    (">=", &[">", "<"]),
    ("==", &["!="]),
    ("!=", &["=="]),
    ("<", &["<=", ">="]),
    (">", &[">=", "<="]),
    ("!", &[""]),
    ("+", &["-"]),
];
/// Words that stand for each other.
const WORDS: [&[&str]; 2] = [
    &["session", "api-key", "agent", "anonymous"],
    &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
];

/// Mutants of the conditions of a policy's own routes, and of the roles that have something which those require.
pub fn of_conditions(rules: &Rules) -> impl Iterator<Item = Mutant> {
    let routes = rules.description.routes.iter().enumerate();
    let routes = routes.filter(|(_, route)| !route.is_management());
    let of_routes = routes.flat_map(|(index, route)| {
        let name = format!("`{} {}`", route.method, route.pattern);
        of_condition(rules, route.when.as_deref(), &name, Changed::Route(index))
    });
    let roles = rules.description.roles.iter().enumerate();
    let roles = roles.filter(|(_, role)| is_required(rules, role));
    let of_roles = roles.flat_map(|(index, role)| {
        let name = format!("the role `{}`", role.name);
        let changed = Changed::RoleCondition(index);
        of_condition(rules, role.when.as_deref(), &name, changed)
    });
    of_routes.chain(of_roles)
}

fn is_required(rules: &Rules, role: &RoleInfo) -> bool {
    required(rules).any(|(_, name)| role.permissions.iter().any(|held| held == name))
}

fn of_condition(rules: &Rules, when: Option<&str>, name: &str, changed: Changed) -> Vec<Mutant> {
    let Some(when) = when else {
        return Vec::new();
    };
    let mut mutants = vec![Mutant {
        rules: with(rules, changed, None),
        changed,
        what: format!("{name} has no condition"),
    }];
    let mut seen = vec![when.to_owned()];
    for text in variants(when) {
        // What cannot be written is no policy.
        let Ok(condition) = check::compile(&text) else {
            continue;
        };
        if seen.contains(&text) {
            continue;
        }
        mutants.push(Mutant {
            rules: with(rules, changed, Some(condition)),
            changed,
            what: format!("{name} asks for `{}`", on_one_line(&text)),
        });
        seen.push(text);
    }
    mutants
}

fn with(rules: &Rules, changed: Changed, condition: Option<Condition>) -> Rules {
    let mut rules = rules.clone();
    let text = condition.as_ref().map(|condition| condition.text.clone());
    let description = &mut rules.description;
    match changed {
        Changed::Route(index) => {
            if let Some(route) = description.routes.get_mut(index) {
                route.when = text;
            }
        }
        Changed::RoleCondition(index) => {
            if let Some(role) = description.roles.get_mut(index) {
                role.when = text;
            }
        }
        Changed::Role { .. } | Changed::Keys => {}
    }
    if let Some(condition) = condition {
        let headers = condition.headers().map(str::to_owned);
        description.headers.extend(headers);
        description.headers.sort_unstable();
        description.headers.dedup();
        let found = rules
            .conditions
            .binary_search_by(|one| one.text.cmp(&condition.text));
        if let Err(place) = found {
            rules.conditions.insert(place, condition);
        }
    }
    rules
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The opposite, and the text with one part changed; not all of them compile.
fn variants(text: &str) -> Vec<String> {
    let mut variants = vec![format!("!({text})")];
    for part in parts(text) {
        let is = text.get(part.place.clone()).unwrap_or_default();
        let instead = match part.kind {
            Kind::Operator => operators(is),
            Kind::Number => numbers(is),
            Kind::Text => texts(is),
        };
        for instead in instead {
            let mut variant = text.to_owned();
            variant.replace_range(part.place.clone(), &instead);
            variants.push(variant);
        }
    }
    variants
}

#[derive(Clone, Copy)]
enum Kind {
    Operator,
    Number,
    /// What stands between the quotes.
    Text,
}

struct Part {
    kind: Kind,
    place: Range<usize>,
}

/// The operators, numbers and texts of a condition, in their order.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 0;
    let mut is_in_name = false;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let operator = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (part, len) = if first == '"' || first == '\'' {
            let len = quoted(rest, first);
            let inner = at + 1..at + len.saturating_sub(1).max(1);
            (Some((Kind::Text, inner)), len)
        } else if digits > 0 && !is_in_name {
            (Some((Kind::Number, at..at + digits)), digits)
        } else if let Some((sign, _)) = operator {
            (Some((Kind::Operator, at..at + sign.len())), sign.len())
        } else {
            (None, first.len_utf8())
        };
        is_in_name = part.is_none() && (first.is_ascii_alphanumeric() || first == '_');
        parts.extend(part.map(|(kind, place)| Part { kind, place }));
        at += len;
    }
    parts
}

/// Bytes of the text that begins here, with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            char if char == quote => return at + char.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn operators(sign: &str) -> Vec<String> {
    let found = OPERATORS.iter().find(|(known, _)| *known == sign);
    let others = found.map_or(&[][..], |(_, others)| others);
    others.iter().map(ToString::to_string).collect()
}

fn numbers(number: &str) -> Vec<String> {
    let next = number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_add(1));
    next.iter().map(ToString::to_string).collect()
}

/// A network half as large, another address, moment or duration, another word, or what only begins so.
fn texts(text: &str) -> Vec<String> {
    if let Some(words) = WORDS.iter().find(|words| words.contains(&text)) {
        let place = words.iter().position(|word| *word == text).unwrap_or(0);
        let next = words.get((place + 1) % words.len());
        return next.iter().map(ToString::to_string).collect();
    }
    if check::compile(&format!("request.time.getHours('{text}') == 0")).is_ok() {
        return an_hour_east(text).into_iter().collect();
    }
    let is_constant = |text: &str| {
        let call = |with: &str| check::compile(&with.replace("{}", text)).is_ok();
        call("duration('{}') != duration('1s')")
            || call("request.time != timestamp('{}')")
            || call("cidr('{}').containsIP(request.address)")
            || call("request.address == '{}'")
    };
    if is_constant(text) {
        let year = text.get(..4).filter(|_| text.contains('T'));
        let year = year.and_then(|year| Some((year.parse::<u16>().ok()? + 1, text.get(4..)?)));
        if let Some((year, rest)) = year {
            return vec![format!("{year}{rest}")];
        }
        return last_number_changed(text)
            .into_iter()
            .filter(|text| is_constant(text))
            .collect();
    }
    vec![format!("{text}x")]
}

/// An offset from UTC that is an hour more, such as `+02:00`.
fn an_hour_east(offset: &str) -> Option<String> {
    let (sign, hours) = (offset.get(..1)?, offset.get(1..3)?);
    let hours = hours.parse::<u8>().ok()? + 1;
    Some(format!("{sign}{hours:02}{}", offset.get(3..)?))
}

/// The last number one more; one less where that is nothing.
fn last_number_changed(text: &str) -> Vec<String> {
    let Some(end) = text.rfind(|char: char| char.is_ascii_digit()) else {
        return vec![format!("{text}1")];
    };
    let head = text.get(..end).unwrap_or_default();
    let start = head
        .rfind(|char: char| !char.is_ascii_digit())
        .map_or(0, |at| at + 1);
    let (before, number) = (text.get(..start), text.get(start..=end));
    let (Some(before), Some(number), Some(after)) = (before, number, text.get(end + 1..)) else {
        return Vec::new();
    };
    let Ok(number) = number.parse::<u64>() else {
        return Vec::new();
    };
    let others = [Some(number.saturating_add(1)), number.checked_sub(1)];
    let others = others.into_iter().flatten();
    others
        .map(|number| format!("{before}{number}{after}"))
        .take(2)
        .collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::mutants;
    use crate::document;

    #[test]
    fn each_part_of_a_condition_is_changed() {
        let tables = document::compile(
            "p.yaml",
            "policy: p
permissions: { a:read: , b:read: }
roles:
  admin: ['*']
  unused: { permissions: [b:read], when: 'caller.mfa' }
  onsite:
    permissions: [a:read]
    when: >-
      caller.mfa || !(cidr(\"10.0.0.0/8\").containsIP(request.address))
      && request.address != \"192.0.2.7\"
routes:
  - match: '* /a/**'
    requires: a:read
    when: 'request.headers[\"x-env\"] in [\"prod\", \"it''s\"] && caller.kind == \"agent\" && request.method == \"GET\"'
  - { match: GET /b, public: true, when: 'request.time.getHours(\"+01:00\") < 18 && request.time >= timestamp(\"2026-01-31T08:00:00Z\")' }
  - { match: GET /c, public: true, when: 'caller.credential_age + duration(\"1h\") > duration(\"24h\")' }
",
        );
        let tables = tables.unwrap_or_else(|report| panic!("{report}"));
        let what = mutants(tables.rules()).filter_map(|mutant| {
            crate::Tables::new(mutant.rules).unwrap();
            let is_about = mutant.what.contains(" asks for ") || mutant.what.contains(" condition");
            is_about.then_some(mutant.what)
        });
        assert_snapshot!(what.collect::<Vec<_>>().join("\n"));
    }
}

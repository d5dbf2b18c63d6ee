//! Texts and JSON with placeholders such as `{token}`: which they use, and filling them in.

use serde_json::Value;

/// The template with its placeholders filled in. A string that is nothing but a placeholder becomes its value, so
/// that a number stays one; within a longer string the value is written out. What `value_of` does not know stays as
/// it is, and values are never searched for placeholders themselves.
pub fn fill(template: &Value, value_of: &impl Fn(&str) -> Option<Value>) -> Value {
    match template {
        Value::String(text) => match parts(text).as_slice() {
            [Part::Placeholder(name)] => value_of(name).unwrap_or_else(|| template.clone()),
            _ => Value::String(fill_text(text, value_of)),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, value_of)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), fill(value, value_of)))
            .collect(),
        _ => template.clone(),
    }
}

/// A text with its placeholders filled in, as [`fill`] does within a longer string.
pub fn fill_text(text: &str, value_of: &impl Fn(&str) -> Option<Value>) -> String {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Literal(literal) => filled.push_str(literal),
            Part::Placeholder(name) => match value_of(name) {
                Some(Value::String(value)) => filled.push_str(&value),
                Some(value) => filled.push_str(&value.to_string()),
                None => filled.extend(["{", name, "}"]),
            },
        }
    }
    filled
}

/// The names of a text's placeholders.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| match part {
        Part::Placeholder(name) => Some(name),
        Part::Literal(_) => None,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Literal(&'t str),
    Placeholder(&'t str),
}

/// A placeholder is a lower-case word in braces; any other brace is itself.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut literal_start = 0;
    let mut at = 0;
    while let Some(open) = text
        .get(at..)
        .and_then(|rest| rest.find('{'))
        .map(|found| at + found)
    {
        at = open + 1;
        let Some(name) = text
            .get(at..)
            .and_then(|rest| rest.split_once('}'))
            .map(|(name, _)| name)
        else {
            break;
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            continue;
        }
        parts.extend(
            text.get(literal_start..open)
                .filter(|literal| !literal.is_empty())
                .map(Part::Literal),
        );
        parts.push(Part::Placeholder(name));
        at += name.len() + 1;
        literal_start = at;
    }
    parts.extend(
        text.get(literal_start..)
            .filter(|literal| !literal.is_empty())
            .map(Part::Literal),
    );
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value_of(name: &str) -> Option<Value> {
        match name {
            "status" => Some(json!(401)),
            "detail" => Some(json!("no {status} in here")),
            _ => None,
        }
    }

    #[test]
    fn a_number_stays_one_when_it_stands_alone() {
        let template = json!({"status": "{status}", "texts": ["HTTP {status}", 7, null]});
        assert_eq!(
            fill(&template, &value_of),
            json!({"status": 401, "texts": ["HTTP 401", 7, null]})
        );
    }

    #[test]
    fn values_are_not_searched_for_placeholders() {
        assert_eq!(
            fill_text("{status}: {detail}", &value_of),
            "401: no {status} in here"
        );
    }

    #[test]
    fn other_braces_are_themselves() {
        for text in [
            "{",
            "}",
            "{}",
            "{A}",
            "{ status }",
            "{unknown}",
            "a{b",
            "{{",
            "{\u{e9}}",
        ] {
            assert_eq!(fill_text(text, &value_of), text);
        }
        assert_eq!(fill_text("{{status}}", &value_of), "{401}");
    }
}

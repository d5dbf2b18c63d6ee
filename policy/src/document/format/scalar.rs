//! How a text, a number or a boolean is written.

use std::fmt::Write as _;

use crate::yaml::{Node, Scalar, Span, Value};

/// A scalar as it is written in the canonical layout: plain where that is read as the same, else in double quotes.
/// `in_braces` says whether it stands in a map or list in braces.
pub(super) fn write(scalar: &Scalar, in_braces: bool) -> String {
    let text = scalar.text.as_str();
    if scalar.plain && !is_text(text) {
        let is_nothing = matches!(text, "" | "~" | "null" | "Null" | "NULL");
        return match (is_nothing, in_braces) {
            (true, false) => String::new(),
            (true, true) => "~".to_owned(),
            (false, _) => text.to_lowercase(),
        };
    }
    if is_text(text) && is_plain(text, in_braces) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // What is not printable, a line separator included.
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a plain scalar of this text is a text, not a number, a boolean or nothing.
fn is_text(text: &str) -> bool {
    let scalar = Scalar {
        text: text.to_owned(),
        plain: true,
    };
    let node = Node {
        span: Span::default(),
        value: Value::Scalar(scalar),
    };
    node.as_text().is_some()
}

/// Whether a text is read as itself without quotes; more is quoted than YAML asks for.
fn is_plain(text: &str, in_braces: bool) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let is_common = |c: char| {
        c.is_alphanumeric()
            || c == ' '
            || "_-/.:'()%&+=@!$~?".contains(c)
            || (c == '*' && !in_braces)
    };
    (first.is_alphanumeric() || matches!(first, '/' | '_'))
        && text.chars().all(is_common)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
}

/// A key, which always is a text.
pub(super) fn write_key(text: &str) -> String {
    let scalar = Scalar {
        text: text.to_owned(),
        plain: false,
    };
    write(&scalar, true)
}

//! The tree: YAML as it was written, with the place of every key and value.

use std::fmt;
use std::ops::Deref;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::source::Span;

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, a number, a boolean or null: told apart when it is asked for.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in its own order, without duplicate keys.
    Map(Vec<Entry>),
}

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Without quotes and with escapes resolved.
    pub text: String,
    /// Whether it was written without quotes, so that it may be a number, a boolean or null.
    pub plain: bool,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub text: String,
}

/// A text out of the tree, with its place. Reads as a `str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'n> {
    /// Where it stands.
    pub span: Span,
    /// The text.
    pub text: &'n str,
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.text
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Key {
    /// The key as a text with a place.
    pub fn as_text(&self) -> Text<'_> {
        Text {
            span: self.span,
            text: &self.text,
        }
    }
}

/// A scalar under the core schema of YAML 1.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Resolved<'n> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'n str),
}

impl Scalar {
    pub(super) fn resolve(&self) -> Resolved<'_> {
        let text = self.text.as_str();
        if !self.plain {
            return Resolved::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Boolean(true),
            "false" | "False" | "FALSE" => Resolved::Boolean(false),
            _ => number(text).unwrap_or(Resolved::Text(text)),
        }
    }
}

fn number(text: &str) -> Option<Resolved<'static>> {
    let integer = if let Some(digits) = text.strip_prefix("0x") {
        i64::from_str_radix(digits, 16).ok()
    } else if let Some(digits) = text.strip_prefix("0o") {
        i64::from_str_radix(digits, 8).ok()
    } else {
        text.parse().ok()
    };
    if let Some(integer) = integer {
        return Some(Resolved::Integer(integer));
    }
    // `inf`, `nan` and `infinity` parse as floats in Rust and are text in YAML.
    let digits = text.trim_start_matches(['+', '-', '.']);
    let float = digits
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| text.parse().ok())??;
    Some(Resolved::Float(float))
}

impl Node {
    /// What the node is, in words for a message, such as ``the text `x` `` or `a list`.
    pub fn in_words(&self) -> String {
        let Value::Scalar(scalar) = &self.value else {
            return if matches!(self.value, Value::List(_)) {
                "a list"
            } else {
                "a map"
            }
            .to_owned();
        };
        match scalar.resolve() {
            Resolved::Null => "nothing".to_owned(),
            Resolved::Boolean(_) => format!("the boolean `{}`", scalar.text),
            Resolved::Integer(_) | Resolved::Float(_) => format!("the number `{}`", scalar.text),
            Resolved::Text(text) => format!("the text `{}`", shorten(text)),
        }
    }

    /// The text of a scalar that is neither a number nor a boolean nor null.
    pub fn as_text(&self) -> Option<Text<'_>> {
        match &self.value {
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Text(text) => Some(Text {
                    span: self.span,
                    text,
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether nothing stands here, or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }
}

/// Long input is cut in messages.
pub(super) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// As the plain data that the YAML stands for: `serde_json::to_value(&node)` gives its JSON.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => serializer.serialize_unit(),
                Resolved::Boolean(value) => serializer.serialize_bool(value),
                Resolved::Integer(value) => serializer.serialize_i64(value),
                Resolved::Float(value) => serializer.serialize_f64(value),
                Resolved::Text(text) => serializer.serialize_str(text),
            },
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key.text, &entry.value)?;
                }
                map.end()
            }
        }
    }
}

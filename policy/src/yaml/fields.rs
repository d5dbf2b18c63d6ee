//! A map with known keys, read key by key.

use std::ops::RangeInclusive;

use super::node::{Entry, Node, Text};
use super::reader::{ProblemSlot, Reader};
use super::source::Span;

/// A map whose unknown keys were reported. Every accessor gives nothing when the key is absent, and records a
/// problem and gives nothing when its value is not of the kind asked for.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'r> {
    reader: &'r Reader,
    span: Span,
    what: &'r str,
    entries: &'r [Entry],
}

impl<'r> Fields<'r> {
    pub(super) fn new(reader: &'r Reader, span: Span, what: &'r str, entries: &'r [Entry]) -> Self {
        Self {
            reader,
            span,
            what,
            entries,
        }
    }

    /// Where the whole map stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Whether the key is there, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'r Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A key with its value.
    pub fn entry(&self, key: &str) -> Option<&'r Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// Where the key stands, or the map when it does not.
    pub fn key_span(&self, key: &str) -> Span {
        self.entry(key).map_or(self.span, |entry| entry.key.span)
    }

    /// Records a problem at a key, or at the map when the key is absent.
    pub fn problem(&self, key: &str, message: impl AsRef<str>) -> ProblemSlot<'r> {
        self.reader.problem(self.key_span(key), message)
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &str) -> Option<&'r Node> {
        let node = self.get(key);
        if node.is_none() {
            self.reader
                .problem(self.span, format!("missing key `{key}` in {}", self.what));
        }
        node
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<Text<'r>> {
        self.get(key)
            .and_then(|node| self.reader.text(node, &quoted(key)))
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &str) -> Option<Text<'r>> {
        self.required(key)
            .and_then(|node| self.reader.text(node, &quoted(key)))
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Option<Vec<Text<'r>>> {
        self.get(key)
            .and_then(|node| self.reader.texts(node, &quoted(key)))
    }

    /// A list.
    pub fn list(&self, key: &str) -> Option<&'r [Node]> {
        self.get(key)
            .and_then(|node| self.reader.list(node, &quoted(key)))
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.get(key)
            .and_then(|node| self.reader.boolean(node, &quoted(key)))
    }

    /// A whole number within a range.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.get(key)
            .and_then(|node| self.reader.integer(node, &quoted(key), range))
    }

    /// A length of time in seconds, such as `15m`.
    pub fn seconds(&self, key: &str) -> Option<u64> {
        self.get(key)
            .and_then(|node| self.reader.seconds(node, &quoted(key)))
    }

    /// One of a closed set of words.
    pub fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.get(key)
            .and_then(|node| self.reader.choice(node, &quoted(key), choices))
    }

    /// A map of known keys within this one; `what` names it in messages.
    pub fn fields(&self, key: &str, what: &'r str, known: &[&str]) -> Option<Fields<'r>> {
        self.get(key)
            .and_then(|node| self.reader.fields(node, what, known))
    }

    /// The entries of a map with keys of any name.
    pub fn entries(&self, key: &str) -> Option<&'r [Entry]> {
        self.get(key)
            .and_then(|node| self.reader.entries(node, &quoted(key)))
    }
}

fn quoted(key: &str) -> String {
    format!("`{key}`")
}

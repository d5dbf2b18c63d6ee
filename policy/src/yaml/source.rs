//! A text with a name, and places in it.

use serde::{Deserialize, Serialize};

/// A range of bytes in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From the first byte to one past the last.
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// From this span's start to the other's end.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start, other.end)
    }

    /// The bytes `from..to`, counted within this span: a part of a plain scalar.
    #[must_use]
    pub fn part(self, from: usize, to: usize) -> Self {
        let end = (self.start + to).min(self.end);
        Self::new((self.start + from).min(end), end)
    }
}

/// A text and the name that reports call it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A source, usually of a file's path and content.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty when the span is not of this source.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let (line_start, line) = self.line_start(byte);
        let before = self
            .text
            .get(line_start..byte.min(self.text.len()))
            .unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// Where the line of this byte starts, and its number from 1.
    pub(super) fn line_start(&self, byte: usize) -> (usize, usize) {
        let before = self
            .text
            .as_bytes()
            .get(..byte)
            .unwrap_or(self.text.as_bytes());
        let start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |newline| newline + 1);
        (start, before.iter().filter(|b| **b == b'\n').count() + 1)
    }

    /// The line that starts at this byte, without its end.
    pub(super) fn line_at(&self, start: usize) -> &str {
        let rest = self.text.get(start..).unwrap_or_default();
        rest.split(['\n', '\r']).next().unwrap_or_default()
    }
}

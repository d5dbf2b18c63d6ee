//! From a part of a text back to where it stands in the source, whichever way YAML wrote it.

use std::ops::Range;

use super::node::Text;
use super::source::{Source, Span};

impl Source {
    /// Where the bytes `part` of a text stand: without its quotes, escapes, folded lines and indentation. All of the
    /// text where that cannot be told, as with an alias.
    pub fn place(&self, text: Text<'_>, part: Range<usize>) -> Span {
        let raw = self.slice(text.span);
        match (
            find(raw, text.text, part.start),
            find(raw, text.text, part.end),
        ) {
            (Some(start), Some(end)) => Span::new(text.span.start + start, text.span.start + end),
            _ => text.span,
        }
    }
}

/// The byte of the source's text that a byte of the text comes from.
fn find(raw: &str, text: &str, byte: usize) -> Option<usize> {
    let style = raw.bytes().next()?;
    let mut at = match style {
        b'\'' | b'"' => 1,
        // The text of a block begins on its second line.
        b'|' | b'>' => {
            let line = raw.find('\n')? + 1;
            line + spaces(raw.get(line..)?)
        }
        _ => 0,
    };
    for (index, char) in text.char_indices() {
        if index >= byte {
            return Some(at);
        }
        let rest = raw.get(at..)?;
        at += match style {
            b'"' if rest.starts_with('\\') => escape_bytes(rest),
            b'\'' if rest.starts_with("''") => 2,
            // Lines that are folded: one space, or as many as there are empty lines, stand for all between.
            _ if char.is_whitespace() && rest.get(..spaces(rest))?.contains('\n') => {
                let next = text.get(index + char.len_utf8()..)?;
                if next.starts_with(char::is_whitespace) {
                    0
                } else {
                    spaces(rest)
                }
            }
            _ if rest.starts_with(char) => char.len_utf8(),
            _ => return None,
        };
    }
    (byte >= text.len()).then_some(at)
}

fn spaces(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Bytes of the escape that a text begins with.
fn escape_bytes(text: &str) -> usize {
    match text.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        // The end of a line, and what the next one is indented by.
        Some(b'\n' | b'\r') => 1 + spaces(text.get(1..).unwrap_or_default()),
        _ => text.chars().take(2).map(char::len_utf8).sum(),
    }
}

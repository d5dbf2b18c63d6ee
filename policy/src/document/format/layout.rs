//! The layout itself. Everything is written in the order of the source, so that each comment goes to what stands
//! nearest, and then put into the canonical order.

use crate::yaml::{Entry, Node, Source, Value};

use super::comments::{Comment, Comments};
use super::scalar;

/// Characters of a line at most; what is longer is not in braces.
const LINE_CHARS_MAX: usize = 128;
/// The order of keys. What is not among them comes last, in its own order.
const ORDER: [&str; 22] = [
    "policy",
    "version",
    "permissions",
    "roles",
    "keys",
    "routes",
    "match",
    "public",
    "operator",
    "requires",
    "sign_in",
    "when",
    "category",
    "unlocks",
    "scope",
    "items",
    "cluster",
    "lists",
    "keep",
    "query",
    "header",
    "read_only",
];
/// The parts of a document that are written one to a line, whatever their length.
const PARTS: [&str; 3] = ["permissions", "roles", "routes"];

/// A document being written.
pub(super) struct Layout<'s> {
    source: &'s Source,
    pub(super) comments: Comments,
}

/// Where the comments of a map or list may stand.
#[derive(Clone, Copy)]
struct Room {
    from: usize,
    until: usize,
    /// Comments behind the last entry are deeper than this column, or they are not its.
    column: usize,
}

/// An entry or item, written.
struct Written {
    /// Its place among its siblings.
    rank: usize,
    /// Whether an empty line stood before it, or before its first comment.
    is_apart: bool,
    /// Whether it takes more than its one line.
    is_block: bool,
    text: String,
}

/// What stands in a map or in a list.
enum Part<'n> {
    Entry(&'n Entry),
    Item(&'n Node),
}

impl Part<'_> {
    fn start(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.key.span.start,
            Self::Item(item) => item.span.start,
        }
    }

    fn end(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.value.span.end.max(entry.key.span.end),
            Self::Item(item) => item.span.end,
        }
    }

    /// Its place among those that have an order.
    fn rank(&self) -> usize {
        match self {
            Self::Entry(entry) => {
                let known = ORDER.iter().position(|known| *known == entry.key.text);
                known.unwrap_or(ORDER.len())
            }
            Self::Item(_) => 0,
        }
    }
}

fn parts_of(value: &Node) -> Vec<Part<'_>> {
    match &value.value {
        Value::Map(entries) => entries.iter().map(Part::Entry).collect(),
        Value::List(items) => items.iter().map(Part::Item).collect(),
        Value::Scalar(_) => Vec::new(),
    }
}

impl<'s> Layout<'s> {
    pub(super) fn new(source: &'s Source, comments: Comments) -> Self {
        Self { source, comments }
    }

    /// All of it.
    pub(super) fn document(&mut self, root: &Node) -> String {
        let parts = parts_of(root);
        let first = parts.first().map_or(0, Part::start);
        let head = self.comments.take_alone(0, first, 0);
        let mut out = self.lines(&head, 0);
        let is_head_apart = self.is_apart(first);
        let end = self.source.text().len();
        let mut written = self.parts(
            &parts,
            0,
            Room {
                from: first,
                until: end,
                column: 0,
            },
            true,
        );
        written.sort_by_key(|written| written.rank);
        let mut before_is_block = None;
        for Written { is_block, text, .. } in written {
            let is_apart = match before_is_block {
                None => is_head_apart && !head.is_empty(),
                Some(before) => before || is_block,
            };
            if is_apart {
                out.push('\n');
            }
            out.push_str(&text);
            before_is_block = Some(is_block);
        }
        let tail = self.comments.take_alone(first, end, 0);
        if !tail.is_empty() {
            out.push('\n');
            out.push_str(&self.lines(&tail, 0));
        }
        out
    }

    /// Each entry or item with its comments, in the order of the source.
    fn parts(
        &mut self,
        parts: &[Part<'_>],
        indent: usize,
        room: Room,
        is_ordered: bool,
    ) -> Vec<Written> {
        let mut written = Vec::new();
        let Room {
            mut from,
            until,
            column,
        } = room;
        for (place, part) in parts.iter().enumerate() {
            let next = parts.get(place + 1).map_or(until, Part::start);
            let above = self.comments.take_alone(from, part.start(), column);
            let is_apart = self.is_apart(above.first().map_or(part.start(), |c| c.span.start));
            let (body, is_block) = match part {
                Part::Entry(entry) => self.entry(entry, indent, next),
                Part::Item(item) => (self.item(item, indent, next), true),
            };
            let mut text = self.lines(&above, indent);
            if !above.is_empty() && self.is_apart(part.start()) {
                text.push('\n');
            }
            text.push_str(&body);
            from = part.end();
            written.push(Written {
                rank: if is_ordered { part.rank() } else { 0 },
                is_apart,
                is_block: is_block || !above.is_empty(),
                text,
            });
        }
        written
    }

    /// A key and its value.
    fn entry(&mut self, entry: &Entry, indent: usize, until: usize) -> (String, bool) {
        let Entry { key, value } = entry;
        let name = scalar::write_key(&key.text);
        let mut out = format!("{}{name}:", " ".repeat(indent));
        let is_part = indent == 0 && PARTS.contains(&key.text.as_str());
        let room = LINE_CHARS_MAX.saturating_sub(out.chars().count() + 1);
        if let Some(line) = self.line(value, room, is_part) {
            if !line.is_empty() {
                out.push(' ');
                out.push_str(&line);
            }
            self.behind(&mut out, value.span.end.max(key.span.end));
            out.push('\n');
            return (out, false);
        }
        let column = self.column(key.span.start);
        // Behind the key, or behind the brace of what was in braces.
        let after = if self.is_in_braces(value) {
            value.span.start + 1
        } else {
            key.span.end + 1
        };
        self.behind(&mut out, after);
        out.push('\n');
        let is_ordered = !(is_part && matches!(value.value, Value::Map(_)));
        let room = Room {
            from: after,
            until,
            column,
        };
        out.push_str(&self.block(value, indent + 2, room, is_ordered));
        (out, true)
    }

    /// The entries or items of a value, one or more lines each.
    fn block(&mut self, value: &Node, indent: usize, room: Room, is_ordered: bool) -> String {
        let room = match self.is_in_braces(value) {
            true => Room {
                until: value.span.end,
                column: 0,
                ..room
            },
            false => room,
        };
        let mut written = self.parts(&parts_of(value), indent, room, is_ordered);
        // What is indented as deep as the last of them is still theirs.
        let tail = self
            .comments
            .take_alone(value.span.start, room.until, room.column);
        written.sort_by_key(|written| written.rank);
        let mut out = String::new();
        for Written { is_apart, text, .. } in written {
            if is_apart && !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&text);
        }
        if tail
            .first()
            .is_some_and(|first| self.is_apart(first.span.start))
        {
            out.push('\n');
        }
        out.push_str(&self.lines(&tail, indent));
        out
    }

    fn item(&mut self, item: &Node, indent: usize, until: usize) -> String {
        let mut out = format!("{}-", " ".repeat(indent));
        let room = LINE_CHARS_MAX.saturating_sub(indent + 2);
        if let Some(line) = self.line(item, room, false) {
            out.push(' ');
            out.push_str(&line);
            self.behind(&mut out, item.span.end);
            out.push('\n');
            return out;
        }
        let column = self.column(item.span.start);
        let room = Room {
            from: item.span.start,
            until,
            column: column.saturating_sub(2),
        };
        let mut block = self.block(item, indent + 2, room, true);
        // Comments on the first of its lines go above the item.
        let mut above = String::new();
        while let Some((line, rest)) = block.split_once('\n')
            && (line.trim_start().starts_with('#') || line.is_empty())
        {
            if !line.is_empty() {
                above.push_str(line.get(2..).unwrap_or(line));
            }
            above.push('\n');
            block = rest.to_owned();
        }
        format!("{above}{out} {}", block.trim_start_matches(' '))
    }

    /// A value on one line: what fits and has no comment within, and was not written as a block.
    fn line(&self, value: &Node, room: usize, is_part: bool) -> Option<String> {
        let is_empty = match &value.value {
            Value::Scalar(_) => return Some(in_line(value, false)),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        };
        let is_kept = self.is_in_braces(value) && !is_part;
        if self.comments.has_within(value.span) || !(is_empty || is_kept) {
            return None;
        }
        let line = in_line(value, false);
        (line.chars().count() <= room).then_some(line)
    }

    fn is_in_braces(&self, value: &Node) -> bool {
        let is_scalar = matches!(value.value, Value::Scalar(_));
        !is_scalar && self.source.slice(value.span).starts_with(['{', '['])
    }

    /// Adds the comment behind what ends at `end`.
    fn behind(&mut self, out: &mut String, end: usize) {
        if let Some(comment) = self.comments.take_behind(self.source, end) {
            out.push(' ');
            out.push_str(&comment);
        }
    }

    /// Comments one to a line, with the empty lines between them.
    fn lines(&self, comments: &[Comment], indent: usize) -> String {
        let mut out = String::new();
        for comment in comments {
            if !out.is_empty() && self.is_apart(comment.span.start) {
                out.push('\n');
            }
            out.push_str(&" ".repeat(indent));
            out.push_str(&comment.text);
            out.push('\n');
        }
        out
    }

    /// Whether the line before the one of this byte is empty.
    fn is_apart(&self, byte: usize) -> bool {
        let start = self.line_start(byte);
        let before = self.source.text().get(..start).unwrap_or_default();
        let before = before.strip_suffix('\n').unwrap_or_default();
        start > 0
            && before
                .rsplit('\n')
                .next()
                .is_some_and(|line| line.trim().is_empty())
    }

    /// In characters, from 1.
    fn column(&self, byte: usize) -> usize {
        let before = self.source.text().get(self.line_start(byte)..byte);
        before.unwrap_or_default().chars().count() + 1
    }

    fn line_start(&self, byte: usize) -> usize {
        let before = self.source.text().get(..byte).unwrap_or_default();
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }
}

/// A value in braces, on one line.
fn in_line(value: &Node, in_braces: bool) -> String {
    match &value.value {
        Value::Scalar(scalar) => scalar::write(scalar, in_braces),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| in_line(item, true)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Map(entries) => {
            let mut ordered: Vec<&Entry> = entries.iter().collect();
            ordered.sort_by_key(|entry| {
                let known = ORDER.iter().position(|known| *known == entry.key.text);
                known.unwrap_or(ORDER.len())
            });
            let entry = |entry: &&Entry| {
                let key = scalar::write_key(&entry.key.text);
                let value = in_line(&entry.value, true);
                format!("{key}: {value}").trim_end().to_owned()
            };
            let entries: Vec<String> = ordered.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

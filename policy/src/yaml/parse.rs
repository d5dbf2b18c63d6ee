//! Parser events to a tree, within limits that no input can exceed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::node::{Entry, Key, Node, Scalar, Value, shorten};
use super::reader::Reader;
use super::source::Span;

/// What a document may cost at most.
pub mod limits {
    /// Bytes of the text.
    pub const TEXT_BYTES_MAX: usize = 8 << 20;
    /// Bytes of the tree, with everything that aliases repeat.
    pub const TREE_BYTES_MAX: usize = 64 << 20;
    /// Lists and maps within each other, aliases followed.
    pub const DEPTH_MAX: usize = 64;
}

/// Roughly what a node takes in memory besides its text.
const NODE_BYTES: usize = 96;

/// The tree of the reader's source, or nothing when a problem with its syntax was recorded.
pub(super) fn parse(reader: &Reader) -> Option<Node> {
    let text = reader.source().text();
    if text.len() > limits::TEXT_BYTES_MAX {
        reader
            .problem(
                Span::default(),
                format!("the text is too large: {} bytes", text.len()),
            )
            .help(format!("at most {} bytes are read", limits::TEXT_BYTES_MAX));
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = limits::DEPTH_MAX;
    options.block_nesting_limit = limits::DEPTH_MAX;
    let mut builder = Builder {
        reader,
        stack: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        bytes: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, to_span(span))?,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_default();
                reader.problem(
                    Span::new(at, at),
                    format!("this is not YAML: {}", error.info()),
                );
                return None;
            }
        }
    }
    // An empty text is an empty document: nothing, at its start.
    Some(builder.root.unwrap_or(Node {
        span: Span::default(),
        value: null(),
    }))
}

fn null() -> Value {
    Value::Scalar(Scalar {
        text: String::new(),
        plain: true,
    })
}

fn to_span(span: granit_parser::Span) -> Span {
    span.byte_range()
        .map_or(Span::default(), |range| Span::new(range.start, range.end))
}

/// A list or map that is still open.
struct Open {
    span: Span,
    anchor: usize,
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: BTreeMap<String, usize>,
        key: Option<Key>,
        skip: bool,
    },
}

struct Builder<'r> {
    reader: &'r Reader,
    stack: Vec<Open>,
    root: Option<Node>,
    /// Finished anchors: the node, its bytes and its height.
    anchors: BTreeMap<usize, (Node, usize, usize)>,
    bytes: usize,
}

impl Builder<'_> {
    /// Nothing when reading cannot go on.
    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_ref(), span);
                let bytes = NODE_BYTES + text.len();
                let plain = style == ScalarStyle::Plain;
                let node = Node {
                    span,
                    value: Value::Scalar(Scalar {
                        text: text.into_owned(),
                        plain,
                    }),
                };
                self.spend(bytes, span)?;
                self.finish(node, anchor, bytes, 1)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_ref(), span);
                self.open(span, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_ref(), span);
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                    skip: false,
                };
                self.open(span, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(..) if self.root.is_some() => {
                self.reader
                    .problem(span, "a second document begins here")
                    .help("put it into a file of its own");
                None
            }
            _ => Some(()),
        }
    }

    fn refuse_tag(&self, tag: Option<&Cow<'_, Tag>>, span: Span) {
        if let Some(tag) = tag {
            self.reader.problem(
                span,
                format!("the tag `{}` is not supported", shorten(&tag.original())),
            );
        }
    }

    fn spend(&mut self, bytes: usize, span: Span) -> Option<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= limits::TREE_BYTES_MAX {
            return Some(());
        }
        self.reader
            .problem(
                span,
                "the document is too large with everything that its aliases repeat",
            )
            .help(format!(
                "at most {} bytes in memory are read",
                limits::TREE_BYTES_MAX
            ));
        None
    }

    fn check_depth(&self, height: usize, span: Span) -> Option<()> {
        if self.stack.len() + height <= limits::DEPTH_MAX {
            return Some(());
        }
        let message = format!(
            "more than {} lists and maps within each other",
            limits::DEPTH_MAX
        );
        self.reader.problem(span, message);
        None
    }

    fn open(&mut self, span: Span, anchor: usize, content: Content) -> Option<()> {
        self.check_depth(1, span)?;
        self.spend(NODE_BYTES, span)?;
        self.stack.push(Open {
            span,
            anchor,
            height: 1,
            content,
        });
        Some(())
    }

    fn close(&mut self, end: Span) -> Option<()> {
        let open = self.stack.pop()?;
        let flow = !self.reader.source().slice(end).is_empty();
        let (value, last) = match open.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span);
                (Value::List(items), last)
            }
            Content::Map { entries, .. } => {
                let last = entries.last().map(|entry| Span {
                    start: 0,
                    end: entry.value.span.end.max(entry.key.span.end),
                });
                (Value::Map(entries), last)
            }
        };
        // A block ends where its last value does; its own end event stands on a later line.
        let span = open
            .span
            .to(if flow { end } else { last.unwrap_or(open.span) });
        let bytes = if open.anchor == 0 {
            0
        } else {
            bytes_of(&value)
        };
        self.finish(Node { span, value }, open.anchor, bytes, open.height + 1)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        let Some((node, bytes, height)) = self.anchors.get(&anchor) else {
            self.reader
                .problem(span, "an alias cannot stand within its own anchor");
            return None;
        };
        let (bytes, height) = (*bytes, *height);
        let node = Node {
            span,
            value: node.value.clone(),
        };
        self.check_depth(height, span)?;
        self.spend(bytes, span)?;
        self.finish(node, 0, bytes, height)
    }

    /// Puts a finished node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize, bytes: usize, height: usize) -> Option<()> {
        if anchor != 0 {
            self.spend(bytes, node.span)?;
            self.anchors.insert(anchor, (node.clone(), bytes, height));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        open.height = open.height.max(height);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                seen,
                key,
                skip,
            } => match key.take() {
                Some(_) if std::mem::take(skip) => {}
                Some(key) => entries.push(Entry { key, value: node }),
                None => {
                    let Value::Scalar(Scalar { text, .. }) = node.value else {
                        self.reader.problem(node.span, "a key must be text");
                        return None;
                    };
                    if let Some(first) = seen.insert(text.clone(), node.span.start) {
                        *skip = true;
                        let slot = self.reader.problem(
                            node.span,
                            format!("the key `{}` is given twice", shorten(&text)),
                        );
                        if !self.reader.is_full() {
                            let (line, _) = self.reader.source().line_column(first);
                            slot.help(format!("it stands on line {line} already"));
                        }
                    }
                    *key = Some(Key {
                        span: node.span,
                        text,
                    });
                }
            },
        }
        Some(())
    }
}

fn bytes_of(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::Scalar(scalar) => scalar.text.len(),
            Value::List(items) => items.iter().map(|item| bytes_of(&item.value)).sum(),
            Value::Map(entries) => entries
                .iter()
                .map(|e| NODE_BYTES + e.key.text.len() + bytes_of(&e.value.value))
                .sum(),
        }
}

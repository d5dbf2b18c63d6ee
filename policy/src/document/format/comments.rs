//! The comments of a document, each taken once.

use granit_parser::{Event, Options, Parser};

use crate::yaml::{Reader, Source, Span};

/// A comment of the source.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    /// From `#` to the end of its line.
    pub(super) span: Span,
    /// With its `#`, without spaces at its end.
    pub(super) text: String,
    /// In characters, from 1.
    column: usize,
    /// Whether nothing stands before it on its line.
    is_alone: bool,
    is_taken: bool,
}

/// All comments, in the order of their places.
pub(super) struct Comments(Vec<Comment>);

impl Comments {
    /// Finds them. Anchors and aliases are problems: the layout has no place for them.
    pub(super) fn read(reader: &Reader) -> Self {
        let source = reader.source();
        let mut options = Options::default();
        options.set_emit_comments(true);
        let mut comments = Vec::new();
        for event in Parser::new_from_str_with_options(source.text(), options) {
            let Ok((event, span)) = event else { break };
            let Some(range) = span.byte_range() else {
                continue;
            };
            let span = Span::new(range.start, range.end);
            match event {
                Event::Comment(..) => comments.push(comment(source, span)),
                Event::Alias(_) => {
                    reader
                        .problem(span, "an alias has no place in the canonical layout")
                        .help("write out what it stands for");
                }
                _ => {}
            }
        }
        comments.sort_by_key(|comment| comment.span);
        Self(comments)
    }

    /// Takes the comments that stand alone in `from..until`, where they are indented deeper than `column`.
    pub(super) fn take_alone(&mut self, from: usize, until: usize, column: usize) -> Vec<Comment> {
        let mut taken = Vec::new();
        for comment in &mut self.0 {
            let is_within = (from..until).contains(&comment.span.start);
            if !is_within || comment.is_taken || !comment.is_alone {
                continue;
            }
            if comment.column <= column {
                break;
            }
            comment.is_taken = true;
            taken.push(comment.clone());
        }
        taken
    }

    /// Takes the comment behind what ends at `end`, on the same line.
    pub(super) fn take_behind(&mut self, source: &Source, end: usize) -> Option<String> {
        let comment = self
            .0
            .iter_mut()
            .find(|comment| !comment.is_taken && !comment.is_alone && comment.span.start >= end)?;
        let between = source.slice(Span::new(end, comment.span.start));
        // A comma may stand between, where the original was in brackets.
        if between.contains(|c: char| !matches!(c, ' ' | '\t' | ',')) {
            return None;
        }
        comment.is_taken = true;
        Some(comment.text.clone())
    }

    /// Whether a comment that nobody took stands in here.
    pub(super) fn has_within(&self, span: Span) -> bool {
        let is_within =
            |comment: &Comment| span.start <= comment.span.start && comment.span.start < span.end;
        self.0
            .iter()
            .any(|comment| !comment.is_taken && is_within(comment))
    }

    /// The comments that nobody took.
    pub(super) fn left(&self) -> impl Iterator<Item = &Comment> {
        self.0.iter().filter(|comment| !comment.is_taken)
    }

    /// The texts of all, sorted.
    pub(super) fn texts(self) -> Vec<String> {
        let mut texts: Vec<String> = self.0.into_iter().map(|comment| comment.text).collect();
        texts.sort_unstable();
        texts
    }
}

fn comment(source: &Source, span: Span) -> Comment {
    let before = source.text().get(..span.start).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Comment {
        span,
        text: source.slice(span).trim_end().to_owned(),
        column: line.chars().count() + 1,
        is_alone: line.trim().is_empty(),
        is_taken: false,
    }
}

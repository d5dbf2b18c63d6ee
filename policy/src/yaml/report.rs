//! Everything that is wrong with a text, for people and for programs.

use std::fmt;

use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, Title,
    normalize_untrusted_str,
};
use serde::ser::{Serialize, Serializer};

use super::reader::Problem;
use super::source::{Source, Span};

/// Problems that are shown to people at most; the rest are counted.
const SHOWN_MAX: usize = 100;
/// Bytes of a line that are shown at most.
const LINE_BYTES_MAX: usize = 1024;

/// Every problem of a source, in the order of their places. `Display` shows each with its line and a caret;
/// serialized, it is a list of [`Place`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    source: Source,
    problems: Vec<Problem>,
}

/// A problem for programs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place<'r> {
    /// The name of the source.
    pub file: &'r str,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: &'r str,
    /// What was probably meant, or what is possible.
    pub help: Option<&'r str>,
}

impl Report {
    pub(super) fn new(source: Source, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        problems.dedup();
        Self { source, problems }
    }

    /// The text that was read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What is wrong, in the order of its places; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems with line and column.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.problems.iter().map(|problem| {
            let (line, column) = self.source.line_column(problem.span.start);
            Place {
                file: self.source.name(),
                line,
                column,
                message: &problem.message,
                help: problem.help.as_deref(),
            }
        })
    }

    /// What `Display` shows, in colour for a terminal.
    pub fn to_styled_string(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let shown = self.problems.iter().take(SHOWN_MAX);
        let mut parts: Vec<String> = shown
            .map(|problem| self.render_one(problem, renderer))
            .collect();
        if self.problems.len() > SHOWN_MAX {
            parts.push(format!(
                "and {} more problems",
                self.problems.len() - SHOWN_MAX
            ));
        }
        parts.join("\n\n")
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let (message, help) = (problem.message.as_str(), problem.help.as_deref());
        let title = Level::ERROR.primary_title(message);
        render(title, &self.source, problem.span, help, renderer)
    }
}

/// How much it matters what is said about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant.
    Warning,
}

/// A message about a place in a source, with its line and a caret, as in a [`Report`].
pub fn excerpt(
    severity: Severity,
    message: &str,
    source: &Source,
    span: Span,
    help: Option<&str>,
) -> String {
    let level = match severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
    };
    let (message, help) = (
        normalize_untrusted_str(message),
        help.map(normalize_untrusted_str),
    );
    let title = level.primary_title(message.as_str());
    render(title, source, span, help.as_deref(), &Renderer::plain())
}

/// Only the first line of a span is shown, and only it is given to the renderer.
fn render(
    title: Title<'_>,
    source: &Source,
    span: Span,
    help: Option<&str>,
    renderer: &Renderer,
) -> String {
    let (line_start, number) = source.line_start(span.start);
    let line = source.line_at(line_start);
    let start = (span.start - line_start).min(line.len());
    let end = (span.end.saturating_sub(line_start)).clamp(start, line.len());
    let mark = AnnotationKind::Primary;
    let mut elements: Vec<Element<'_>> = Vec::new();
    if line.len() <= LINE_BYTES_MAX {
        let snippet = Snippet::source(line).path(source.name()).line_start(number);
        elements.push(snippet.annotation(mark.span(start..end)).into());
    } else {
        // The renderer would count the column within the part.
        let (_, column) = source.line_column(span.start);
        let origin = Origin::path(source.name()).line(number).char_column(column);
        let from = line.floor_char_boundary(start.saturating_sub(LINE_BYTES_MAX / 4));
        let part = line
            .get(from..line.floor_char_boundary(from + LINE_BYTES_MAX))
            .unwrap_or_default();
        let end = end.min(from + part.len());
        elements.push(origin.into());
        elements.push(
            Snippet::source(part)
                .line_start(number)
                .annotation(mark.span(start - from..end - from))
                .into(),
        );
    }
    if let Some(help) = help {
        elements.push(Level::HELP.message(help).into());
    }
    let group: Group<'_> = title.elements(elements);
    renderer.render(&[group])
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Report {}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.places())
    }
}

//! Everything that is wrong with a text, for people and for programs.

use std::fmt;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde::ser::{Serialize, Serializer};

use super::reader::Problem;
use super::source::Source;

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

    /// Only the first line of a span is shown, and only it is given to the renderer.
    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let (line_start, number) = self.source.line_start(problem.span.start);
        let line = self.source.line_at(line_start);
        let start = (problem.span.start - line_start).min(line.len());
        let end = (problem.span.end.saturating_sub(line_start)).clamp(start, line.len());
        let mark = AnnotationKind::Primary;
        let mut elements: Vec<Element<'_>> = Vec::new();
        if line.len() <= LINE_BYTES_MAX {
            let snippet = Snippet::source(line)
                .path(self.source.name())
                .line_start(number);
            elements.push(snippet.annotation(mark.span(start..end)).into());
        } else {
            // The renderer would count the column within the part.
            let (_, column) = self.source.line_column(problem.span.start);
            let origin = Origin::path(self.source.name())
                .line(number)
                .char_column(column);
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
        if let Some(help) = &problem.help {
            elements.push(Level::HELP.message(help.as_str()).into());
        }
        let group: Group<'_> = Level::ERROR
            .primary_title(problem.message.as_str())
            .elements(elements);
        renderer.render(&[group])
    }
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

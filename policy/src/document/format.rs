//! The canonical layout of a document: one way to write it, so that a change shows as what it changes.
//!
//! Keys stand in one order, permissions, roles and routes one to a line, maps and lists that were written in braces
//! stay so where they fit, and texts have quotes where they need them. Comments stay where they are: above what
//! follows them, or behind what stands before them. Single empty lines stay too.

mod comments;
mod layout;
mod scalar;

use crate::yaml::{Reader, Report};

use super::compile;
use comments::Comments;
use layout::Layout;

/// A document in the canonical layout. It compiles to the same rules, it has every comment of the original, and
/// formatting it again changes nothing.
///
/// # Errors
/// The document's own mistakes; or a comment, an anchor or an alias that has no place in the layout, so that the
/// document is better left as it is.
pub fn format(name: &str, text: &str) -> Result<String, Report> {
    let tables = compile(name, text)?;
    let (reader, root) = Reader::open(name, text)?;
    let comments = Comments::read(&reader);
    let mut layout = Layout::new(reader.source(), comments);
    let formatted = layout.document(&root);
    for comment in layout.comments.left() {
        reader
            .problem(comment.span, "this comment would lose its place")
            .help("put it on a line of its own above what it is about, or at the end of that line");
    }
    let formatted = reader.finish(Some(formatted))?;
    if is_same(name, text, &formatted, &tables) {
        return Ok(formatted);
    }
    let (reader, root) = Reader::open(name, text)?;
    reader
        .problem(
            root.span,
            "the document cannot be formatted without changing it",
        )
        .help("this is a mistake of this program: leave the document as it is");
    reader.finish(None)
}

/// Whether the layout is all that differs.
fn is_same(name: &str, text: &str, formatted: &str, tables: &crate::Tables) -> bool {
    let comments = |text: &str| -> Option<Vec<String>> {
        let (reader, _) = Reader::open(name, text).ok()?;
        Some(Comments::read(&reader).texts())
    };
    let again = compile(name, formatted);
    again.is_ok_and(|again| again.rules() == tables.rules())
        && comments(text) == comments(formatted)
}

#[cfg(test)]
mod tests;

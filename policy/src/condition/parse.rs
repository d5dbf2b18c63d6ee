//! From text to the tree of the `cel` crate, and from its nodes back to places in the text.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, SourceInfo};

use super::TEXT_BYTES_MAX;
use super::check::Wrong;

/// Brackets within each other at most: the parser takes stack for each.
const DEPTH_MAX: usize = 16;

/// An expression as it was written.
pub(super) struct Parsed<'t> {
    pub(super) root: IdedExpr,
    pub(super) places: Places<'t>,
}

/// Where the nodes of an expression stand in its text.
pub(super) struct Places<'t> {
    text: &'t str,
    info: SourceInfo,
}

/// Parses a text.
///
/// # Errors
/// What is wrong with its syntax.
pub(super) fn parse(text: &str) -> Result<Parsed<'_>, Vec<Wrong>> {
    check_size(text).map_err(|wrong| vec![wrong])?;
    match cel::parser::Parser::new().parse_with_source_info(text) {
        Ok((root, info)) => Ok(Parsed {
            root,
            places: Places { text, info },
        }),
        Err(errors) => {
            let mut wrong: Vec<Wrong> = Vec::new();
            for error in errors.errors {
                let at = byte_at(text, error.pos);
                // One mistake often leads to further ones behind it.
                if wrong.is_empty() {
                    wrong.push(syntax(text, at, &error.msg));
                }
            }
            Err(wrong)
        }
    }
}

/// What the parser cannot be asked.
fn check_size(text: &str) -> Result<(), Wrong> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("a condition has at most {TEXT_BYTES_MAX} bytes");
        return Err(Wrong::new(0..text.len(), message));
    }
    if let Some((at, control)) = text
        .char_indices()
        .find(|(_, char)| char.is_control() && !char.is_whitespace())
    {
        let place = at..at + control.len_utf8();
        return Err(Wrong::new(
            place,
            "this character cannot stand in a condition",
        ));
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // A choice nests as a bracket does. Those within texts are counted too.
            b'(' | b'[' | b'{' | b'?' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(
                Wrong::new(at..at + 1, "the condition is too deep").help(format!(
                    "at most {DEPTH_MAX} brackets and choices stand within each other"
                )),
            );
        }
    }
    Ok(())
}

/// The byte at a line and column of the parser, both from 1, the column in characters.
fn byte_at(text: &str, (line, column): (isize, isize)) -> usize {
    let (line, column) = (line.max(1) as usize, column.max(1) as usize);
    let start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = text.get(start..).unwrap_or_default();
    let within = rest.char_indices().nth(column - 1);
    start + within.map_or(rest.len(), |(at, _)| at)
}

/// The parser's message, in our words where it has none that helps.
fn syntax(text: &str, at: usize, message: &str) -> Wrong {
    let rest = text.get(at..).unwrap_or_default();
    let next = rest.chars().next().map_or(0, char::len_utf8);
    let word = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count();
    let place = at..at + next.max(word);
    let written = rest.get(..next.max(word)).unwrap_or_default();
    if rest.trim().is_empty() {
        return Wrong::new(at..at, "the condition ends too early")
            .help("something is missing behind an operator, or a bracket is not closed");
    }
    if message.starts_with("invalid argument to has()") {
        return Wrong::new(place, "`has` asks for one part of `request` or `caller`")
            .help("such as `has(caller.signed_in_age)`");
    }
    if message.starts_with("invalid int literal") {
        return Wrong::new(place, format!("`{written}` is too large a number"));
    }
    let wrong = Wrong::new(place, format!("`{written}` is not expected here"));
    match written {
        "=" => wrong.help("`==` compares"),
        "&" => wrong.help("`&&` is true when both sides are"),
        "|" => wrong.help("`||` is true when either side is"),
        "and" => wrong.help("did you mean `&&`?"),
        "or" => wrong.help("did you mean `||`?"),
        "'" | "\"" => wrong.help("the text is not closed, or has an escape that CEL does not know"),
        _ => wrong,
    }
}

impl Places<'_> {
    /// Where a node's own token stands: an operator, a name, a literal.
    pub(super) fn token(&self, node: &IdedExpr) -> Range<usize> {
        let length = self.text.len();
        let (start, last) = self.info.offset_for(node.id).unwrap_or_default();
        let start = (start as usize).min(length);
        start..(last as usize + 1).clamp(start, length)
    }

    /// Where the name of a field or function stands that belongs to a node.
    pub(super) fn name(&self, node: &IdedExpr, name: &str) -> Range<usize> {
        let token = self.token(node);
        let after = self.text.get(token.end..).and_then(|rest| rest.find(name));
        let before = self
            .text
            .get(..token.start)
            .and_then(|text| text.rfind(name));
        match (&node.expr, before, after) {
            // The token of a call is its bracket, that of a field the point before it.
            (Expr::Call(_), Some(at), _) => at..at + name.len(),
            (Expr::Select(_), _, Some(at)) => token.end + at..token.end + at + name.len(),
            _ => token,
        }
    }

    /// All of a node.
    pub(super) fn whole(&self, node: &IdedExpr) -> Range<usize> {
        let mut place = self.token(node);
        let mut include = |part: Range<usize>| {
            place = place.start.min(part.start)..place.end.max(part.end);
        };
        let mut is_bracket = false;
        match &node.expr {
            Expr::Call(call) => {
                let parts = call.target.iter().map(AsRef::as_ref).chain(&call.args);
                parts.for_each(|part| include(self.whole(part)));
                let is_name = call
                    .func_name
                    .starts_with(|char: char| char.is_ascii_alphabetic());
                if is_name {
                    include(self.name(node, &call.func_name));
                }
                is_bracket = is_name || call.func_name == cel::common::ast::operators::INDEX;
            }
            Expr::Select(select) => {
                include(self.whole(&select.operand));
                if select.test {
                    include(self.name(node, "has"));
                    is_bracket = true;
                } else {
                    include(self.name(node, &select.field));
                }
            }
            Expr::List(list) => {
                list.elements
                    .iter()
                    .for_each(|part| include(self.whole(part)));
                is_bracket = true;
            }
            _ => {}
        }
        if is_bracket {
            let rest = self.text.get(place.end..).unwrap_or_default();
            place.end += rest.find([')', ']']).map_or(0, |at| at + 1);
        }
        place
    }

    /// What stands at a place.
    pub(super) fn text(&self, place: Range<usize>) -> &str {
        self.text.get(place).unwrap_or_default()
    }
}

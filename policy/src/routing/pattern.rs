//! A route's match: a method and a pattern of segments.

use std::ops::Range;

use super::SEGMENTS_MAX;

/// Bytes of a pattern at most.
pub const PATTERN_BYTES_MAX: usize = 2048;

/// A request's method as the routes tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Method {
    /// GET, and HEAD, which is decided as GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// Any other, which only `*` matches; in a route: every method.
    Any,
}

impl Method {
    /// How many there are.
    pub const COUNT: usize = 7;
    /// What a document may say.
    pub const NAMES: [&'static str; Self::COUNT] =
        ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*"];

    /// The method that a document means; nothing when it may not say so.
    pub fn of_route(text: &str) -> Option<Self> {
        let place = Self::NAMES.iter().position(|name| *name == text)?;
        Self::from_code(u8::try_from(place).ok()?)
    }

    /// The method of a request.
    pub fn of_request(text: &str) -> Self {
        match text {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Any,
        }
    }

    /// From its number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        use Method::{Any, Delete, Get, Options, Patch, Post, Put};
        [Get, Post, Put, Patch, Delete, Options, Any]
            .get(usize::from(code))
            .copied()
    }
}

/// A segment of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'p> {
    /// Exactly this.
    Literal(&'p str),
    /// Any one segment, under a name.
    Parameter(&'p str),
    /// Everything that is left, nothing included.
    Tail,
}

/// What is wrong with a pattern, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// Bytes of the pattern.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: &'static str,
    /// What is possible.
    pub help: &'static str,
}

/// The segments of a pattern such as `/v1/clusters/{cluster}/**`.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(pattern: &str) -> Result<Vec<Segment<'_>>, BadPattern> {
    let mut segments = Vec::new();
    parse_into(pattern, &mut segments)?;
    Ok(segments)
}

/// As [`parse`], in place of what `segments` had.
pub(super) fn parse_into<'p>(
    pattern: &'p str,
    segments: &mut Vec<Segment<'p>>,
) -> Result<(), BadPattern> {
    segments.clear();
    let bad = |at: Range<usize>, message, help| Err(BadPattern { at, message, help });
    let whole = 0..pattern.len();
    if pattern.len() > PATTERN_BYTES_MAX {
        return bad(
            whole,
            "the pattern is too long",
            "a pattern has at most 2048 bytes",
        );
    }
    let Some(rest) = pattern.strip_prefix('/') else {
        return bad(
            whole,
            "a pattern starts with `/`",
            "write the path from its root",
        );
    };
    if rest.is_empty() {
        return Ok(());
    }
    let mut start = 1;
    for text in rest.split('/') {
        let at = start..start + text.len();
        start = at.end + 1;
        if segments.last() == Some(&Segment::Tail) {
            return bad(
                at,
                "nothing can follow `**`",
                "`**` is the last segment: it matches all that is left",
            );
        }
        if text.is_empty() {
            let help = "paths are normalised: no doubled slash, none at the end";
            return bad(at.start - 1..at.end, "an empty segment never matches", help);
        }
        let segment = match segment(text) {
            Ok(segment) => segment,
            Err((message, help)) => return bad(at, message, help),
        };
        if let Segment::Parameter(name) = segment
            && segments.contains(&Segment::Parameter(name))
        {
            return bad(
                at,
                "a parameter's name stands twice in one pattern",
                "give each its own name",
            );
        }
        segments.push(segment);
    }
    if segments.len() > SEGMENTS_MAX {
        return bad(
            whole,
            "the pattern has too many segments",
            "a path has at most 64 segments",
        );
    }
    Ok(())
}

fn segment(text: &str) -> Result<Segment<'_>, (&'static str, &'static str)> {
    if text == "**" {
        return Ok(Segment::Tail);
    }
    if let Some(name) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let first = name.bytes().next().unwrap_or(b'0');
        let word = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        return if word && first.is_ascii_alphabetic() {
            Ok(Segment::Parameter(name))
        } else {
            Err((
                "this is not a parameter's name",
                "a parameter is a whole segment, such as `{cluster}`",
            ))
        };
    }
    if text.contains(['{', '}']) {
        return Err((
            "a brace is not closed or not a whole segment",
            "a parameter is a whole segment, such as `{cluster}`",
        ));
    }
    if text.contains('*') {
        return Err((
            "a star is not a whole segment",
            "`{name}` matches one segment, `**` at the end all that is left",
        ));
    }
    if text == "." || text == ".." {
        return Err((
            "a dot segment never matches",
            "paths are normalised before they are matched",
        ));
    }
    if text.contains('%') {
        return Err((
            "an encoded octet cannot stand in a pattern",
            "paths are decoded before they are matched",
        ));
    }
    if text.contains(['?', '#']) {
        return Err((
            "a query is not part of a pattern",
            "name a query parameter with `cluster: { query: … }`",
        ));
    }
    if text.bytes().all(is_path_byte) {
        Ok(Segment::Literal(text))
    } else {
        Err((
            "this character cannot stand in a path",
            "a segment has letters, digits and `-._~!$&'()+,=:@`",
        ))
    }
}

/// `pchar` of RFC 3986 without `%`, `*` and `;`.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte)
}

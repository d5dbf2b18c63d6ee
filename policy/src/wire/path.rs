//! Paths and queries, read once and one way, so that the gate and the upstream cannot read two different ones.
//!
//! A path comes out with its unreserved octets decoded, its other encodings in upper case, doubled slashes merged and
//! dot segments resolved (RFC 3986, section 6.2.2). What two readers could take for two paths is refused instead:
//! an encoded slash, a backslash, `;`, a second layer of encoding, control characters, octets that are no UTF-8, and
//! dot segments that climb above the root. The normalised path is what is decided on, recorded and forwarded.

use std::{borrow::Cow, fmt};

/// Longest path that is read, in bytes.
pub const PATH_BYTES_MAX: usize = 8 * 1024;
/// Longest query that is read, in bytes.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;
/// Most parameters in a query.
pub const QUERY_PARAMETERS_MAX: usize = 512;

/// What is wrong with a path or a query, and where: the place is a byte offset into what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath {
    /// What is wrong, in a few words.
    pub what: &'static str,
    /// Where, counted from 0.
    pub at: usize,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// Whether a path is one of the gate's own pages, whoever may see it.
pub fn is_own(path: &str) -> bool {
    path == "/-" || path.starts_with("/-/")
}

/// The one reading of a path, still percent-encoded where an octet is not unreserved.
///
/// # Errors
/// When the path is ambiguous or malformed; the caller answers 400.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if path.len() > PATH_BYTES_MAX {
        return Err(BadPath {
            what: "the path is too long",
            at: PATH_BYTES_MAX,
        });
    }
    if !path.starts_with('/') {
        return Err(BadPath {
            what: "the path does not start with a slash",
            at: 0,
        });
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(path)?;
    resolve_segments(&decoded).map(Cow::Owned)
}

/// Whether nothing in the path could change: only unreserved octets and harmless delimiters, no dot at the start
/// of a segment, no doubled slash.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let plain = match byte {
            b'/' | b'.' => previous != b'/',
            _ => is_unreserved(byte) || is_path_delimiter(byte),
        };
        if !plain {
            return false;
        }
        previous = byte;
    }
    true
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a segment may hold as it is besides unreserved octets: `pchar` of RFC 3986 without `;`.
fn is_path_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
    )
}

/// Why an octet must not be in a path, whether raw or encoded.
fn objection(octet: u8) -> Option<&'static str> {
    match octet {
        b'\\' => Some("a backslash"),
        b';' => Some("a semicolon"),
        0 => Some("a NUL"),
        0x01..=0x1f | 0x7f => Some("a control character"),
        _ => None,
    }
}

/// Decodes unreserved octets, writes every other encoding in upper case and encodes what may not stand raw.
/// Slashes and dots are still as they came (a decoded dot included).
fn decode_unreserved(path: &str) -> Result<String, BadPath> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut octets = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let encoded = byte == b'%';
        let octet = if encoded {
            encoded_octet(bytes, at)?
        } else {
            byte
        };
        if let Some(what) = objection(octet) {
            return Err(BadPath { what, at });
        }
        if encoded && octet == b'/' {
            return Err(BadPath {
                what: "an encoded slash",
                at,
            });
        }
        // `%252F` is `%2F` to whoever decodes twice. The digit after it may itself have been encoded, so this looks
        // at what has been written, not at what came.
        let follows_percent = out.ends_with(b"%25");
        if is_unreserved(octet) || (!encoded && (octet == b'/' || is_path_delimiter(octet))) {
            if follows_percent && octet.is_ascii_hexdigit() {
                return Err(BadPath {
                    what: "a second layer of percent-encoding",
                    at,
                });
            }
            out.push(octet);
        } else if !encoded && matches!(octet, b'?' | b'#' | b' ') {
            return Err(BadPath {
                what: "a character that no path has",
                at,
            });
        } else {
            push_encoded(&mut out, octet);
        }
        octets.push(octet);
        at += if encoded { 3 } else { 1 };
    }
    if let Err(error) = std::str::from_utf8(&octets) {
        return Err(BadPath {
            what: "octets that are not UTF-8",
            at: source_offset(bytes, error.valid_up_to()),
        });
    }
    // Only ASCII was written.
    String::from_utf8(out).map_err(|_| BadPath {
        what: "octets that are not UTF-8",
        at: 0,
    })
}

/// The octet of a `%XX` that starts at `at`.
fn encoded_octet(bytes: &[u8], at: usize) -> Result<u8, BadPath> {
    let digit = |offset: usize| {
        bytes
            .get(at + offset)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    match (digit(1), digit(2)) {
        (Some(high), Some(low)) => u8::try_from(high * 16 + low).map_err(|_| BadPath {
            what: "a bad percent-encoding",
            at,
        }),
        _ => Err(BadPath {
            what: "a bad percent-encoding",
            at,
        }),
    }
}

fn push_encoded(out: &mut Vec<u8>, octet: u8) {
    let digit = |value: u8| {
        char::from_digit(u32::from(value), 16).map_or(b'0', |c| c.to_ascii_uppercase() as u8)
    };
    out.extend_from_slice(&[b'%', digit(octet >> 4), digit(octet & 15)]);
}

/// Where the decoded octet number `octet` stands in the path as it came.
fn source_offset(bytes: &[u8], octet: usize) -> usize {
    let mut at = 0;
    for _ in 0..octet {
        at += if bytes.get(at) == Some(&b'%') { 3 } else { 1 };
    }
    at
}

/// Merges doubled slashes, then resolves `.` and `..`.
fn resolve_segments(path: &str) -> Result<String, BadPath> {
    let mut out = String::with_capacity(path.len());
    let mut open = false; // whether the last segment was removed, so that the path ends in a slash
    for segment in path.split('/').skip(1) {
        match segment {
            "" | "." => open = true,
            ".." => {
                let Some(parent) = out.rfind('/') else {
                    return Err(BadPath {
                        what: "dot segments that climb above the root",
                        at: 0,
                    });
                };
                out.truncate(parent);
                open = true;
            }
            _ => {
                out.push('/');
                out.push_str(segment);
                open = false;
            }
        }
    }
    if open || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

/// Reads from a query the parameters that a policy declares, decoded (`application/x-www-form-urlencoded`), in the
/// order of `declared`.
///
/// # Errors
/// When one of them stands there twice, in another spelling, behind a `;` that some readers split at, or badly encoded;
/// when the query has raw control characters or more than [`QUERY_PARAMETERS_MAX`] parameters.
pub fn declared_parameters(
    query: &str,
    declared: &[String],
) -> Result<Vec<(String, String)>, BadPath> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    if query.len() > QUERY_BYTES_MAX {
        return Err(BadPath {
            what: "the query is too long",
            at: QUERY_BYTES_MAX,
        });
    }
    if let Some(at) = query
        .bytes()
        .position(|byte| byte <= b' ' || byte == 0x7f || byte == b'#')
    {
        return Err(BadPath {
            what: "a character that no query has",
            at,
        });
    }
    let mut found: Vec<(String, String)> = Vec::new();
    if declared.is_empty() {
        return Ok(found);
    }
    for (number, pair) in pairs(query).enumerate() {
        if number >= QUERY_PARAMETERS_MAX {
            return Err(BadPath {
                what: "too many parameters",
                at: pair.at,
            });
        }
        let Some(name) = declared_name(pair, declared)? else {
            continue;
        };
        if found.iter().any(|(known, _)| known == name) {
            return Err(BadPath {
                what: "a repeated parameter",
                at: pair.at,
            });
        }
        let Some(value) = decode_form(pair.value) else {
            return Err(BadPath {
                what: "a parameter that is badly encoded",
                at: pair.at,
            });
        };
        found.push((name.to_owned(), value));
    }
    found.sort_by_key(|(name, _)| declared.iter().position(|known| known == name));
    Ok(found)
}

/// The query with the parameter `name` set to `value`: in its place if it is there, else at the end. Everything
/// else stays as it came.
pub fn with_parameter(query: &str, name: &str, value: &str) -> String {
    let mut out = String::with_capacity(query.len() + name.len() + value.len() + 2);
    let mut written = false;
    let separate = |out: &mut String| {
        if !out.is_empty() {
            out.push('&');
        }
    };
    for pair in pairs(query) {
        separate(&mut out);
        if decode_form(pair.name).as_deref() == Some(name) {
            push_form(&mut out, name, value);
            written = true;
        } else {
            out.push_str(pair.text);
        }
    }
    if !written {
        separate(&mut out);
        push_form(&mut out, name, value);
    }
    out
}

/// One `name=value` of a query as it came.
#[derive(Clone, Copy)]
struct Pair<'q> {
    text: &'q str,
    name: &'q str,
    value: &'q str,
    at: usize,
}

fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    let mut at = 0;
    query.split('&').filter_map(move |text| {
        let start = at;
        at += text.len() + 1;
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (!text.is_empty()).then_some(Pair {
            text,
            name,
            value,
            at: start,
        })
    })
}

/// The declared name of this pair, if it has one.
fn declared_name<'d>(pair: Pair<'_>, declared: &'d [String]) -> Result<Option<&'d str>, BadPath> {
    // Some readers split at `;` too: none of what they would read there may be a declared parameter.
    for hidden in pair.text.split(';').skip(1) {
        let name = hidden.split('=').next().unwrap_or(hidden);
        if matching(name, declared).is_some() {
            return Err(BadPath {
                what: "a declared parameter behind a semicolon",
                at: pair.at,
            });
        }
    }
    if declared.is_empty() {
        return Ok(None);
    }
    let Some(decoded) = decode_form(pair.name) else {
        return Err(BadPath {
            what: "a parameter whose name cannot be read",
            at: pair.at,
        });
    };
    let Some(name) = matching(pair.name, declared) else {
        return Ok(None);
    };
    if decoded != name {
        return Err(BadPath {
            what: "a declared parameter in another spelling",
            at: pair.at,
        });
    }
    Ok(Some(name))
}

/// The declared name that some reader could take an encoded one for.
fn matching<'d>(name: &str, declared: &'d [String]) -> Option<&'d str> {
    let name = folded(&decode_form(name)?);
    declared
        .iter()
        .map(String::as_str)
        .find(|known| folded(known) == name)
}

/// A parameter's name as the least careful readers have it: in any case, without what makes it one of several
/// (`name[]`, `name[0]`), with `.` and space as `_`.
fn folded(name: &str) -> String {
    let name = name.trim();
    let name = name.split('[').next().unwrap_or(name);
    name.trim_end()
        .chars()
        .map(|c| match c {
            '.' | ' ' | '-' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// Form-decodes a name or a value; `None` when an encoding is broken or the octets are not UTF-8 text without
/// control characters.
fn decode_form(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octet = match byte {
            b'%' => encoded_octet(bytes, at).ok()?,
            b'+' => b' ',
            _ => byte,
        };
        if octet < b' ' || octet == 0x7f {
            return None;
        }
        out.push(octet);
        at += if byte == b'%' { 3 } else { 1 };
    }
    String::from_utf8(out).ok()
}

fn push_form(out: &mut String, name: &str, value: &str) {
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 1);
    for (part, after) in [(name, Some(b'=')), (value, None)] {
        for &byte in part.as_bytes() {
            if is_unreserved(byte) {
                bytes.push(byte);
            } else {
                push_encoded(&mut bytes, byte);
            }
        }
        bytes.extend(after);
    }
    out.extend(bytes.into_iter().map(char::from));
}

#[cfg(test)]
mod tests;

//! What is wrong with a body or a query, without a word of the caller's in it: serde's messages quote what was sent, and
//! that may be a password. Only names that the type itself has are told, and what it expects.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    /// The field or parameter, where there is one to name.
    place: Option<String>,
    what: String,
    /// Line and column, from 1.
    position: Option<(usize, usize)>,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "`{place}`: ")?;
        }
        f.write_str(&self.what)?;
        match self.position {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

/// A body of JSON, and nothing after it.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Slip> {
    // serde takes an array for a struct's fields in their order; here every body is an object.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Slip {
            place: None,
            what: "not of the right type, expected an object".to_owned(),
            position: None,
        });
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, error) = (error.path(), error.inner());
        if error.classify() != Category::Data {
            return not_json(error);
        }
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let end = format!(" at line {line} column {column}");
        Slip {
            position: Some((line, column)),
            ..slip(path, message.strip_suffix(&end).unwrap_or(&message))
        }
    })?;
    reader.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Slip {
    Slip {
        place: None,
        what: "not JSON".to_owned(),
        position: Some((error.line(), error.column())),
    }
}

/// A query's parameters.
pub(super) fn query<T: DeserializeOwned>(query: &str) -> Result<T, Slip> {
    let parameters = form_urlencoded::parse(query.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(parameters);
    serde_path_to_error::deserialize(reader)
        .map_err(|error| slip(error.path(), &error.inner().to_string()))
}

fn slip(path: &Path, message: &str) -> Slip {
    let is_unknown = message.starts_with("unknown field `");
    let mut place: Vec<&Segment> = path.iter().collect();
    if is_unknown {
        // The field is the caller's word. What it is in is not: all of that was read as fields of the type.
        place.pop();
    }
    let place: Vec<String> = place.iter().filter_map(|segment| named(segment)).collect();
    let place = place.join(".").replace(".[", "[");
    Slip {
        place: Some(place).filter(|place| !place.is_empty()),
        what: what(message),
        position: None,
    }
}

fn named(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(format!("[{index}]")),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// The part of serde's message that the type alone decides.
fn what(message: &str) -> String {
    if ["missing field `", "duplicate field `"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return message.to_owned();
    }
    let kinds = [
        ("unknown field `", "an unknown field"),
        ("unknown variant `", "an unknown word"),
        ("invalid type: ", "not of the right type"),
        ("invalid value: ", "not a value that it takes"),
        ("invalid length ", "not of the right length"),
    ];
    let kind = kinds.iter().find(|(start, _)| message.starts_with(start));
    let Some((_, said)) = kind else {
        return "not a value that it takes".to_owned();
    };
    // What serde expects is the last thing that it says.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if !NOTHING_EXPECTED.iter().any(|end| message.ends_with(end)) => {
            format!("{said}, expected {expected}")
        }
        _ => (*said).to_owned(),
    }
}

/// How serde ends where a type has nothing to expect: all before it may be the caller's.
const NOTHING_EXPECTED: [&str; 2] = ["there are no fields", "there are no variants"];

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use secrecy::SecretString;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Body {
        password: SecretString,
        #[serde(default)]
        ends_at: Option<Timestamp>,
        #[serde(default)]
        ids: Vec<String>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {}

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Parameters {
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        state: Option<State>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        Active,
        Revoked,
    }

    const SECRET: &str = "4711471147";

    #[test]
    fn a_body_is_told_by_its_fields_and_never_by_its_values() {
        for (body, told) in [
            (
                r#"{"password":4711471147}"#,
                "`password`: not of the right type, expected a string at line 1 column 22",
            ),
            (
                r#"{"password":"","ids":["a",4711471147]}"#,
                "`ids[1]`: not of the right type, expected a string at line 1 column 36",
            ),
            (
                r#"{"password":"","ends_at":"4711471147, expected 4711471147"}"#,
                "`ends_at`: not a value that it takes at line 1 column 58",
            ),
            (
                r#"{"4711471147":1}"#,
                "an unknown field, expected one of `password`, `ends_at`, `ids`, `inner` at line 1 column 13",
            ),
            (
                r#"{"x`, expected 4711471147 at line 4711471147":1}"#,
                "an unknown field, expected one of `password`, `ends_at`, `ids`, `inner` at line 1 column 45",
            ),
            (
                r#"{"password":"","inner":{", expected 4711471147":1}}"#,
                "`inner`: an unknown field at line 1 column 47",
            ),
            ("{}", "missing field `password` at line 1 column 2"),
            (
                r#"{"password":"","password":"4711471147"}"#,
                "duplicate field `password` at line 1 column 25",
            ),
            (
                r#"{"password":"4711471147""#,
                "not JSON at line 1 column 24",
            ),
            (
                r#"{"password":""}4711471147"#,
                "not JSON at line 1 column 16",
            ),
        ] {
            let slip = json::<Body>(body.as_bytes()).unwrap_err().to_string();
            assert!(!slip.contains(SECRET), "{slip}");
            assert_eq!(slip, told, "{body}");
        }
        let list = json::<Inner>(b" []").unwrap_err().to_string();
        assert_eq!(list, "not of the right type, expected an object");
        json::<Body>(br#" {"password":"x"} "#).unwrap();
    }

    #[test]
    fn a_query_is_told_by_its_parameters_and_never_by_their_values() {
        for (text, told) in [
            (
                "limit=4711471147471147",
                "`limit`: not a value that it takes",
            ),
            (
                "state=4711471147",
                "`state`: an unknown word, expected `active` or `revoked`",
            ),
            (
                "4711471147=1",
                "an unknown field, expected `limit` or `state`",
            ),
            ("limit=1&limit=4711471147", "duplicate field `limit`"),
        ] {
            let slip = query::<Parameters>(text).unwrap_err().to_string();
            assert!(!slip.contains(SECRET), "{slip}");
            assert_eq!(slip, told, "{text}");
        }
        query::<Parameters>("limit=3&state=active").unwrap();
    }
}

//! JSON, read strictly: a text in which one name stands twice in an object means different things to different
//! readers, so it is refused. Values keep their own text, so that no number loses a digit on the way through.

use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of an object, in their order, each value as its own text.
pub(crate) type Members<'t> = Vec<(Cow<'t, str>, &'t RawValue)>;

/// Checks the whole text: one JSON value, nothing after it, no name twice in one object at any depth, and not
/// deeper than serde_json's bound of 128.
///
/// # Errors
/// What is wrong with it, for the log; no value of the text is in the message.
pub(crate) fn check(text: &str) -> Result<(), String> {
    serde_json::from_str::<Strict>(text)
        .map(drop)
        .map_err(|error| place(&error))
}

/// The members of the object that this text is; `None` when it is something else.
pub(crate) fn members(text: &RawValue) -> Option<Members<'_>> {
    let mut reader = serde_json::Deserializer::from_str(text.get());
    reader.deserialize_map(MembersVisitor(PhantomData)).ok()
}

/// The elements of the array that this text is; `None` when it is something else.
pub(crate) fn elements(text: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text.get()).ok()
}

/// What a JSON Pointer (RFC 6901) points to.
pub(crate) fn point<'t>(text: &'t RawValue, pointer: &str) -> Option<&'t RawValue> {
    tokens(pointer).try_fold(text, |at, token| {
        if at.get().starts_with('[') {
            // No sign, no leading zero: RFC 6901, section 4.
            let index: usize = token
                .parse()
                .ok()
                .filter(|index: &usize| index.to_string() == token)?;
            elements(at)?.get(index).copied()
        } else {
            members(at)?
                .into_iter()
                .find(|(name, _)| *name == token)
                .map(|(_, value)| value)
        }
    })
}

/// The reference tokens of a JSON Pointer, unescaped.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer
        .split('/')
        .skip(1)
        .map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// serde_json's message without the part that may quote the text.
fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "a name stands twice in an object",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "it is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Strict, A::Error> {
        while elements.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut names = HashSet::new();
        while let Some(Name(name)) = members.next_key()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name stands twice"));
            }
            members.next_value::<Strict>()?;
        }
        Ok(Strict)
    }
}

/// A member's name, borrowed from the text where it has no escapes.
#[derive(Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

struct MembersVisitor<'t>(PhantomData<&'t ()>);

impl<'t> Visitor<'t> for MembersVisitor<'t> {
    type Value = Members<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<Members<'t>, A::Error> {
        let mut members = Members::new();
        while let Some((Name(name), value)) = entries.next_entry()? {
            members.push((name, value));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_name_twice_is_refused_at_every_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"a":1,"b":[],"a":null}}]"#,
            r#"{"":1,"":2}"#,
        ] {
            assert!(check(text).unwrap_err().contains("twice"), "{text}");
        }
        check(r#"{"a":1,"A":2,"b":{"a":1}}"#).unwrap();
    }

    #[test]
    fn only_one_whole_value_passes() {
        for text in [
            "",
            " ",
            "{",
            "[1,",
            "{} {}",
            "nul",
            "\u{feff}{}",
            "NaN",
            "{'a':1}",
            "[1,]",
            r#""\ud800""#,
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(check(&deep).is_err());
    }

    #[test]
    fn messages_quote_nothing() {
        let message = check(r#"{"secret": secret}"#).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        let text = raw(r#"{"a/b":{"m~n":[{"id":"x"},7]},"":1}"#);
        let at = |pointer| point(text, pointer).map(RawValue::get);
        assert_eq!(at("/a~1b/m~0n/0/id"), Some("\"x\""));
        assert_eq!(at("/a~1b/m~0n/1"), Some("7"));
        assert_eq!(at("/"), Some("1"));
        assert_eq!(at("/a~1b/m~0n/01"), None);
        assert_eq!(at("/a~1b/m~0n/+1"), None);
        assert_eq!(at("/nothing"), None);
        assert_eq!(at("").map(str::len), Some(text.get().len()));
    }
}

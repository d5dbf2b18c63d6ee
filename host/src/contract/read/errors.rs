//! Reads `errors`: the shape of the body, and the product's own words.

use std::collections::BTreeMap;

use http::HeaderValue;
use scopegate_policy::yaml::{Entry, Fields, Reader};

use super::placeholders::{check, check_words, json};
use crate::cause::CODES;
use crate::contract::Errors;

const ERROR_WORDS: [&str; 7] = [
    "type", "title", "status", "detail", "code", "instance", "text",
];

/// The shape of errors.
pub(super) fn shape(reader: &Reader, errors: &Fields<'_>) -> Option<Errors> {
    let realm = errors.required_text("realm");
    if let Some(realm) = realm.filter(|realm| {
        !realm
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\')
    }) {
        reader
            .problem(
                realm.span,
                "a realm is printable ASCII without quotes and backslashes",
            )
            .help("it stands in quotes in the WWW-Authenticate header");
    }
    let content_type = errors.required_text("content_type");
    if let Some(content_type) =
        content_type.filter(|text| !text.contains('/') || HeaderValue::from_str(text).is_err())
    {
        reader
            .problem(
                content_type.span,
                format!("`{content_type}` is not a content type"),
            )
            .help("write one such as `application/json`");
    }
    let body = errors.required("body");
    let used = body
        .map(|body| check(reader, body, &ERROR_WORDS))
        .unwrap_or_default();
    let texts = errors
        .entries("texts")
        .map(|entries| texts(reader, entries))
        .unwrap_or_default();
    if !texts.is_empty() && !used.iter().any(|word| word == "text") {
        errors
            .problem("texts", "these texts are never shown")
            .help("put `\"{text}\"` into the body, or leave them out");
    }
    errors.required("several_credentials");
    let several = errors.integer("several_credentials", 400..=401);
    Some(Errors {
        realm: realm?.to_string(),
        content_type: content_type?.to_string(),
        body: json(body?)?,
        texts,
        several_credentials_401: several? == 401,
    })
}

/// The product's own words, by code or status.
fn texts(reader: &Reader, entries: &[Entry]) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for Entry { key, value } in entries {
        let status = key
            .text
            .parse::<u16>()
            .is_ok_and(|status| (400..=599).contains(&status));
        if !status && !CODES.contains(&key.text.as_str()) {
            let slot = reader.problem(
                key.span,
                format!("`{}` is neither a code nor a status", key.text),
            );
            slot.suggest(&key.text, CODES);
        }
        let Some(text) = reader.text(value, &format!("`{}`", key.text)) else {
            continue;
        };
        let words: &[&str] = match key.text.as_str() {
            "missing-permission" => &["permission"],
            "cluster-not-allowed" | "agent-outside-cluster" => &["cluster"],
            _ => &[],
        };
        check_words(reader, text, words);
        texts.insert(key.text.clone(), text.to_string());
    }
    texts
}

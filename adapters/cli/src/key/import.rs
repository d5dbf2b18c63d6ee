//! Keys that were minted elsewhere, as a file names them: one JSON object a line, or a list of them.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use scopegate_host::admin::ImportedKey;
use serde_json::Value;

use crate::failure::Failure;

/// Reads the file, or standard input for `-`.
pub(super) fn read(file: &Path) -> Result<Vec<ImportedKey>> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin()
            .read_to_string(&mut text)
            .context("the keys cannot be read from standard input")?;
    } else {
        text = fs::read_to_string(file)
            .with_context(|| format!("the keys cannot be read from `{}`", file.display()))?;
    }
    parse(&text).map_err(|why| {
        Failure::new(why)
            .help("`scopegate key import --help` shows what a key looks like")
            .into()
    })
}

/// The keys, or what is wrong and where.
fn parse(text: &str) -> Result<Vec<ImportedKey>, String> {
    if text.trim_start().starts_with('[') {
        let list: Vec<Value> =
            serde_json::from_str(text).map_err(|error| format!("the list is not JSON: {error}"))?;
        let keys = list.into_iter().enumerate();
        let key = |(index, value)| key(value).map_err(|why| format!("key {}: {why}", index + 1));
        return keys.map(key).collect();
    }
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let key = |(index, line): (usize, &str)| {
        let value = serde_json::from_str(line).map_err(|error| error.to_string());
        value
            .and_then(key)
            .map_err(|why| format!("line {}: {why}", index + 1))
    };
    lines.map(key).collect()
}

/// A key, whose expiry may be a moment as `key list` prints it.
fn key(mut value: Value) -> Result<ImportedKey, String> {
    if let Some(expiry) = value.get_mut("expires_at")
        && let Some(text) = expiry.as_str()
    {
        let moment: Timestamp = text
            .parse()
            .map_err(|_| format!("`expires_at` is not a moment: `{text}`"))?;
        *expiry = moment.as_second().into();
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_lists_are_the_same() {
        let lines = "{\"name\":\"a\",\"sha256\":\"00\",\"expires_at\":\"1970-01-01T00:01:00Z\"}\n\n{\"name\":\"b\",\"sha256\":\"01\",\"expires_at\":60}\n";
        let list = format!(
            "\n [{}]",
            lines.split_whitespace().collect::<Vec<_>>().join(",")
        );
        let keys = parse(lines).unwrap();
        assert_eq!(keys, parse(&list).unwrap());
        let seen: Vec<_> = keys
            .iter()
            .map(|key| (key.name.as_str(), key.expires_at))
            .collect();
        assert_eq!(seen, [("a", Some(60)), ("b", Some(60))]);
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, place) in [
            (
                "{\"name\":\"a\",\"sha256\":\"00\"}\n{\"name\":1}",
                "line 2:",
            ),
            ("{\"name\":\"a\"}", "line 1: missing field `sha256`"),
            (
                "[{\"name\":\"a\",\"sha256\":\"00\",\"scope\":[]}]",
                "key 1: unknown field `scope`",
            ),
            (
                "{\"name\":\"a\",\"sha256\":\"00\",\"expires_at\":\"soon\"}",
                "line 1: `expires_at`",
            ),
            ("[1", "the list is not JSON"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(place), "{why}");
        }
    }
}

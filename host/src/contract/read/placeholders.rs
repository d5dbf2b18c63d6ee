//! Parts of a contract that are templates: JSON and texts with placeholders.

use scopegate_policy::yaml::{Node, Reader, Text, Value as Yaml, did_you_mean};
use serde_json::Value;

use crate::contract::template;

/// Checks the placeholders of every text below a node, and gives those that it uses.
pub(super) fn check(reader: &Reader, node: &Node, words: &[&str]) -> Vec<String> {
    match &node.value {
        Yaml::Scalar(_) => match node.as_text() {
            Some(text) => {
                check_words(reader, text, words);
                template::placeholders(&text).map(str::to_owned).collect()
            }
            None => Vec::new(),
        },
        Yaml::List(items) => items
            .iter()
            .flat_map(|item| check(reader, item, words))
            .collect(),
        Yaml::Map(entries) => entries
            .iter()
            .flat_map(|e| check(reader, &e.value, words))
            .collect(),
    }
}

/// Checks the placeholders of one text.
pub(super) fn check_words(reader: &Reader, text: Text<'_>, words: &[&str]) {
    for name in template::placeholders(&text).filter(|name| !words.contains(name)) {
        let slot = reader.problem(text.span, format!("`{{{name}}}` is not a placeholder here"));
        match did_you_mean(name, words.iter().copied()) {
            Some(meant) => slot.help(format!("did you mean `{{{meant}}}`?")),
            None if words.is_empty() => slot.help("there is none here"),
            None => {
                let list: Vec<String> = words.iter().map(|word| format!("`{{{word}}}`")).collect();
                slot.help(format!("there are {}", list.join(", ")));
            }
        }
    }
}

/// The JSON that a part of the YAML stands for.
pub(super) fn json(node: &Node) -> Option<Value> {
    serde_json::to_value(node).ok()
}

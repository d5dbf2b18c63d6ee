//! Results as TAP 14 (<https://testanything.org/tap-version-14-specification.html>): one line for each case, and after one
//! that failed a block of YAML that says why.

use serde_json::json;

use super::{difference, results::Results};

pub(super) fn render(results: &Results<'_>) -> String {
    let mut points: Vec<(bool, String, Vec<String>)> = Vec::new();
    for broken in results.broken {
        let why = broken.to_string();
        points.push((
            false,
            format!("{} can be read", broken.source().name()),
            vec![entry("message", &why)],
        ));
    }
    for (file, ran) in &results.files {
        for ran in ran {
            let case = ran.case;
            let name = format!(
                "{} {}: {} asks for {}",
                case.place(),
                case.name,
                case.caller,
                case.request
            );
            let difference = difference::of(file, ran);
            let mut block = Vec::new();
            if let Some(difference) = &difference {
                block.push(entry("message", difference.heading));
                for field in &difference.fields {
                    block.push(format!("{}:", field.name));
                    block.push(format!("  {}", entry("expected", &field.expected)));
                    block.push(format!("  {}", entry("got", &field.got)));
                }
                block.push(entry("by", &difference.because));
            }
            points.push((difference.is_none(), name, block));
        }
    }
    for policy in &results.policies {
        for missed in &policy.missed {
            points.push((
                false,
                format!("{}: {missed}", policy.subject.name()),
                Vec::new(),
            ));
        }
    }
    let mut lines = vec!["TAP version 14".to_owned(), format!("1..{}", points.len())];
    for (index, (is_ok, name, block)) in points.iter().enumerate() {
        let word = if *is_ok { "ok" } else { "not ok" };
        lines.push(format!("{word} {} - {}", index + 1, escaped(name)));
        if !block.is_empty() {
            lines.push("  ---".to_owned());
            lines.extend(block.iter().map(|line| format!("  {line}")));
            lines.push("  ...".to_owned());
        }
    }
    lines.join("\n")
}

/// A line of YAML: a text of JSON is one of YAML too, on one line whatever is in it.
fn entry(key: &str, text: &str) -> String {
    format!("{key}: {}", json!(text))
}

/// `#` would begin a directive, and a line end another line.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\")
        .replace('#', "\\#")
        .replace(['\n', '\r'], " ")
}

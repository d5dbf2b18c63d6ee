//! Documents and test files with mistakes, and what is said of each: the place, what is wrong, what to do about it.

use std::collections::BTreeSet;

use scopegate_policy::{document, yaml::Report};

use super::read_alone;

/// Mistakes that must be shown, each another one.
const MISTAKES_MIN: usize = 60;

/// A file of sections: a title, what is broken, `---`, and what is said of it.
struct Sections {
    name: &'static str,
    text: &'static str,
    said: fn(&str) -> String,
}

const ALL: [Sections; 2] = [
    Sections {
        name: "documents.txt",
        text: include_str!("broken/documents.txt"),
        said: |text| problems(document::compile("policy.yaml", text)),
    },
    Sections {
        name: "test_files.txt",
        text: include_str!("broken/test_files.txt"),
        said: |text| problems(read_alone(text)),
    },
];

impl Sections {
    /// The title of each, what is broken, and what is said of it.
    fn all(&self) -> Vec<(&str, &str, String)> {
        let sections = self.text.split("=== ").skip(1);
        let sections = sections.map(|section| {
            let (title, rest) = section.split_once('\n').unwrap();
            let (text, _) = rest.split_once("---\n").unwrap();
            (title, text, (self.said)(text))
        });
        sections.collect()
    }
}

/// `line:column message / help` of each problem.
pub(super) fn problems<T>(read: Result<T, Report>) -> String {
    let Err(report) = read else {
        return "nothing is wrong".to_owned();
    };
    let places = report.places().map(|place| {
        let help = place.help.map(|help| format!(" / {help}"));
        let help = help.unwrap_or_default();
        format!("{}:{} {}{help}", place.line, place.column, place.message)
    });
    places.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_mistake_is_shown_with_its_place_and_what_to_do() {
    for file in ALL {
        let sections = file.all().into_iter();
        let shown = sections.map(|(title, text, said)| format!("=== {title}\n{text}---\n{said}\n"));
        let shown: String = shown.collect();
        // As with other snapshots: look at what changed before it is committed.
        if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            let path = format!(
                "{}/src/trial/tests/broken/{}",
                env!("CARGO_MANIFEST_DIR"),
                file.name
            );
            std::fs::write(path, shown).unwrap();
            continue;
        }
        assert_eq!(shown, file.text, "{} should be:\n{shown}", file.name);
    }
}

#[test]
fn there_are_many_mistakes_and_each_is_another() {
    let mut titles = BTreeSet::new();
    let mut messages = BTreeSet::new();
    for file in &ALL {
        for (title, _, said) in file.all() {
            assert!(titles.insert(title.to_owned()), "`{title}` is there twice");
            assert_ne!(said, "nothing is wrong", "{title}");
            let said = said.lines().map(without_names);
            messages.extend(said);
        }
    }
    println!("{} examples, {} messages", titles.len(), messages.len());
    assert!(titles.len() >= MISTAKES_MIN, "{} examples", titles.len());
    assert!(
        messages.len() >= MISTAKES_MIN,
        "{} messages",
        messages.len()
    );
}

/// A message without its place and without what it quotes, as far as the help.
fn without_names(line: &str) -> String {
    let (_, message) = line.split_once(' ').unwrap_or(("", line));
    let message = message.split(" / ").next().unwrap_or_default();
    message.split('`').step_by(2).collect::<Vec<_>>().join("…")
}

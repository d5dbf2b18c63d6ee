//! Reads a tree, recording what is wrong and going on.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use annotate_snippets::normalize_untrusted_str;

use super::fields::Fields;
use super::node::{Entry, Node, Resolved, Text, Value, shorten};
use super::parse::parse;
use super::report::Report;
use super::source::{Source, Span};

/// Problems that are kept at most: nobody reads more, and a hostile text could have millions.
const PROBLEMS_MAX: usize = 1000;

/// Something wrong at a place: what, and perhaps what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// What is wrong: lower case, no full stop, the user's input in backticks.
    pub message: String,
    /// What was probably meant, or what is possible.
    pub help: Option<String>,
}

/// A source and the problems found in it so far. Reading takes `&self` throughout.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    problems: RefCell<Vec<Problem>>,
}

/// The problem just recorded, to add a help to.
#[derive(Debug)]
pub struct ProblemSlot<'r> {
    reader: &'r Reader,
    index: usize,
}

impl ProblemSlot<'_> {
    /// Says what was probably meant, or what is possible.
    pub fn help(self, help: impl AsRef<str>) {
        if let Some(problem) = self.reader.problems.borrow_mut().get_mut(self.index) {
            problem.help = Some(normalize_untrusted_str(help.as_ref()));
        }
    }

    /// Says ``did you mean `…`?`` when one of the names resembles what was written.
    pub fn suggest<'n>(self, written: &str, names: impl IntoIterator<Item = &'n str>) {
        if let Some(name) = did_you_mean(written, names) {
            self.help(format!("did you mean `{name}`?"));
        }
    }
}

impl Reader {
    /// Parses a text; `name` is what reports call it, usually the path of its file.
    ///
    /// # Errors
    /// When the text is not YAML or exceeds the [`limits`](super::limits), so that there is no tree to read.
    pub fn open(name: impl Into<String>, text: impl Into<String>) -> Result<(Self, Node), Report> {
        let reader = Self {
            source: Source::new(name, text),
            problems: RefCell::default(),
        };
        match parse(&reader) {
            Some(root) => Ok((reader, root)),
            None => Err(reader.into_report()),
        }
    }

    /// The source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Records a problem.
    pub fn problem(&self, span: Span, message: impl AsRef<str>) -> ProblemSlot<'_> {
        let mut problems = self.problems.borrow_mut();
        let index = problems.len();
        if index < PROBLEMS_MAX {
            let message = normalize_untrusted_str(message.as_ref());
            problems.push(Problem {
                span,
                message,
                help: None,
            });
        }
        ProblemSlot {
            reader: self,
            index,
        }
    }

    /// Whether further problems are dropped.
    pub(super) fn is_full(&self) -> bool {
        self.problems.borrow().len() >= PROBLEMS_MAX
    }

    /// Whether a problem was recorded.
    pub fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The end of reading: the value when all is well.
    ///
    /// # Errors
    /// Every problem that was recorded. A missing value without a recorded problem is one as well.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Report> {
        match value {
            Some(value) if !self.has_problems() => Ok(value),
            Some(_) => Err(self.into_report()),
            None => {
                if !self.has_problems() {
                    self.problem(Span::default(), "the document could not be read");
                }
                Err(self.into_report())
            }
        }
    }

    fn into_report(self) -> Report {
        Report::new(self.source, self.problems.into_inner())
    }

    /// A map of known keys: others are problems. `what` names the map in messages, such as `a route`.
    pub fn fields<'r>(
        &'r self,
        node: &'r Node,
        what: &'r str,
        known: &[&str],
    ) -> Option<Fields<'r>> {
        let entries = self.entries(node, what)?;
        for Entry { key, .. } in entries {
            if !known.contains(&key.text.as_str()) {
                let slot = self.problem(
                    key.span,
                    format!("unknown key `{}` in {what}", shorten(&key.text)),
                );
                match did_you_mean(&key.text, known.iter().copied()) {
                    Some(name) => slot.help(format!("did you mean `{name}`?")),
                    None => slot.help(format!(
                        "known keys are {}",
                        list_of_names(known.iter().copied(), "and")
                    )),
                }
            }
        }
        Some(Fields::new(self, node.span, what, entries))
    }

    /// The entries of a map with keys of any name.
    pub fn entries<'n>(&self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => self.wrong(node, what, "a map"),
        }
    }

    /// The items of a list.
    pub fn list<'n>(&self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            Value::Scalar(scalar) if !node.is_null() => {
                let message = format!("{what} must be a list, not {}", node.in_words());
                self.problem(node.span, message)
                    .help(format!("put it in brackets: `[{}]`", shorten(&scalar.text)));
                None
            }
            _ => self.wrong(node, what, "a list"),
        }
    }

    /// A text. Numbers and booleans are not: they need quotes.
    pub fn text<'n>(&self, node: &'n Node, what: &str) -> Option<Text<'n>> {
        if let Some(text) = node.as_text() {
            return Some(text);
        }
        let slot = self.problem(
            node.span,
            format!("{what} must be text, not {}", node.in_words()),
        );
        if let (Value::Scalar(scalar), false) = (&node.value, node.is_null()) {
            slot.help(format!("put it in quotes: `\"{}\"`", scalar.text));
        }
        None
    }

    /// The texts of a list.
    pub fn texts<'n>(&self, node: &'n Node, what: &str) -> Option<Vec<Text<'n>>> {
        let items = self.list(node, what)?;
        Some(
            items
                .iter()
                .filter_map(|item| self.text(item, &format!("each of {what}")))
                .collect(),
        )
    }

    /// `true` or `false`.
    pub fn boolean(&self, node: &Node, what: &str) -> Option<bool> {
        if let Value::Scalar(scalar) = &node.value
            && let Resolved::Boolean(value) = scalar.resolve()
        {
            return Some(value);
        }
        self.wrong(node, what, "`true` or `false`")
    }

    /// A whole number within a range.
    pub fn integer(&self, node: &Node, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let Value::Scalar(scalar) = &node.value else {
            return self.wrong(node, what, "a whole number");
        };
        let Resolved::Integer(value) = scalar.resolve() else {
            return self.wrong(node, what, "a whole number");
        };
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = range.into_inner();
        let bounds = match (least, most) {
            (_, i64::MAX) => format!("at least {least}"),
            (i64::MIN, _) => format!("at most {most}"),
            _ => format!("from {least} to {most}"),
        };
        self.problem(node.span, format!("{what} must be {bounds}, not `{value}`"));
        None
    }

    /// A length of time in seconds, such as `90s`, `15m`, `24h` or `7d`.
    pub fn seconds(&self, node: &Node, what: &str) -> Option<u64> {
        let seconds = node.as_text().and_then(|text| {
            let (digits, unit) = text.text.split_at_checked(text.len().checked_sub(1)?)?;
            let factor = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            plain
                .then(|| digits.parse::<u64>().ok()?.checked_mul(factor))
                .flatten()
        });
        if seconds.is_none() {
            self.problem(
                node.span,
                format!("{what} must be a length of time, not {}", node.in_words()),
            )
            .help("write a whole number and a unit, such as `90s`, `15m`, `24h` or `7d`");
        }
        seconds
    }

    /// One of a closed set of words.
    pub fn choice<T: Clone>(&self, node: &Node, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text.text) {
            return Some(value.clone());
        }
        let names = || choices.iter().map(|(name, _)| *name);
        let slot = self.problem(
            text.span,
            format!("`{}` is not a value of {what}", shorten(&text)),
        );
        match did_you_mean(&text, names()) {
            Some(name) => slot.help(format!("did you mean `{name}`?")),
            None => slot.help(format!("it may be {}", list_of_names(names(), "or"))),
        }
        None
    }

    fn wrong<T>(&self, node: &Node, what: &str, expected: &str) -> Option<T> {
        self.problem(
            node.span,
            format!("{what} must be {expected}, not {}", node.in_words()),
        );
        None
    }
}

/// `` `a`, `b` or `c` ``.
fn list_of_names<'n>(names: impl Iterator<Item = &'n str>, joint: &str) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {joint} {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}

/// The name that resembles what was written most, if any resembles it.
pub fn did_you_mean<'n>(
    written: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    const CHARS_MAX: usize = 100; // the comparison is quadratic
    if written.len() > CHARS_MAX {
        return None;
    }
    let lower = written.to_lowercase();
    let apart = (lower.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter(|name| name.len() <= CHARS_MAX)
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= apart)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

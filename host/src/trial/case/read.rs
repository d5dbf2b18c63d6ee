//! Reading cases. Tables and lists expand into one case each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use scopegate_policy::permission;
use scopegate_policy::yaml::{Fields, Node, Reader, Span, Text, Value, did_you_mean};

use super::{Asked, Case, Outcome, REASONS};
use crate::trial::caller::Caller;
use crate::trial::file::{moment, one_or_more, suggest_or};
use crate::trial::subject::Subject;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const OUTCOMES: &str = "write `all`, `none`, a list of clusters, or the reason of a refusal, such as `not-authenticated`";

/// Cases of a file at most. Lists multiply, and a file may come from somebody who means no good.
const CASES_MAX: usize = 100_000;
/// What the requests of all cases take at most.
const CASES_BYTES_MAX: usize = 64 << 20;

/// What cases are read in.
pub(in crate::trial) struct Asking<'a> {
    pub(in crate::trial) reader: &'a Reader,
    pub(in crate::trial) subject: &'a Subject,
    pub(in crate::trial) callers: &'a BTreeMap<String, Caller>,
    /// The registered ones.
    pub(in crate::trial) clusters: &'a BTreeSet<String>,
    /// When cases happen that do not say it.
    pub(in crate::trial) now: i64,
}

/// Reads `cases` and `tables`.
pub(in crate::trial) fn read(asking: &Asking<'_>, fields: &Fields<'_>) -> Vec<Case> {
    let text = asking.reader.source().text();
    let mut cases = Cases {
        asking,
        line_starts: text.match_indices('\n').map(|(at, _)| at + 1).collect(),
        read: Vec::new(),
        bytes: 0,
        asked: BTreeMap::new(),
    };
    for node in fields.list("cases").unwrap_or_default() {
        cases.case(node);
    }
    for node in fields.list("tables").unwrap_or_default() {
        cases.table(node);
    }
    cases.read
}

struct Cases<'a> {
    asking: &'a Asking<'a>,
    /// Where each line but the first starts.
    line_starts: Vec<usize>,
    read: Vec<Case>,
    /// What their requests take.
    bytes: usize,
    /// What was asked by whom and when: the line and the answer.
    asked: BTreeMap<(String, Asked, i64), (usize, Outcome)>,
}

impl Cases<'_> {
    /// `{ name, caller, request, headers?, address?, now?, expect, about? }`, with lists for several callers or requests.
    fn case(&mut self, node: &Node) -> Option<()> {
        let reader = self.asking.reader;
        let known = [
            "name", "caller", "request", "headers", "address", "now", "expect", "about",
        ];
        let fields = reader.fields(node, "a case", &known)?;
        let name = fields.required_text("name");
        let callers = fields.required("caller");
        let requests = fields.required("request");
        let expected = fields.required("expect");
        let headers = self.headers(&fields);
        let address = self.address(&fields);
        let now = moment(reader, &fields).unwrap_or(self.asking.now);
        let about = fields.text("about");
        let expected = expected.and_then(|node| self.expected(node, about));
        let callers = one_or_more(reader, callers?, "`caller`");
        for caller in &callers {
            self.check_caller(*caller);
        }
        let requests = one_or_more(reader, requests?, "`request`");
        let bytes: usize = requests.iter().map(|text| text.len()).sum();
        let bytes = bytes.saturating_add(requests.len().saturating_mul(bytes_of(&headers)));
        let count = requests.len().saturating_mul(callers.len());
        self.check_room(node.span, count, bytes.saturating_mul(callers.len()))?;
        let requests: Vec<(Text<'_>, Asked)> = requests
            .into_iter()
            .filter_map(|text| Some((text, self.request(text, "", &headers)?)))
            .map(|(text, asked)| (text, Asked { address, ..asked }))
            .collect();
        let (name, expected) = (name?, expected?);
        for (text, asked) in requests {
            for caller in &callers {
                self.push(name, *caller, text.span, (&asked, now), &expected);
            }
        }
        Some(())
    }

    /// `{ name, callers, prefixes?, rows: [{ request, headers?, about?, expect: [one for each caller] }] }`
    fn table(&mut self, node: &Node) -> Option<()> {
        let reader = self.asking.reader;
        let fields = reader.fields(node, "a table", &["name", "callers", "prefixes", "rows"])?;
        let name = fields.required_text("name");
        fields.required("callers");
        let callers = fields.texts("callers");
        let prefixes = fields.texts("prefixes").unwrap_or_default();
        fields.required("rows");
        let rows = fields.list("rows");
        let (name, callers) = (name?, callers?);
        if callers.is_empty() {
            fields
                .problem("callers", "the table has no callers, so nothing is asked")
                .help("name those who ask, such as `[anonymous]`");
            return None;
        }
        for caller in &callers {
            self.check_caller(*caller);
        }
        for row in rows? {
            self.row(row, name, &callers, &prefixes);
        }
        Some(())
    }

    fn row(
        &mut self,
        node: &Node,
        name: Text<'_>,
        callers: &[Text<'_>],
        prefixes: &[Text<'_>],
    ) -> Option<()> {
        let reader = self.asking.reader;
        let fields = reader.fields(
            node,
            "a row",
            &["request", "headers", "needs", "cluster", "expect"],
        )?;
        let request = fields.required_text("request")?;
        let headers = self.headers(&fields);
        let (needs, cluster) = (fields.text("needs"), fields.text("cluster"));
        fields.required("expect");
        let cells = fields.list("expect")?;
        if cells.len() != callers.len() {
            let message = format!("{} expectations for {} callers", cells.len(), callers.len());
            let names: Vec<&str> = callers.iter().map(|caller| caller.text).collect();
            fields.problem("expect", message).help(format!(
                "one for each of {}, in this order",
                names.join(", ")
            ));
            return None;
        }
        let whole: [&str; 1] = [""];
        let prefixes: Vec<&str> = if prefixes.is_empty() {
            whole.to_vec()
        } else {
            prefixes.iter().map(|p| p.text).collect()
        };
        let bytes: usize = prefixes.iter().map(|prefix| prefix.len()).sum();
        let each = request.len().saturating_add(bytes_of(&headers));
        let bytes = bytes.saturating_add(prefixes.len().saturating_mul(each));
        let count = prefixes.len().saturating_mul(callers.len());
        self.check_room(node.span, count, bytes.saturating_mul(callers.len()))?;
        for (caller, cell) in callers.iter().zip(cells) {
            let about = match cell.as_text().map(|text| text.text) {
                Some("missing-permission") => needs,
                Some("cluster-not-allowed" | "agent-outside-cluster") => cluster,
                _ => None,
            };
            let Some(expected) = self.expected(cell, about) else {
                continue;
            };
            for prefix in &prefixes {
                let Some(asked) = self.request(request, prefix, &headers) else {
                    continue;
                };
                self.push(
                    name,
                    *caller,
                    request.span,
                    (&asked, self.asking.now),
                    &expected,
                );
            }
        }
        Some(())
    }

    /// Whether so many more cases may be read, whose requests take so many bytes.
    fn check_room(&mut self, span: Span, more: usize, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        let message = if more > CASES_MAX.saturating_sub(self.read.len()) {
            format!("the file has more than {CASES_MAX} cases")
        } else if self.bytes > CASES_BYTES_MAX {
            format!("the cases of the file take more than {CASES_BYTES_MAX} bytes")
        } else {
            return Some(());
        };
        self.asking
            .reader
            .problem(span, message)
            .help("make several files of it");
        None
    }

    fn push(
        &mut self,
        name: Text<'_>,
        caller: Text<'_>,
        span: Span,
        (request, now): (&Asked, i64),
        expected: &Outcome,
    ) {
        let Asking {
            reader,
            subject,
            callers,
            ..
        } = *self.asking;
        if !callers.contains_key(caller.text) {
            return;
        }
        let line = self.line(span.start);
        // A sentence of its own may say what a table says too. Both are cases, and they cannot disagree.
        let asked = self.asked.entry((caller.to_string(), request.clone(), now));
        let (first, same) = asked.or_insert_with(|| (line, expected.clone()));
        if same != expected {
            reader
                .problem(span, format!("`{caller}` gets another answer elsewhere"))
                .help(format!("see line {first}"));
            return;
        }
        let question = match request.question(subject.vocabulary(), now) {
            Ok(question) => question,
            Err(why) => {
                reader
                    .problem(span, format!("no policy is asked for `{request}`: {why}"))
                    .help("the gate answers 400 by itself");
                return;
            }
        };
        self.read.push(Case {
            file: reader.source().name().to_owned(),
            line,
            name: name.to_string(),
            caller: caller.to_string(),
            request: request.clone(),
            now,
            question,
            expected: expected.clone(),
        });
    }

    /// The line of a byte, from 1.
    fn line(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= byte) + 1
    }

    fn check_caller(&self, caller: Text<'_>) {
        if !self.asking.callers.contains_key(caller.text) {
            let slot = self
                .asking
                .reader
                .problem(caller.span, format!("there is no caller `{caller}`"));
            let names = self.asking.callers.keys().map(String::as_str);
            suggest_or(slot, &caller, names, "add it to `callers`");
        }
    }

    /// `METHOD /path?query`.
    fn request(&self, text: Text<'_>, prefix: &str, headers: &[(String, String)]) -> Option<Asked> {
        let parts = text.split_once(' ').filter(|(method, target)| {
            METHODS.contains(method) && target.starts_with('/') && !target.contains(' ')
        });
        let Some((method, target)) = parts else {
            self.asking
                .reader
                .problem(text.span, format!("`{text}` is not a request"))
                .help("write it as `GET /v1/clusters?page=2`");
            return None;
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Asked {
            method: method.to_owned(),
            path: format!("{prefix}{path}"),
            query: query.to_owned(),
            headers: headers.to_vec(),
            address: None,
        })
    }

    fn address(&self, fields: &Fields<'_>) -> Option<IpAddr> {
        let text = fields.text("address")?;
        let address = text.parse().ok();
        if address.is_none() {
            self.asking
                .reader
                .problem(text.span, format!("`{text}` is not an address"))
                .help("write one address, such as `203.0.113.7` or `2001:db8::7`");
        }
        address
    }

    fn headers(&self, fields: &Fields<'_>) -> Vec<(String, String)> {
        let entries = fields.entries("headers").unwrap_or_default();
        let read = entries.iter().filter_map(|entry| {
            if entry.key.text != entry.key.text.to_lowercase() {
                self.asking
                    .reader
                    .problem(entry.key.span, "write the names of headers in lower case");
            }
            let value = self.asking.reader.text(&entry.value, "a header")?;
            Some((entry.key.text.clone(), value.to_string()))
        });
        read.collect()
    }

    /// `all`, `none` or a list of clusters: allowed, with these visible. Any other word: the reason of a refusal.
    fn expected(&self, node: &Node, about: Option<Text<'_>>) -> Option<Outcome> {
        let reader = self.asking.reader;
        if let Value::List(_) = node.value {
            let ids = reader.texts(node, "`expect`")?;
            for id in ids
                .iter()
                .filter(|id| !self.asking.clusters.contains(id.text))
            {
                let slot = reader.problem(id.span, format!("there is no cluster `{id}`"));
                let names = self.asking.clusters.iter().map(String::as_str);
                suggest_or(slot, id, names, "add it to `clusters`");
            }
            self.about_nothing(about);
            return Some(Outcome::Allow(
                ids.iter().map(ToString::to_string).collect(),
            ));
        }
        let Some(word) = node.as_text() else {
            let message = format!("`expect` must be an outcome, not {}", node.in_words());
            reader.problem(node.span, message).help(OUTCOMES);
            return None;
        };
        let allowed = match word.text {
            "all" => Some(self.asking.clusters.clone()),
            "none" => Some(BTreeSet::new()),
            _ => None,
        };
        if let Some(visible) = allowed {
            self.about_nothing(about);
            return Some(Outcome::Allow(visible));
        }
        let Some((_, has_about)) = REASONS.iter().find(|(reason, _)| *reason == word.text) else {
            return self.own_reason(word);
        };
        if *has_about && about.is_none() {
            let message = format!("`{word}` is about something that is not said");
            reader
                .problem(word.span, message)
                .help("say it with `about`, in a table with `needs` or `cluster`");
            return None;
        }
        if !has_about {
            self.about_nothing(about);
        }
        let about = about.filter(|_| *has_about).map(|about| about.to_string());
        Some(Outcome::Deny {
            reason: word.to_string(),
            about,
        })
    }

    /// What an outcome is about would not be compared where it is about nothing.
    fn about_nothing(&self, about: Option<Text<'_>>) {
        if let Some(about) = about {
            let reader = self.asking.reader;
            reader
                .problem(about.span, format!("this outcome is not about `{about}`"))
                .help("only a missing permission and a refused cluster are named");
        }
    }

    /// A policy that was written by hand may refuse in a word of its own; a document has no others.
    fn own_reason(&self, word: Text<'_>) -> Option<Outcome> {
        let names = REASONS.iter().map(|(reason, _)| *reason);
        let meant = did_you_mean(&word, names);
        let is_by_hand = self.asking.subject.tables().is_none();
        if is_by_hand && meant.is_none() && permission::is_word(&word) {
            return Some(Outcome::Deny {
                reason: word.to_string(),
                about: None,
            });
        }
        let slot = self
            .asking
            .reader
            .problem(word.span, format!("`{word}` is not an outcome"));
        match meant {
            Some(name) => slot.help(format!("did you mean `{name}`?")),
            None => slot.help(OUTCOMES),
        }
        None
    }
}

fn bytes_of(headers: &[(String, String)]) -> usize {
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len());
    bytes.sum()
}

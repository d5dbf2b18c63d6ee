//! Cases: who asks for what, and what must come of it. Tables and lists expand into one case each.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use scopegate_policy::yaml::{Fields, Node, Reader, Span, Text, Value, did_you_mean};

use super::caller::Caller;
use super::file::one_or_more;

/// The reasons that a case may expect, and whether each is about something.
pub const REASONS: [(&str, bool); 12] = [
    ("not-authenticated", false),
    ("no-route", false),
    ("ambiguous-path", false),
    ("missing-permission", true),
    ("cluster-not-allowed", true),
    ("cluster-required", false),
    ("clusters-restricted", false),
    ("read-only-key", false),
    ("agent-outside-cluster", true),
    ("operator-required", false),
    ("sign-in-required", false),
    ("condition-not-met", false),
];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One question and its answer.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// The caller's name.
    pub caller: String,
    /// What is asked for.
    pub request: Asked,
    /// What must come of it.
    pub expected: Outcome,
}

impl Case {
    /// Such as `kubeadapt.yaml:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} \"{}\": `{}` asks for `{}`",
            self.place(),
            self.name,
            self.caller,
            self.request
        )
    }
}

/// A request as a client writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Upper-case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// Besides the credential.
    pub headers: Vec<(String, String)>,
    /// From where, if not from anywhere.
    pub address: Option<IpAddr>,
    /// When, in seconds since the epoch, if not at the moment of all cases.
    pub at: Option<i64>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        self.headers
            .iter()
            .try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))?;
        self.address
            .iter()
            .try_for_each(|address| write!(f, " from {address}"))?;
        self.at.iter().try_for_each(|at| write!(f, " at {at}"))
    }
}

/// What came of a question, or must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let through, with these clusters visible.
    Allow(BTreeSet<String>),
    /// Refused.
    Deny {
        /// The machine-readable word.
        reason: String,
        /// The permission or cluster that it is about.
        about: Option<String>,
    },
}

/// Reads `cases` and `tables`.
pub fn read(
    reader: &Reader,
    file: &str,
    fields: &Fields<'_>,
    callers: &BTreeMap<String, Caller>,
    clusters: &BTreeSet<String>,
) -> Vec<Case> {
    let mut cases = Cases {
        reader,
        file,
        callers,
        clusters,
        read: Vec::new(),
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
    reader: &'a Reader,
    file: &'a str,
    callers: &'a BTreeMap<String, Caller>,
    clusters: &'a BTreeSet<String>,
    read: Vec<Case>,
    /// What was asked by whom: the line and the answer.
    asked: BTreeMap<(String, Asked), (usize, Outcome)>,
}

impl Cases<'_> {
    /// `{ name, caller, request, headers?, address?, at?, expect, about? }`, with lists for several callers or requests.
    fn case(&mut self, node: &Node) -> Option<()> {
        let reader = self.reader;
        let known = [
            "name", "caller", "request", "headers", "address", "at", "expect", "about",
        ];
        let fields = reader.fields(node, "a case", &known)?;
        let name = fields.required_text("name");
        let callers = one_or_more(reader, fields.required("caller")?, "`caller`");
        let headers = self.headers(&fields);
        let address = self.parsed(&fields, "address", |text| text.parse::<IpAddr>().ok());
        let at = self.parsed(&fields, "at", |text| text.parse::<jiff::Timestamp>().ok());
        let at = at.map(jiff::Timestamp::as_second);
        let requests = one_or_more(reader, fields.required("request")?, "`request`");
        let expected = self.expected(fields.required("expect")?, fields.text("about"));
        let requests: Vec<(Text<'_>, Asked)> = requests
            .into_iter()
            .filter_map(|text| Some((text, self.request(text, "", &headers)?)))
            .map(|(text, asked)| {
                (
                    text,
                    Asked {
                        address,
                        at,
                        ..asked
                    },
                )
            })
            .collect();
        for caller in &callers {
            self.check_caller(*caller);
        }
        let (name, expected) = (name?, expected?);
        for (text, asked) in requests {
            for caller in &callers {
                self.push(name, *caller, text.span, asked.clone(), expected.clone());
            }
        }
        Some(())
    }

    /// `{ name, callers, prefixes?, rows: [{ request, headers?, about?, expect: [one for each caller] }] }`
    fn table(&mut self, node: &Node) -> Option<()> {
        let reader = self.reader;
        let fields = reader.fields(node, "a table", &["name", "callers", "prefixes", "rows"])?;
        let name = fields.required_text("name");
        fields.required("callers");
        let callers = fields.texts("callers");
        let prefixes = fields.texts("prefixes").unwrap_or_default();
        fields.required("rows");
        let rows = fields.list("rows");
        let (name, callers) = (name?, callers?);
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
        let reader = self.reader;
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
            fields.problem("expect", message);
            return None;
        }
        let whole: [&str; 1] = [""];
        let prefixes: Vec<&str> = if prefixes.is_empty() {
            whole.to_vec()
        } else {
            prefixes.iter().map(|p| p.text).collect()
        };
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
                self.push(name, *caller, request.span, asked, expected.clone());
            }
        }
        Some(())
    }

    fn push(
        &mut self,
        name: Text<'_>,
        caller: Text<'_>,
        span: Span,
        request: Asked,
        expected: Outcome,
    ) {
        if !self.callers.contains_key(caller.text) {
            return;
        }
        let line = self.reader.source().line_column(span.start).0;
        // A sentence of its own may say what a table says too; it counts once, and they cannot disagree.
        let asked = self.asked.entry((caller.to_string(), request.clone()));
        if let Entry::Occupied(first) = asked {
            if first.get().1 != expected {
                self.reader
                    .problem(span, format!("`{caller}` gets another answer elsewhere"))
                    .help(format!("see line {}", first.get().0));
            }
            return;
        }
        asked.or_insert((line, expected.clone()));
        self.read.push(Case {
            file: self.file.to_owned(),
            line,
            name: name.to_string(),
            caller: caller.to_string(),
            request,
            expected,
        });
    }

    fn check_caller(&self, caller: Text<'_>) {
        if !self.callers.contains_key(caller.text) {
            let slot = self
                .reader
                .problem(caller.span, format!("there is no caller `{caller}`"));
            slot.suggest(&caller, self.callers.keys().map(String::as_str));
        }
    }

    /// `METHOD /path?query`.
    fn request(&self, text: Text<'_>, prefix: &str, headers: &[(String, String)]) -> Option<Asked> {
        let parts = text.split_once(' ').filter(|(method, target)| {
            METHODS.contains(method) && target.starts_with('/') && !target.contains(' ')
        });
        let Some((method, target)) = parts else {
            self.reader
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
            at: None,
        })
    }

    fn parsed<T>(
        &self,
        fields: &Fields<'_>,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = fields.text(key)?;
        let value = parse(&text);
        if value.is_none() {
            let message = format!("`{text}` is not a value of `{key}`");
            self.reader.problem(text.span, message);
        }
        value
    }

    fn headers(&self, fields: &Fields<'_>) -> Vec<(String, String)> {
        let entries = fields.entries("headers").unwrap_or_default();
        let read = entries.iter().filter_map(|entry| {
            if entry.key.text != entry.key.text.to_lowercase() {
                self.reader
                    .problem(entry.key.span, "write the names of headers in lower case");
            }
            let value = self.reader.text(&entry.value, "a header")?;
            Some((entry.key.text.clone(), value.to_string()))
        });
        read.collect()
    }

    /// `all`, `none` or a list of clusters: allowed, with these visible. Any other word: the reason of a refusal.
    fn expected(&self, node: &Node, about: Option<Text<'_>>) -> Option<Outcome> {
        let reader = self.reader;
        if let Value::List(_) = node.value {
            let ids = reader.texts(node, "`expect`")?;
            for id in ids.iter().filter(|id| !self.clusters.contains(id.text)) {
                reader
                    .problem(id.span, format!("there is no cluster `{id}`"))
                    .suggest(id, self.clusters.iter().map(String::as_str));
            }
            return Some(Outcome::Allow(
                ids.iter().map(ToString::to_string).collect(),
            ));
        }
        let word = reader.text(node, "`expect`")?;
        match word.text {
            "all" => return Some(Outcome::Allow(self.clusters.clone())),
            "none" => return Some(Outcome::Allow(BTreeSet::new())),
            _ => {}
        }
        let Some((_, has_about)) = REASONS.iter().find(|(reason, _)| *reason == word.text) else {
            let names = REASONS.iter().map(|(reason, _)| *reason);
            let slot = reader.problem(word.span, format!("`{word}` is not an outcome"));
            match did_you_mean(&word, names) {
                Some(name) => slot.help(format!("did you mean `{name}`?")),
                None => {
                    slot.help("write `all`, `none`, a list of clusters, or the reason of a refusal")
                }
            }
            return None;
        };
        if *has_about && about.is_none() {
            let message = format!("`{word}` is about something that is not said");
            reader
                .problem(word.span, message)
                .help("say it with `about`, in a table with `needs` or `cluster`");
            return None;
        }
        let about = about.filter(|_| *has_about).map(|about| about.to_string());
        Some(Outcome::Deny {
            reason: word.to_string(),
            about,
        })
    }
}

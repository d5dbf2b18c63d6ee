//! Reads a test file, with every mistake at its place, and checks that a store could hold its callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use scopegate_policy::yaml::{
    Fields, Node, ProblemSlot, Reader, Report, Text, Value, did_you_mean,
};
use scopegate_policy::{Description, is_cluster_id};

use super::caller::{self, Caller};
use super::case::{self, Case};
use super::subject::{LoadError, Subject, Wanted};
use crate::Contract;
use crate::contract::BUILTIN_NAMES;

/// When cases happen that do not say it, in seconds since the epoch: the first moment of 2026, UTC.
pub const NOW_DEFAULT: i64 = 1_767_225_600;

/// A test file, ready to be run.
#[derive(Debug)]
pub struct TestFile {
    /// What it was read under.
    pub name: String,
    /// The policy that decides.
    pub subject: Arc<Subject>,
    /// The contract that its credentials are made under.
    pub contract: Contract,
    /// The clusters that the organization has registered.
    pub clusters: BTreeSet<String>,
    /// Clusters that it had and removed: their ids stand in lists still.
    pub retired: BTreeSet<String>,
    /// Callers by name, `anonymous` among them.
    pub callers: BTreeMap<String, Caller>,
    /// Every case, tables and lists of requests or callers expanded, in the order of the file, tables last.
    pub cases: Vec<Case>,
}

impl TestFile {
    /// What the gate tells the policy of a case's caller.
    pub fn facts(&self, case: &Case) -> scopegate_policy::Caller {
        let caller = self.callers.get(&case.caller).unwrap_or(&Caller::Anonymous);
        caller.facts(&case.caller, &self.contract.authority, case.now)
    }
}

/// Reads a test file; `name` is what reports call it, usually its path. `load` gives the policy that it is about:
/// [`Wanted::load`] where no file has to be read, or the policy under test whatever the file says.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read(
    name: &str,
    text: &str,
    load: impl FnOnce(Wanted<'_>) -> Result<Arc<Subject>, LoadError>,
) -> Result<TestFile, Report> {
    let (reader, root) = Reader::open(name, text)?;
    let file = from_tree(&reader, &root, load);
    reader.finish(file)
}

fn from_tree(
    reader: &Reader,
    root: &Node,
    load: impl FnOnce(Wanted<'_>) -> Result<Arc<Subject>, LoadError>,
) -> Option<TestFile> {
    let known = [
        "document", "contract", "now", "clusters", "retired", "callers", "cases", "tables",
    ];
    let fields = reader.fields(root, "a test file", &known)?;
    let subject = subject(reader, &fields, load);
    let contract = contract(reader, &fields);
    let now = moment(reader, &fields);
    let clusters = cluster_set(reader, &fields, "clusters");
    let retired = cluster_set(reader, &fields, "retired");
    let (subject, contract) = (subject?, contract?);
    let known_clusters: BTreeSet<String> = clusters.union(&retired).cloned().collect();
    let world = World {
        reader,
        description: subject.description(),
        contract: &contract,
        clusters: &known_clusters,
    };
    let callers = callers(&world, &fields);
    let asking = case::Asking {
        reader,
        subject: &subject,
        callers: &callers,
        clusters: &clusters,
        now: now.unwrap_or(NOW_DEFAULT),
    };
    let cases = case::read(&asking, &fields);
    check_use(reader, &fields, &cases);
    Some(TestFile {
        name: reader.source().name().to_owned(),
        subject,
        contract,
        clusters,
        retired,
        callers,
        cases,
    })
}

/// What a caller is checked against.
pub(super) struct World<'a> {
    pub(super) reader: &'a Reader,
    pub(super) description: &'a Description,
    pub(super) contract: &'a Contract,
    /// Registered ones and those that were removed.
    pub(super) clusters: &'a BTreeSet<String>,
}

fn subject(
    reader: &Reader,
    fields: &Fields<'_>,
    load: impl FnOnce(Wanted<'_>) -> Result<Arc<Subject>, LoadError>,
) -> Option<Arc<Subject>> {
    let (wanted, span) = if fields.has("document") {
        let text = fields.text("document")?;
        match Wanted::of(text.text) {
            Wanted::Inline(yaml) => (Wanted::Inline(yaml), fields.key_span("document")),
            named => (named, text.span),
        }
    } else {
        (Wanted::Unsaid, fields.span())
    };
    match load(wanted) {
        Ok(subject) => Some(subject),
        Err(LoadError { message, help }) => {
            let slot = reader.problem(span, message);
            if let Some(help) = help {
                slot.help(help);
            }
            None
        }
    }
}

/// The contract named, else the one of the built-in policy, else scopegate's.
fn contract(reader: &Reader, fields: &Fields<'_>) -> Option<Contract> {
    if fields.has("contract") {
        let name = fields.text("contract")?;
        let contract = Contract::builtin(&name);
        if contract.is_none() {
            let slot = reader.problem(name.span, format!("there is no contract `{name}`"));
            suggest_or(
                slot,
                &name,
                BUILTIN_NAMES,
                "name one of those that are built in",
            );
        }
        return contract;
    }
    let of_policy = fields
        .get("document")
        .and_then(Node::as_text)
        .and_then(|text| Contract::builtin(&text));
    of_policy.or_else(|| Contract::builtin("scopegate"))
}

/// The moment that `now` names, in seconds since the epoch.
pub(super) fn moment(reader: &Reader, fields: &Fields<'_>) -> Option<i64> {
    let text = fields.text("now")?;
    match text.parse::<Timestamp>() {
        Ok(moment) => Some(moment.as_second()),
        Err(_) => {
            reader
                .problem(text.span, format!("`{text}` is not a moment"))
                .help("write it as RFC 3339 has it: `2026-01-31T09:30:00Z`");
            None
        }
    }
}

fn cluster_set(reader: &Reader, fields: &Fields<'_>, key: &str) -> BTreeSet<String> {
    let ids = fields.texts(key).unwrap_or_default();
    for id in ids.iter().filter(|id| !is_cluster_id(id)) {
        reader
            .problem(id.span, format!("`{id}` is not a cluster's id"))
            .help("an id has letters, digits and `._:-`, at most 253 of them");
    }
    ids.iter().map(ToString::to_string).collect()
}

fn callers(world: &World<'_>, fields: &Fields<'_>) -> BTreeMap<String, Caller> {
    let mut callers = BTreeMap::from([("anonymous".to_owned(), Caller::Anonymous)]);
    for entry in fields.entries("callers").unwrap_or_default() {
        if entry.key.text == "anonymous" {
            world
                .reader
                .problem(entry.key.span, "`anonymous` is there already")
                .help("it presents no credential: ask as it without defining it");
        } else if let Some(caller) = caller::read(world, &entry.value) {
            callers.insert(entry.key.text.clone(), caller);
        }
    }
    callers
}

/// A file without a case is a mistake, and so is a caller that nothing uses, unless another mistake is why.
fn check_use(reader: &Reader, fields: &Fields<'_>, cases: &[Case]) {
    if reader.has_problems() {
        return;
    }
    if cases.is_empty() {
        reader
            .problem(fields.span(), "the file asks nothing")
            .help("add `cases` or `tables`");
        return;
    }
    let used: BTreeSet<&str> = cases.iter().map(|case| case.caller.as_str()).collect();
    for entry in fields.entries("callers").unwrap_or_default() {
        if !used.contains(entry.key.text.as_str()) {
            reader
                .problem(
                    entry.key.span,
                    format!("nothing asks as `{}`", entry.key.text),
                )
                .help("add a case, or take the caller out");
        }
    }
}

/// What was probably meant, else what to do about it.
pub(super) fn suggest_or<'n>(
    slot: ProblemSlot<'_>,
    written: &str,
    names: impl IntoIterator<Item = &'n str>,
    otherwise: &str,
) {
    match did_you_mean(written, names) {
        Some(name) => slot.help(format!("did you mean `{name}`?")),
        None => slot.help(otherwise),
    }
}

/// One text, or each of a list that is not empty.
pub(super) fn one_or_more<'n>(reader: &Reader, node: &'n Node, what: &str) -> Vec<Text<'n>> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            reader.problem(
                node.span,
                format!("{what} is an empty list, so nothing is asked"),
            );
            Vec::new()
        }
        Value::List(_) => reader.texts(node, what).unwrap_or_default(),
        _ => reader.text(node, what).into_iter().collect(),
    }
}

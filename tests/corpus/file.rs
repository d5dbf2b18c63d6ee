//! Reads a file of cases, with every mistake at its place, and checks that a store could hold its callers.

use std::collections::{BTreeMap, BTreeSet};

use scopegate_host::Contract;
use scopegate_host::contract::BUILTIN_NAMES;
use scopegate_policy::yaml::{Fields, Node, Reader, Report, Text, Value};
use scopegate_policy::{Description, Tables, document, documents, is_cluster_id};

use super::caller::{self, Caller};
use super::case::{self, Case};

/// One file of the corpus.
pub struct File {
    /// The policy that decides.
    pub document: Document,
    /// The contract that its keys are minted under.
    pub contract: Contract,
    /// The clusters that the organization has registered.
    pub clusters: BTreeSet<String>,
    /// Clusters that it had and removed: their ids stand in lists still.
    pub retired: BTreeSet<String>,
    /// Callers by name, `anonymous` among them.
    pub callers: BTreeMap<String, Caller>,
    /// Every case, tables and lists of requests or callers expanded.
    pub cases: Vec<Case>,
}

/// A policy document.
pub struct Document {
    /// The name of a built-in one, or of the file that has it within.
    pub name: String,
    /// Its YAML.
    pub text: String,
    /// Whether it is a built-in one.
    pub builtin: bool,
    /// What it compiles to.
    pub tables: Tables,
}

/// Reads a file.
pub fn read(name: &str, text: &str) -> Result<File, Report> {
    let (reader, root) = Reader::open(name, text)?;
    let file = from_tree(&reader, &root);
    reader.finish(file)
}

fn from_tree(reader: &Reader, root: &Node) -> Option<File> {
    let known = [
        "document", "contract", "clusters", "retired", "callers", "cases", "tables",
    ];
    let fields = reader.fields(root, "a file of cases", &known)?;
    let document = document(reader, &fields)?;
    let contract = contract(reader, &fields, &document)?;
    let clusters = cluster_set(reader, &fields, "clusters");
    let retired = cluster_set(reader, &fields, "retired");
    let known_clusters: BTreeSet<String> = clusters.union(&retired).cloned().collect();
    let world = World {
        reader,
        description: document.tables.description(),
        contract: &contract,
        clusters: &known_clusters,
    };
    let callers = callers(&world, &fields);
    let cases = case::read(reader, name_of(reader), &fields, &callers, &clusters);
    check_use(reader, &fields, &cases);
    Some(File {
        document,
        contract,
        clusters,
        retired,
        callers,
        cases,
    })
}

fn name_of(reader: &Reader) -> &str {
    reader.source().name()
}

/// What a caller is checked against.
pub struct World<'a> {
    pub reader: &'a Reader,
    pub description: &'a Description,
    pub contract: &'a Contract,
    pub clusters: &'a BTreeSet<String>,
}

/// `document` is the name of a built-in policy, or a policy itself as a block of text.
fn document(reader: &Reader, fields: &Fields<'_>) -> Option<Document> {
    let text = fields.required_text("document")?;
    let builtin = !text.contains('\n');
    let (name, yaml) = if builtin {
        let Some(yaml) = documents::builtin(&text) else {
            let slot = reader.problem(text.span, format!("there is no built-in policy `{text}`"));
            slot.suggest(&text, documents::names());
            return None;
        };
        (text.to_string(), yaml.to_owned())
    } else {
        (
            format!("{} (its document)", name_of(reader)),
            text.to_string(),
        )
    };
    match document::compile(&name, &yaml) {
        Ok(tables) => Some(Document {
            name,
            text: yaml,
            builtin,
            tables,
        }),
        Err(report) => {
            fields.problem("document", format!("the document is broken:\n{report}"));
            None
        }
    }
}

/// The contract named, else the one of the built-in policy, else scopegate's.
fn contract(reader: &Reader, fields: &Fields<'_>, document: &Document) -> Option<Contract> {
    let Some(name) = fields.text("contract") else {
        return Contract::builtin(if document.builtin {
            &document.name
        } else {
            "scopegate"
        });
    };
    let contract = Contract::builtin(&name);
    if contract.is_none() {
        reader
            .problem(name.span, format!("there is no contract `{name}`"))
            .suggest(&name, BUILTIN_NAMES);
    }
    contract
}

fn cluster_set(reader: &Reader, fields: &Fields<'_>, key: &str) -> BTreeSet<String> {
    let ids = fields.texts(key).unwrap_or_default();
    for id in ids.iter().filter(|id| !is_cluster_id(id)) {
        reader.problem(id.span, format!("`{id}` is not a cluster's id"));
    }
    ids.iter().map(ToString::to_string).collect()
}

fn callers(world: &World<'_>, fields: &Fields<'_>) -> BTreeMap<String, Caller> {
    let mut callers = BTreeMap::from([("anonymous".to_owned(), Caller::Anonymous)]);
    for entry in fields.entries("callers").unwrap_or_default() {
        if entry.key.text == "anonymous" {
            world
                .reader
                .problem(entry.key.span, "`anonymous` is there already");
        } else if let Some(caller) = caller::read(world, &entry.value) {
            callers.insert(entry.key.text.clone(), caller);
        }
    }
    callers
}

/// A caller that nothing uses is a mistake, unless another mistake is why.
fn check_use(reader: &Reader, fields: &Fields<'_>, cases: &[Case]) {
    if reader.has_problems() {
        return;
    }
    let used: BTreeSet<&str> = cases.iter().map(|case| case.caller.as_str()).collect();
    for entry in fields.entries("callers").unwrap_or_default() {
        if !used.contains(entry.key.text.as_str()) {
            reader.problem(
                entry.key.span,
                format!("nothing asks as `{}`", entry.key.text),
            );
        }
    }
}

/// One text, or each of a list.
pub fn one_or_more<'n>(reader: &Reader, node: &'n Node, what: &str) -> Vec<Text<'n>> {
    match node.value {
        Value::List(_) => reader.texts(node, what).unwrap_or_default(),
        _ => reader.text(node, what).into_iter().collect(),
    }
}

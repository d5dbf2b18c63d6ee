//! Lists of keys: searched, filtered, sorted, a page at a time.

use askama::Template;
use axum::{body::Body, response::Response};
use serde::Deserialize;

use super::{Key, Shown};
use crate::dashboard::{
    calls::query,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

/// States that one can filter by.
const STATES: [(&str, &str); 4] = [
    ("active", "Active"),
    ("expiring", "Expires soon"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
];

/// Orders, the API's word for each and how it reads.
const SORTS: [(&str, &str); 6] = [
    ("-created_at", "Newest first"),
    ("created_at", "Oldest first"),
    ("name", "Name"),
    ("-last_used_at", "Last used first"),
    ("last_used_at", "Least recently used first"),
    ("expires_at", "Next to expire first"),
];

/// A page of a list, as the API gives it.
#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct Listed<T> {
    pub(in crate::dashboard) items: Vec<T>,
    pub(in crate::dashboard) next_cursor: Option<String>,
}

/// An option of a choice.
#[derive(Debug)]
pub(in crate::dashboard) struct Choice {
    pub(in crate::dashboard) value: &'static str,
    pub(in crate::dashboard) words: &'static str,
    pub(in crate::dashboard) chosen: bool,
}

/// A table of keys and what it is filtered by.
#[derive(Debug)]
pub(in crate::dashboard) struct Table {
    /// Where this list is.
    pub(in crate::dashboard) path: String,
    pub(in crate::dashboard) name: String,
    pub(in crate::dashboard) states: Vec<Choice>,
    pub(in crate::dashboard) sorts: Vec<Choice>,
    pub(in crate::dashboard) keys: Vec<Shown>,
    /// Whether whose each is stands there.
    pub(in crate::dashboard) owners: bool,
    /// Whether it may be rotated by who looks at it.
    pub(in crate::dashboard) own: bool,
    /// Whether something is filtered by.
    pub(in crate::dashboard) filtered: bool,
    /// The address of the next page.
    pub(in crate::dashboard) next: Option<String>,
    /// Whether this is not the first one.
    pub(in crate::dashboard) later: bool,
}

#[derive(Template)]
#[template(path = "keys/list.html")]
struct Page {
    shell: Shell,
    words: Words,
    everybodys: bool,
    may_see_all: bool,
    table: Table,
}

/// What the contract calls things here.
#[derive(Debug)]
pub(in crate::dashboard) struct Words {
    pub(in crate::dashboard) keys: String,
    pub(in crate::dashboard) create: String,
    pub(in crate::dashboard) submit: String,
}

impl Words {
    /// Of the visitor's contract.
    pub(in crate::dashboard) fn of(visitor: &Visitor) -> Self {
        let words = &visitor.site.gate.contract().dashboard;
        Self {
            keys: words.keys.clone(),
            create: words.create.clone(),
            submit: words.submit.clone(),
        }
    }
}

/// One's own.
pub(super) async fn own(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let table = table(&visitor, "/keys", "/-/keys", None).await?;
    shown(&visitor, table, false)
}

/// Everybody's.
pub(super) async fn all(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let table = table(&visitor, "/organization/keys", "/-/keys/all", None).await?;
    shown(&visitor, table, true)
}

fn shown(visitor: &Visitor, table: Table, everybodys: bool) -> Result<Response<Body>, Stop> {
    let words = Words::of(visitor);
    let title = match everybodys {
        true => format!("Everybody's {}", words.keys),
        false => words.keys.clone(),
    };
    Ok(ok(&Page {
        shell: visitor.shell(title),
        words,
        everybodys,
        may_see_all: visitor.may("manage:keys"),
        table,
    }))
}

/// The keys of one user, for administrators.
pub(in crate::dashboard) async fn of_user(
    visitor: &Visitor,
    user: &str,
    path: &str,
) -> Result<Table, Stop> {
    table(visitor, "/organization/keys", path, Some(user)).await
}

/// The page of a list that the address asks for.
async fn table(
    visitor: &Visitor,
    list: &str,
    path: &str,
    owner: Option<&str>,
) -> Result<Table, Stop> {
    let asked = &visitor.query;
    let (name, state, sort) = (asked.one("name"), asked.one("state"), asked.one("sort"));
    let cursor = asked.one("cursor");
    let filter = [
        ("name", name),
        ("state", state),
        ("sort", sort),
        ("cursor", cursor),
        ("owner", owner.unwrap_or_default()),
    ];
    let found: Listed<Key> = visitor
        .calls
        .read(format!("{list}{}", query(filter)))
        .await?;
    let next = found.next_cursor.as_deref().map(|cursor| {
        let further = [
            ("name", name),
            ("state", state),
            ("sort", sort),
            ("cursor", cursor),
        ];
        format!("{path}{}", query(further))
    });
    let keys = found.items.into_iter().map(|key| Shown::of(key, visitor));
    Ok(Table {
        path: path.to_owned(),
        name: name.to_owned(),
        states: choices(&STATES, state),
        sorts: choices(&SORTS, sort),
        keys: keys.collect(),
        owners: list != "/keys" && owner.is_none(),
        own: list == "/keys",
        filtered: !(name.is_empty() && state.is_empty()),
        next,
        later: !cursor.is_empty(),
    })
}

/// Options, of which one is chosen.
pub(in crate::dashboard) fn choices(
    known: &[(&'static str, &'static str)],
    chosen: &str,
) -> Vec<Choice> {
    let choice = |(value, words): &(&'static str, &'static str)| Choice {
        value,
        words,
        chosen: *value == chosen,
    };
    known.iter().map(choice).collect()
}

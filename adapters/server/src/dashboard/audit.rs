//! The audit: searched by an address that can be passed on, followed live, taken along as a file; and a picture of it.

mod export;
mod filter;
mod picture;

use std::sync::Arc;

use askama::Template;
use axum::{Router, body::Body, response::Response, routing::get};
use serde_json::{Map, Value};

use self::{
    filter::Filter,
    picture::{Picture, Summary},
};
use super::{
    Site,
    calls::query,
    keys::{Choice, Listed, choices},
    moment::Moment,
    page::{Shell, ok},
    problem::Stop,
    visitor::Visitor,
};

/// Records on a page: with all that each says, it stays small.
const ROWS: &str = "25";
/// Where it is.
const PAGE: &str = "/-/audit";

/// Its pages.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route(PAGE, get(show))
        .route("/-/audit/export.csv", get(export::csv))
        .route("/-/audit/export.jsonl", get(export::json_lines))
}

/// A record, as the API gives it.
type Record = Map<String, Value>;

/// A record as a row.
#[derive(Debug)]
struct Row {
    at: Option<Moment>,
    who: String,
    /// The key's name, where a key was used.
    with: String,
    what: String,
    /// What it did it to, or which clusters it is about.
    about: String,
    outcome: &'static str,
    class: &'static str,
    reason: String,
    /// Everything that is recorded.
    whole: String,
}

#[derive(Template)]
#[template(path = "audit/show.html")]
struct Page {
    shell: Shell,
    filter: Filter,
    kinds: Vec<Choice>,
    outcomes: Vec<Choice>,
    spans: Vec<Choice>,
    rows: Vec<Row>,
    filtered: bool,
    live: bool,
    /// The same page, live or not.
    toggle: String,
    /// The same page without a filter.
    csv: String,
    json_lines: String,
    next: Option<String>,
    /// The first page, where this is a later one.
    first: Option<String>,
    picture: Option<Picture>,
    /// Why there is none.
    no_picture: Option<String>,
}

async fn show(visitor: Visitor) -> Result<Response<Body>, Stop> {
    let asked = &visitor.query;
    let filter = Filter::of(&visitor).await?;
    let cursor = asked.one("cursor");
    let live = asked.one("live") == "on";
    let searched = format!("/audit{}", filter.api(cursor, ROWS));
    let found: Listed<Record> = visitor.calls.read(searched).await?;
    let summary = format!("/audit/summary{}", filter.span());
    let (picture, no_picture) = match visitor.calls.read::<Summary>(summary).await {
        Ok(summary) => (Some(Picture::of(&summary, &visitor)), None),
        // Longer ago than it is kept, or no time at all: the records are searched all the same.
        Err(problem) if problem.is_of_form() => (None, Some(problem.detail)),
        Err(problem) => return Err(problem.into()),
    };
    let next = found.next_cursor.as_deref();
    let toggled = if live { "" } else { "on" };
    Ok(ok(&Page {
        shell: visitor.shell("Audit"),
        kinds: choices(&filter::KINDS, &filter.kind),
        outcomes: choices(&filter::OUTCOMES, &filter.outcome),
        spans: choices(&filter::SPANS, &filter.span),
        rows: found
            .items
            .iter()
            .map(|record| row(record, &visitor))
            .collect(),
        filtered: filter.says_something(),
        live,
        toggle: format!("{PAGE}{}", filter.page(&[("live", toggled)])),
        csv: format!("{PAGE}/export.csv{}", filter.page(&[])),
        json_lines: format!("{PAGE}/export.jsonl{}", filter.page(&[])),
        next: next.map(|cursor| format!("{PAGE}{}", filter.page(&[("cursor", cursor)]))),
        first: (!cursor.is_empty()).then(|| format!("{PAGE}{}", filter.page(&[]))),
        picture,
        no_picture,
        filter,
    }))
}

/// A member as text; nothing where there is none.
fn text(record: &Record, name: &str) -> String {
    match record.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn row(record: &Record, visitor: &Visitor) -> Row {
    let is_change = text(record, "kind") == "change";
    let at = text(record, "time").parse().ok();
    let said = |name| text(record, name);
    let (outcome, class) = match (is_change, said("outcome").as_str()) {
        (true, _) => ("Changed", "active"),
        (false, "admit") => ("Admitted", "active"),
        (false, _) => ("Refused", "revoked"),
    };
    let anybody = |text: String| match text.is_empty() {
        true => "somebody unknown".to_owned(),
        false => text,
    };
    let count = record.get("count").and_then(Value::as_u64);
    Row {
        at: at.map(|at| visitor.moment(at)),
        who: match is_change {
            true => anybody(said("actor")),
            false => anybody(said("name")),
        },
        with: said("agent"),
        what: match is_change {
            true => said("action"),
            false => format!("{} {}", said("method"), said("path")),
        },
        about: match is_change {
            true => said("subject"),
            false => said("cluster"),
        },
        outcome,
        class,
        reason: match count {
            Some(count) => format!("{} {} ({count} times)", said("reason"), said("about")),
            None => format!("{} {}", said("reason"), said("about")),
        },
        whole: serde_json::to_string_pretty(record).unwrap_or_default(),
    }
}

/// The address of the audit of one thing.
pub(super) fn of(name: &str, value: &str) -> String {
    format!("{PAGE}{}", query([(name, value), ("span", "90d")]))
}

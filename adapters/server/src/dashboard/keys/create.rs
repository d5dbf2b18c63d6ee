//! Making a key: its name, its scopes, its clusters, its end; and what it will be able to do, as the policy itself says.

mod draft;
mod outlook;

use askama::Template;
use axum::{body::Body, response::Response};
use uuid::Uuid;

use self::{
    draft::{Draft, expiries},
    outlook::Outlook,
};
use super::{
    Key, Minted,
    list::{Choice, Words},
    shown,
};
use crate::dashboard::{
    calls::Call,
    catalogue::{self, Category},
    clusters::Picked,
    fields::Fields,
    page::{Shell, html, ok},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};
use http::StatusCode;

#[derive(Template)]
#[template(path = "keys/new.html")]
struct Page {
    shell: Shell,
    words: Words,
    name_hint: String,
    name_chars_max: usize,
    draft: Draft,
    /// Empty where keys carry none.
    categories: Vec<Category>,
    presets: Vec<Preset>,
    scopes_required: bool,
    clusters: Vec<Picked>,
    /// Empty where keys cannot end by themselves.
    expiries: Vec<Choice>,
    /// The first day that can be chosen.
    tomorrow: String,
    once: Uuid,
    problem: Option<String>,
    outlook: Outlook,
}

/// A set of scopes to choose at once.
#[derive(Debug)]
struct Preset {
    place: usize,
    name: String,
    /// With a space between.
    scopes: String,
    chosen: bool,
}

/// Shows an empty form; the query may fill some of it in.
pub(super) async fn ask(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.signed_in_recently()?;
    let draft = Draft::of(&visitor.query);
    let once = visitor.once();
    form(&visitor, draft, once, None).await
}

/// The form with what was filled in so far.
async fn form(
    visitor: &Visitor,
    draft: Draft,
    once: Uuid,
    problem: Option<Problem>,
) -> Result<Response<Body>, Stop> {
    let contract = visitor.site.gate.contract();
    let rules = &contract.minting;
    let mut categories = Vec::new();
    if rules.scopes_allowed {
        let policy = catalogue::read(visitor).await?;
        categories = policy.scopes(&visitor.me.permissions, &draft.scopes);
    }
    let offered: Vec<&str> = categories
        .iter()
        .flat_map(|category| &category.permissions)
        .map(|permission| permission.name.as_str())
        .collect();
    let presets = contract.dashboard.presets.iter().enumerate();
    let presets = presets
        // One that asks for more than there is would make a key that does not do what its name says.
        .filter(|(_, preset)| {
            preset
                .scopes
                .iter()
                .all(|scope| offered.contains(&scope.as_str()))
        })
        .map(|(place, preset)| Preset {
            place,
            name: preset.name.clone(),
            scopes: preset.scopes.join(" "),
            chosen: draft.is_exactly(&preset.scopes),
        })
        .collect();
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell("New key"),
        words: Words::of(visitor),
        name_hint: contract.dashboard.name_hint.clone(),
        name_chars_max: rules.name_chars_max,
        categories,
        presets,
        scopes_required: rules.scopes_required,
        clusters: Picked::all(visitor, &draft.clusters).await?,
        expiries: match rules.expiry_allowed {
            true => expiries(&draft.expires),
            false => Vec::new(),
        },
        tomorrow: draft::tomorrow(visitor.now),
        once,
        problem: problem.map(|problem| problem.detail),
        outlook: Outlook::of(visitor, &draft).await,
        draft,
    };
    Ok(html(status, &page))
}

/// Makes the key, or shows the form again: with a preset's scopes, with what it will be able to do, with what is wrong.
pub(super) async fn make(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let draft = filled(&visitor, &fields);
    let (once, shown_at) = visitor.shown_at(fields.one("once"));
    if fields.given("preset").is_some() || fields.one("do") == "look" {
        return form(&visitor, draft, once, None).await;
    }
    let body = match draft.body(&visitor, shown_at) {
        Ok(body) => body,
        Err(problem) => return form(&visitor, draft, once, Some(problem)).await,
    };
    let call = Call::post("/keys", &body).once(&once.to_string());
    match visitor.calls.make(call).await {
        Ok(answer) => {
            let minted: Minted<Key> = answer.read()?;
            shown::page(&visitor, minted, None)
        }
        Err(problem) if problem.is_of_form() => {
            // What was tried with this is not what will be tried next.
            form(&visitor, draft, visitor.once(), Some(problem)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// What the form says, with the scopes of the preset that was pressed.
fn filled(visitor: &Visitor, fields: &Fields) -> Draft {
    let mut draft = Draft::of(fields);
    let presets = &visitor.site.gate.contract().dashboard.presets;
    let pressed = fields.one("preset").parse::<usize>().ok();
    if let Some(preset) = pressed.and_then(|place| presets.get(place)) {
        draft.scopes.clone_from(&preset.scopes);
    }
    draft
}

#[derive(Template)]
#[template(path = "keys/outlook.html")]
struct Fragment {
    outlook: Outlook,
}

/// What the key will be able to do, for the script that shows it while the form is filled in.
pub(super) async fn preview(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let draft = Draft::of(&fields);
    let outlook = Outlook::of(&visitor, &draft).await;
    Ok(ok(&Fragment { outlook }))
}

//! Making a role of the organization's own, and changing one.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::{
    Method, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use serde_json::json;

use super::{PAGE, Role, find, path};
use crate::dashboard::{
    calls::Call,
    catalogue::{self, Category},
    fields::Fields,
    page::{Shell, html, see_done},
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// What the form says so far.
#[derive(Clone, Debug)]
struct Draft {
    name: String,
    /// Names and patterns.
    chosen: Vec<String>,
    /// Further ones, as they were typed.
    typed: String,
    /// The version that is changed; `None` for a new role.
    version: Option<String>,
}

impl Draft {
    fn of(fields: &Fields) -> Self {
        Self {
            name: fields.one("name").to_owned(),
            chosen: fields.all("permission"),
            typed: fields.one("patterns").to_owned(),
            version: None,
        }
    }

    fn of_role(role: &Role, version: String) -> Self {
        Self {
            name: role.name.clone(),
            chosen: role.permissions.clone(),
            typed: String::new(),
            version: Some(version),
        }
    }

    /// Everything that the role is to give.
    fn permissions(&self) -> Vec<&str> {
        let between = |c: char| c.is_whitespace() || c == ',';
        let typed = self.typed.split(between).filter(|text| !text.is_empty());
        let mut all: Vec<&str> = self.chosen.iter().map(String::as_str).collect();
        for text in typed {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        all
    }

    /// The request that makes or changes it.
    fn call(&self) -> Call {
        let body = json!({ "permissions": self.permissions() });
        let call = Call::new(Method::PUT, path(&self.name)).json(&body);
        match &self.version {
            Some(version) => call.header(IF_MATCH, version.as_str()),
            None => call.header(IF_NONE_MATCH, "*"),
        }
    }
}

#[derive(Template)]
#[template(path = "roles/form.html")]
struct Page {
    shell: Shell,
    draft: Draft,
    back: String,
    categories: Vec<Category>,
    /// Patterns and names that the role has and no category shows.
    others: Vec<String>,
    problem: Option<String>,
}

async fn form(
    visitor: &Visitor,
    draft: Draft,
    back: String,
    problem: Option<Problem>,
) -> Result<Response<Body>, Stop> {
    let policy = catalogue::read(visitor).await?;
    let categories = policy.grantable(&visitor.me.permissions, &draft.chosen);
    let is_shown = |text: &String| {
        let mut shown = categories.iter().flat_map(|category| &category.permissions);
        shown.any(|permission| permission.name == *text)
    };
    let others = draft.chosen.iter().filter(|text| !is_shown(text));
    let status = problem
        .as_ref()
        .map_or(StatusCode::OK, |problem| problem.status);
    let page = Page {
        shell: visitor.shell(match draft.version {
            Some(_) => format!("Change {}", draft.name),
            None => "New role".to_owned(),
        }),
        back,
        others: others.cloned().collect(),
        categories,
        draft,
        problem: problem.map(|problem| problem.detail),
    };
    Ok(html(status, &page))
}

/// Shows an empty form; the query may fill some of it in.
pub(super) async fn ask_new(visitor: Visitor) -> Result<Response<Body>, Stop> {
    visitor.must("manage:roles")?;
    visitor.signed_in_recently()?;
    let draft = Draft::of(&visitor.query);
    form(&visitor, draft, PAGE.to_owned(), None).await
}

/// Makes it.
pub(super) async fn make(submitted: Submitted) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let draft = Draft::of(&fields);
    let back = PAGE.to_owned();
    if draft.name.is_empty() {
        let problem = Problem::own(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Not yet",
            "Give the role a name.",
        );
        return form(&visitor, draft, back, Some(problem)).await;
    }
    match visitor.calls.make(draft.call()).await {
        Ok(answer) => {
            let role: Role = answer.read()?;
            Ok(see_done(&role.page(), "role-saved"))
        }
        Err(mut problem) if problem.is_of_form() => {
            if problem.status == StatusCode::PRECONDITION_FAILED {
                problem.detail = format!(
                    "There is a role `{}` already: choose another name, or change that one.",
                    draft.name
                );
            }
            form(&visitor, draft, back, Some(problem)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Shows what it gives.
pub(super) async fn ask_edit(
    visitor: Visitor,
    Path(role): Path<String>,
) -> Result<Response<Body>, Stop> {
    visitor.must("manage:roles")?;
    visitor.signed_in_recently()?;
    let (role, version) = find(&visitor, &role).await?;
    let draft = Draft::of_role(&role, version);
    form(&visitor, draft, role.page(), None).await
}

/// Changes it, if nobody else has done so meanwhile.
pub(super) async fn save(
    Path(role): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (role, current) = find(&visitor, &role).await?;
    let mut draft = Draft::of(&fields);
    draft.name.clone_from(&role.name);
    draft.version = Some(fields.one("version").to_owned());
    let back = role.page();
    match visitor.calls.make(draft.call()).await {
        Ok(_) => Ok(see_done(&back, "role-saved")),
        Err(mut problem) if problem.status == StatusCode::PRECONDITION_FAILED => {
            problem.detail = format!(
                "Somebody else has changed this role meanwhile: it gives {} now. Nothing of yours was saved. Save again to put \
                 what stands below in its place.",
                role.permissions.join(", ")
            );
            draft.version = Some(current);
            form(&visitor, draft, back, Some(problem)).await
        }
        Err(problem) if problem.is_of_form() => form(&visitor, draft, back, Some(problem)).await,
        Err(problem) => Err(problem.into()),
    }
}

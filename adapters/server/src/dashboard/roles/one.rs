//! One role; and deleting it.

use askama::Template;
use axum::{body::Body, extract::Path, response::Response};
use http::{Method, StatusCode, header::IF_MATCH};

use super::{PAGE, Role, find, path};
use crate::dashboard::{
    audit,
    calls::Call,
    catalogue,
    confirm::Question,
    page::{Shell, ok, see_done},
    problem::Stop,
    visitor::{Submitted, Visitor},
};

#[derive(Template)]
#[template(path = "roles/one.html")]
struct Page {
    shell: Shell,
    page: String,
    role: Role,
    /// What its patterns stand for now.
    gives: Vec<String>,
    changeable: bool,
    /// Where the audit of its changes is, for whoever may read it.
    audit: Option<String>,
}

/// What it gives.
pub(super) async fn show(
    visitor: Visitor,
    Path(role): Path<String>,
) -> Result<Response<Body>, Stop> {
    let (role, _) = find(&visitor, &role).await?;
    let policy = catalogue::read(&visitor).await?;
    let gives = policy.names().filter(|name| role.gives(name));
    Ok(ok(&Page {
        shell: visitor.shell(role.name.clone()),
        page: role.page(),
        gives: gives.map(str::to_owned).collect(),
        changeable: role.is_changeable(&visitor, &policy),
        audit: (role.custom && visitor.may("manage:audit"))
            .then(|| audit::of("subject", &role.name)),
        role,
    }))
}

fn question(role: &Role, version: String) -> Question {
    Question {
        title: format!("Delete {}?", role.name),
        happens: "The role is gone, and cannot be given any more. One that a user still has is not deleted: give them \
                  another one first."
            .to_owned(),
        button: "Delete role",
        danger: true,
        stay: "Keep it",
        back: role.page(),
        version: Some(version),
    }
}

/// Asks whether it is really meant.
pub(super) async fn ask_delete(
    visitor: Visitor,
    Path(role): Path<String>,
) -> Result<Response<Body>, Stop> {
    visitor.must("manage:roles")?;
    visitor.signed_in_recently()?;
    let (role, version) = find(&visitor, &role).await?;
    Ok(question(&role, version).ask(&visitor, None))
}

/// Deletes it.
pub(super) async fn delete(
    Path(role): Path<String>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, fields } = submitted;
    let (role, current) = find(&visitor, &role).await?;
    let version = fields.one("version");
    let call = Call::new(Method::DELETE, path(&role.name)).header(IF_MATCH, version);
    match visitor.calls.make(call).await {
        Ok(_) => Ok(see_done(PAGE, "role-deleted")),
        Err(mut problem) if problem.status == StatusCode::PRECONDITION_FAILED => {
            problem.detail = format!(
                "Somebody else has changed this role meanwhile: it gives {} now.",
                role.permissions.join(", ")
            );
            Ok(question(&role, current).ask(&visitor, Some(problem)))
        }
        Err(problem) if problem.is_of_form() => {
            Ok(question(&role, version.to_owned()).ask(&visitor, Some(problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

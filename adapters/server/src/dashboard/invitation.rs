//! An invitation that was just made: its link, shown this once.

use askama::Template;
use axum::{body::Body, response::Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    moment::Moment,
    page::{Shell, ok},
    visitor::Visitor,
};

/// An invitation, as the API gives it.
// No `Debug`: the secret is shown to the visitor alone.
#[derive(Deserialize)]
pub(super) struct Invitation {
    user: Invited,
    /// `None` where the form was sent again.
    invitation: Option<String>,
    expires_at: Option<Timestamp>,
}

/// Whom it is for.
#[derive(Deserialize)]
struct Invited {
    email: String,
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct Page {
    shell: Shell,
    email: String,
    /// The secret stands after the `#`, which browsers send to nobody.
    link: Option<String>,
    ends: Option<Moment>,
    back: String,
}

/// A page with the link, and a way on from there.
pub(super) fn page(visitor: &Visitor, invitation: Invitation, back: &str) -> Response<Body> {
    let link = invitation.invitation.filter(|secret| !secret.is_empty());
    ok(&Page {
        shell: visitor.shell("Send the link now"),
        email: invitation.user.email,
        link: link.map(|secret| format!("{}/-/join#{secret}", visitor.origin)),
        ends: visitor.moment_of(invitation.expires_at),
        back: back.to_owned(),
    })
}

//! What is done to a user after a question: signing them out, inviting them again, taking their second factor away,
//! disabling them.

use axum::{body::Body, extract::Path, response::Response};
use http::{Method, StatusCode};
use serde::Deserialize;

use super::{User, find};
use crate::dashboard::{
    calls::{Answer, Call},
    confirm::Question,
    invitation,
    page::see_done,
    problem::{Problem, Stop},
    visitor::{Submitted, Visitor},
};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    SignOut,
    InviteAgain,
    ResetFactor,
    Disable,
}

/// Whether anything was changed.
#[derive(Deserialize)]
struct Done {
    changed: bool,
}

impl Act {
    /// By the end of its address.
    fn of(word: &str) -> Result<Self, Problem> {
        match word {
            "sign-out" => Ok(Self::SignOut),
            "invite-again" => Ok(Self::InviteAgain),
            "reset-factor" => Ok(Self::ResetFactor),
            "disable" => Ok(Self::Disable),
            _ => Err(Problem::nothing()),
        }
    }

    fn question(self, user: &User) -> Question {
        let email = &user.email;
        let (title, happens, button) = match self {
            Self::SignOut => (
                format!("Sign {email} out everywhere?"),
                "All their sessions end, and requests under way with them. They can sign in again at once, and their keys go \
                 on working.",
                "Sign out everywhere",
            ),
            Self::InviteAgain => (
                format!("Invite {email} again?"),
                "A new link is made and shown once, and a link that is still open ends. Whoever opens the new one chooses \
                 the password anew; that ends the old password and every session.",
                "Invite again",
            ),
            Self::ResetFactor => (
                format!("Reset the second factor of {email}?"),
                "Their sessions end. From then on their password alone signs them in, until they add a second factor \
                 again: be sure that it is they who ask for it.",
                "Reset second factor",
            ),
            Self::Disable => (
                format!("Disable {email}?"),
                "Their sessions end, and so do the keys that act for them; requests under way too. What they have done stays \
                 in the audit.",
                "Disable user",
            ),
        };
        Question {
            title,
            happens: happens.to_owned(),
            button,
            danger: self != Self::InviteAgain,
            stay: "Leave it",
            back: user.page(),
            version: None,
        }
    }

    fn call(self, user: &User) -> Call {
        let (method, part) = match self {
            Self::SignOut => (Method::DELETE, "sessions"),
            Self::InviteAgain => (Method::POST, "invitation"),
            Self::ResetFactor => (Method::POST, "factor/reset"),
            Self::Disable => (Method::POST, "disable"),
        };
        Call::new(method, format!("{}/{part}", user.path()))
    }

    /// What is shown when it is done.
    fn done(self, visitor: &Visitor, user: &User, answer: &Answer) -> Result<Response<Body>, Stop> {
        let page = user.page();
        let word = match self {
            Self::InviteAgain => return Ok(invitation::page(visitor, answer.read()?, &page)),
            Self::SignOut => "sessions-ended",
            Self::ResetFactor if !answer.read::<Done>()?.changed => "no-factor",
            Self::ResetFactor => "factor-reset",
            Self::Disable => "user-disabled",
        };
        Ok(see_done(&page, word))
    }
}

/// Asks whether it is really meant.
pub(super) async fn ask(
    visitor: Visitor,
    Path((user, act)): Path<(String, String)>,
) -> Result<Response<Body>, Stop> {
    let act = Act::of(&act)?;
    // What ends sessions must not wait for a sign-in.
    if act != Act::SignOut {
        visitor.signed_in_recently()?;
    }
    let (user, _) = find(&visitor, &user).await?;
    Ok(act.question(&user).ask(&visitor, None))
}

/// Does it.
pub(super) async fn act(
    Path((user, act)): Path<(String, String)>,
    submitted: Submitted,
) -> Result<Response<Body>, Stop> {
    let Submitted { visitor, .. } = submitted;
    let act = Act::of(&act)?;
    let (user, _) = find(&visitor, &user).await?;
    match visitor.calls.make(act.call(&user)).await {
        Ok(answer) => act.done(&visitor, &user, &answer),
        // The user was there a moment ago: what is missing is something of theirs.
        Err(problem) if problem.is_of_form() || problem.status == StatusCode::NOT_FOUND => {
            Ok(act.question(&user).ask(&visitor, Some(problem)))
        }
        Err(problem) => Err(problem.into()),
    }
}

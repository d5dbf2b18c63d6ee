//! What a key will be able to do: the policy is asked about it, route by route, before there is one.

use serde::Deserialize;

use super::draft::Draft;
use crate::dashboard::{calls::Call, problem::sentence, visitor::Visitor};

/// What the policy says of a key that there is not yet.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// What minting would refuse, in sentences.
    pub(super) problems: Vec<String>,
    /// Whether minting would not.
    pub(super) valid: bool,
    pub(super) allowed: Vec<Route>,
    pub(super) refused: Vec<Route>,
    /// Those that it sees; none: every cluster, also those added later.
    pub(super) clusters: Option<Vec<String>>,
}

/// A route, and what was decided.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Route {
    pub(super) method: String,
    pub(super) pattern: String,
    allowed: bool,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// The API's preview.
#[derive(Debug, Deserialize)]
struct Preview {
    valid: bool,
    problems: Vec<String>,
    clusters: Option<Vec<String>>,
    routes: Vec<Route>,
}

impl Outlook {
    /// Of a draft. What cannot be previewed cannot be made either, and says why.
    pub(super) async fn of(visitor: &Visitor, draft: &Draft) -> Self {
        let mut body = match draft.body(visitor, visitor.now) {
            Ok(body) => body,
            Err(problem) => return Self::wrong(problem.detail),
        };
        // A key that has no name yet can do what it will be able to do with one.
        if let Some(members) = body.as_object_mut().filter(|_| draft.name.is_empty()) {
            members.remove("name");
        }
        let preview = visitor.calls.make(Call::post("/keys/preview", &body)).await;
        match preview.and_then(|answer| answer.read::<Preview>()) {
            Ok(preview) => Self::from(preview),
            Err(problem) => Self::wrong(problem.detail),
        }
    }

    fn wrong(problem: String) -> Self {
        Self {
            problems: vec![problem],
            ..Self::default()
        }
    }
}

impl From<Preview> for Outlook {
    fn from(preview: Preview) -> Self {
        let (allowed, refused) = preview.routes.into_iter().partition(|route| route.allowed);
        Self {
            problems: preview.problems.iter().map(|text| sentence(text)).collect(),
            valid: preview.valid,
            allowed,
            refused,
            clusters: preview.clusters,
        }
    }
}

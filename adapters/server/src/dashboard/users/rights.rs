//! The part of a form that says what a user may do, and on which clusters.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    User,
    bounds::{Bounds, Offered},
};
use crate::dashboard::{clusters::Picked, fields::Fields, problem::Problem, visitor::Visitor};

/// What the form says so far.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) role: String,
    /// `all`, `only` or `none`.
    pub(super) reach: String,
    pub(super) clusters: Vec<String>,
}

/// What there is to choose from.
#[derive(Debug)]
pub(super) struct Choices {
    pub(super) roles: Vec<Offered>,
    /// Whether a role is chosen.
    pub(super) has_role: bool,
    /// Whether every cluster can be given.
    pub(super) every: bool,
    pub(super) reach: String,
    pub(super) clusters: Vec<Picked>,
}

impl Rights {
    /// Of a form, or of a query that fills some of it in.
    pub(super) fn of(fields: &Fields) -> Self {
        Self {
            role: fields.one("role").to_owned(),
            reach: fields.one("reach").to_owned(),
            clusters: fields.all("cluster"),
        }
    }

    /// As a user has them.
    pub(super) fn of_user(user: &User) -> Self {
        let clusters = user.clusters.clone();
        let reach = match clusters.as_deref() {
            None => "all",
            Some([]) => "none",
            Some(_) => "only",
        };
        Self {
            role: user.role.clone(),
            reach: reach.to_owned(),
            clusters: clusters.unwrap_or_default(),
        }
    }

    /// What the API is sent, besides what else it is sent.
    ///
    /// # Errors
    /// What the form can say and the API cannot be told.
    pub(super) fn body(&self) -> Result<Value, Problem> {
        let clusters = match (self.reach.as_str(), self.clusters.is_empty()) {
            ("all", true) => None,
            ("only", false) => Some(&*self.clusters),
            ("none", true) => Some(&[][..]),
            ("only", true) => return Err(wrong("Choose at least one cluster.")),
            // Which of the two was meant must not be guessed.
            ("all" | "none", false) => {
                return Err(wrong(
                    "Some clusters are ticked, but “Only these clusters” is not chosen: choose it, or untick them.",
                ));
            }
            _ => return Err(wrong("Choose on which clusters.")),
        };
        Ok(json!({ "role": self.role, "clusters": clusters }))
    }

    /// What can be chosen, with this chosen.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn choices(&self, visitor: &Visitor) -> Result<Choices, Problem> {
        let bounds = Bounds::read(visitor).await?;
        let roles = bounds.offered(visitor, &self.role);
        Ok(Choices {
            has_role: roles.iter().any(|role| role.chosen),
            roles,
            every: visitor.me.clusters.is_none(),
            reach: self.reach.clone(),
            clusters: Picked::all(visitor, &self.clusters).await?,
        })
    }
}

fn wrong(detail: &str) -> Problem {
    Problem::own(StatusCode::UNPROCESSABLE_ENTITY, "Not yet", detail)
}

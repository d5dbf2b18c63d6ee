//! A key that is being thought of.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use crate::dashboard::{
    fields::Fields,
    keys::list::{Choice, choices},
    problem::Problem,
    visitor::Visitor,
};

/// When a key may end, in days, and how it reads.
const EXPIRIES: [(&str, &str); 6] = [
    ("never", "Never"),
    ("7", "In 7 days"),
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In a year"),
    ("date", "On a date"),
];

/// What the form says so far.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    /// Whether it is restricted to the clusters below.
    pub(super) only: bool,
    pub(super) clusters: Vec<String>,
    /// One of [`EXPIRIES`].
    pub(super) expires: String,
    /// For `date`: `2026-12-31`.
    pub(super) date: String,
}

/// The choices, one of them chosen.
pub(super) fn expiries(chosen: &str) -> Vec<Choice> {
    choices(&EXPIRIES, chosen)
}

/// The first day that a key can last to its end.
pub(super) fn tomorrow(now: Timestamp) -> String {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.tomorrow().unwrap_or(today).to_string()
}

impl Draft {
    /// What a form says.
    pub(super) fn of(fields: &Fields) -> Self {
        Self {
            name: fields.one("name").to_owned(),
            scopes: fields.all("scope"),
            only: fields.one("reach") == "only",
            clusters: fields.all("cluster"),
            expires: fields.given("expires").unwrap_or("never").to_owned(),
            date: fields.one("date").to_owned(),
        }
    }

    /// Whether its scopes are these, in whatever order.
    pub(super) fn is_exactly(&self, scopes: &[String]) -> bool {
        self.scopes.len() == scopes.len() && scopes.iter().all(|scope| self.scopes.contains(scope))
    }

    /// What the API is sent, by the moment from which times count.
    ///
    /// # Errors
    /// What the form can say and the API cannot be told.
    pub(super) fn body(&self, visitor: &Visitor, now: Timestamp) -> Result<Value, Problem> {
        let rules = &visitor.site.gate.contract().minting;
        if !self.only && !self.clusters.is_empty() {
            // Which of the two was meant must not be guessed.
            return Err(wrong(
                "Some clusters are ticked, but “Only these clusters” is not chosen: choose it, or untick them.",
            ));
        }
        if self.only && self.clusters.is_empty() {
            return Err(wrong("Choose at least one cluster, or every cluster."));
        }
        let mut body = json!({
            "name": self.name,
            "allowed_cluster_ids": if self.only { &*self.clusters } else { &[] },
        });
        let Some(members) = body.as_object_mut() else {
            return Ok(body);
        };
        if rules.scopes_allowed && !self.scopes.is_empty() {
            members.insert("scopes".to_owned(), json!(self.scopes));
        }
        if rules.expiry_allowed
            && let Some(at) = self.expires_at(now)?
        {
            members.insert("expires_at".to_owned(), json!(at));
        }
        Ok(body)
    }

    /// When it ends: a date means to the end of that day (UTC).
    fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let not_a_day = || wrong("Choose the day on which the key ends.");
        if self.expires == "never" {
            return Ok(None);
        }
        if self.expires == "date" {
            let day: Date = self.date.parse().map_err(|_| not_a_day())?;
            let end = day.tomorrow().ok().and_then(|next| {
                let midnight = next.to_zoned(TimeZone::UTC).ok()?.timestamp();
                midnight.checked_sub(SignedDuration::from_secs(1)).ok()
            });
            return end.map(Some).ok_or_else(not_a_day);
        }
        let days = EXPIRIES.iter().find(|(days, _)| *days == self.expires);
        let days: Option<i64> = days.and_then(|(days, _)| days.parse().ok());
        let at = days.and_then(|days| now.checked_add(SignedDuration::from_hours(days * 24)).ok());
        at.map(Some).ok_or_else(not_a_day)
    }
}

fn wrong(detail: &str) -> Problem {
    Problem::own(StatusCode::UNPROCESSABLE_ENTITY, "Not yet", detail)
}

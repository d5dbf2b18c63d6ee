//! Which records: what stands in the page's address.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use uuid::Uuid;

use crate::dashboard::{calls::query, keys::Listed, problem::Problem, visitor::Visitor};

/// Requests or changes.
pub(super) const KINDS: [(&str, &str); 3] = [
    ("", "Requests and changes"),
    ("request", "Requests"),
    ("change", "Changes"),
];
/// What came of requests.
pub(super) const OUTCOMES: [(&str, &str); 3] =
    [("", "Any"), ("admit", "Admitted"), ("refuse", "Refused")];
/// How far back.
pub(super) const SPANS: [(&str, &str); 6] = [
    ("1h", "The last hour"),
    ("24h", "The last day"),
    ("7d", "The last week"),
    ("30d", "The last 30 days"),
    ("90d", "The last 90 days"),
    ("days", "Days that I choose"),
];
/// How many hours each of [`SPANS`] is.
const HOURS: [(&str, i64); 5] = [
    ("1h", 1),
    ("24h", 24),
    ("7d", 7 * 24),
    ("30d", 30 * 24),
    ("90d", 90 * 24),
];

/// What records are searched by.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) kind: String,
    pub(super) outcome: String,
    /// An e-mail address, or an id.
    pub(super) user: String,
    /// Whose id that is.
    user_id: String,
    pub(super) credential: String,
    pub(super) reason: String,
    pub(super) path: String,
    pub(super) action: String,
    pub(super) subject: String,
    /// One of [`SPANS`].
    pub(super) span: String,
    /// For `days`: the first and the last.
    pub(super) from: String,
    pub(super) to: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A user, by their address.
#[derive(Deserialize)]
struct Found {
    id: Uuid,
    email: String,
}

impl Filter {
    /// What a visitor's address asks for. A user's address is looked up.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn of(visitor: &Visitor) -> Result<Self, Problem> {
        let (asked, now) = (&visitor.query, visitor.now);
        let said = |name| asked.one(name).to_owned();
        let user = asked.one("user");
        let user_id = match user.contains('@') && visitor.may("manage:users") {
            true => user_id(visitor, user).await?,
            false => user.to_owned(),
        };
        let mut filter = Self {
            kind: said("kind"),
            outcome: said("outcome"),
            user: user.to_owned(),
            user_id,
            credential: said("credential"),
            reason: said("reason"),
            path: said("path"),
            action: said("action"),
            subject: said("subject"),
            span: asked.given("span").unwrap_or("24h").to_owned(),
            from: said("from"),
            to: said("to"),
            since: None,
            until: None,
        };
        (filter.since, filter.until) = match filter.span.as_str() {
            "days" => (midnight(&filter.from, false), midnight(&filter.to, true)),
            span => {
                let known = HOURS.iter().find(|(known, _)| *known == span);
                let hours = known.map_or(24, |(_, hours)| *hours);
                (
                    now.checked_sub(SignedDuration::from_hours(hours)).ok(),
                    None,
                )
            }
        };
        Ok(filter)
    }

    fn pairs(&self) -> [(&'static str, &str); 11] {
        [
            ("kind", &self.kind),
            ("outcome", &self.outcome),
            ("user", &self.user),
            ("credential", &self.credential),
            ("reason", &self.reason),
            ("path", &self.path),
            ("action", &self.action),
            ("subject", &self.subject),
            ("span", &self.span),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// Whether it leaves out anything but what is too old.
    pub(super) fn says_something(&self) -> bool {
        let pairs = self.pairs();
        let said = pairs
            .iter()
            .filter(|(name, _)| !matches!(*name, "span" | "from" | "to"));
        said.into_iter().any(|(_, value)| !value.is_empty())
    }

    /// The query of a page with this filter and this besides.
    pub(super) fn page(&self, further: &[(&'static str, &str)]) -> String {
        query(self.pairs().into_iter().chain(further.iter().copied()))
    }

    /// The query of the picture: it is of all that happened then.
    pub(super) fn span(&self) -> String {
        let [since, until] = [self.since, self.until].map(said);
        query([("since", since.as_str()), ("until", &until)])
    }

    /// The query that the API is asked with.
    pub(super) fn api(&self, cursor: &str, limit: &str) -> String {
        let [since, until] = [self.since, self.until].map(said);
        query([
            ("kind", self.kind.as_str()),
            ("outcome", &self.outcome),
            ("user", &self.user_id),
            ("credential", &self.credential),
            ("reason", &self.reason),
            ("path", &self.path),
            ("action", &self.action),
            ("subject", &self.subject),
            ("since", &since),
            ("until", &until),
            ("cursor", cursor),
            ("limit", limit),
        ])
    }
}

fn said(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// The start of a day (UTC), or of the one after.
fn midnight(day: &str, after: bool) -> Option<Timestamp> {
    let day: Date = day.parse().ok()?;
    let day = if after { day.tomorrow().ok()? } else { day };
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The id behind an address. Of one that nobody has, nothing is found.
async fn user_id(visitor: &Visitor, email: &str) -> Result<String, Problem> {
    let found: Listed<Found> = visitor
        .calls
        .read(format!("/users{}", query([("email", email)])))
        .await?;
    let same = |user: &&Found| user.email.eq_ignore_ascii_case(email);
    let id = found.items.iter().find(same).map(|user| user.id);
    Ok(id.unwrap_or_default().to_string())
}

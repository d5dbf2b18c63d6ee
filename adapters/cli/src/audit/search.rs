//! `scopegate audit tail` and `scopegate audit search`.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use scopegate_host::{
    audit::{Filter, Found, RecordKind},
    store::Store,
};
use serde_json::Value;
use uuid::Uuid;

use super::place::StoreArgument;
use crate::{
    Common,
    failure::Failure,
    output::{self, Output, cell},
    remote::{AuditQuery, Remote},
};

/// Records that are read at once.
const PAGE: u32 = 1000;
/// How often `--follow` looks.
const FOLLOW_EVERY: Duration = Duration::from_millis(300);

#[derive(Args, Debug)]
pub(super) struct Tail {
    #[command(flatten)]
    store: StoreArgument,
    /// How many
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    count: u32,
    /// Go on with what is recorded from now on
    #[arg(short, long)]
    follow: bool,
}

#[derive(Args, Debug)]
pub(super) struct Search {
    #[command(flatten)]
    store: StoreArgument,
    /// Of this organization: its name or id
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Requests and changes of this user: their e-mail address or id
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// Requests and changes with this key, agent token or session
    #[arg(long, value_name = "ID")]
    credential: Option<Uuid>,
    /// Changes of this: the id of a key, a user, a session or a cluster, or the name of a role
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Requests or changes
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Changes of this kind, such as `key.mint`
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Requests with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = ["admit", "refuse"])]
    outcome: Option<String>,
    /// Requests refused for this reason, such as `missing-permission`
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Requests whose path begins with this
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// From here on: `2026-04-01`, `2026-04-01T10:00:00Z`, or how long ago, such as `24h`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// And before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Request,
    Change,
}

pub(super) async fn tail(tail: Tail, common: &Common) -> Result<()> {
    let store = tail.store.open(common).await?;
    let mut found = store
        .search_audit(&Filter::default(), None, tail.count)
        .await?
        .records;
    found.reverse();
    let mut last = match found.last() {
        Some(record) => record.seq,
        // None were asked for, or there are none.
        None => newest(&store).await?,
    };
    print(&found, common.output)?;
    if !tail.follow {
        return Ok(());
    }
    loop {
        let found = store.audit_after(last, PAGE).await?;
        last = found.last().map_or(last, |record| record.seq);
        print(&found, common.output)?;
        if found.is_empty() {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

pub(super) async fn run(search: Search, common: &Common) -> Result<()> {
    if search.store.store.is_none()
        && let Some(remote) = Remote::open(common)?
    {
        let query = search.query()?;
        return remote
            .search_audit(query, search.limit, |page| {
                let lines = page.iter().map(|record| match common.output {
                    Output::Json => record.to_string(),
                    Output::Text => text(record),
                });
                print_lines(&lines.collect::<Vec<_>>())
            })
            .await;
    }
    let store = search.store.open(common).await?;
    let filter = search.filter(&store).await?;
    let (mut before, mut left) = (None, search.limit);
    while left > 0 {
        let found = store.search_audit(&filter, before, left.min(PAGE)).await?;
        print(&found.records, common.output)?;
        let count = u32::try_from(found.records.len()).unwrap_or(u32::MAX);
        left = left.saturating_sub(count);
        before = found.older;
        if before.is_none() {
            break;
        }
    }
    Ok(())
}

async fn newest(store: &Store) -> Result<i64> {
    let found = store.search_audit(&Filter::default(), None, 1).await?;
    Ok(found.records.first().map_or(0, |record| record.seq))
}

impl Search {
    /// What is asked for, as the API takes it.
    fn query(&self) -> Result<AuditQuery> {
        let now = Timestamp::now();
        let moment = |text: &Option<String>| -> Result<Option<String>> {
            let Some(text) = text else { return Ok(None) };
            let ms = moment(text, now)?;
            Ok(Timestamp::from_millisecond(ms)
                .ok()
                .map(|moment| moment.to_string()))
        };
        let kind = self.kind.map(|kind| match kind {
            Kind::Request => "request".to_owned(),
            Kind::Change => "change".to_owned(),
        });
        Ok(AuditQuery {
            organization: self.organization.clone(),
            user: self.user.clone(),
            filter: vec![
                ("credential", self.credential.map(|id| id.to_string())),
                ("subject", self.subject.clone()),
                ("kind", kind),
                ("action", self.action.clone()),
                ("outcome", self.outcome.clone()),
                ("reason", self.reason.clone()),
                ("path", self.path.clone()),
                ("since", moment(&self.since)?),
                ("until", moment(&self.until)?),
            ],
        })
    }

    async fn filter(&self, store: &Store) -> Result<Filter> {
        let now = Timestamp::now();
        let moment =
            |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        Ok(Filter {
            organization: match &self.organization {
                Some(name) => Some(organization(store, name).await?),
                None => None,
            },
            user: match &self.user {
                Some(name) => Some(user(store, name).await?),
                None => None,
            },
            credential: self.credential,
            subject: self.subject.clone(),
            kind: self.kind.map(|kind| match kind {
                Kind::Request => RecordKind::Request,
                Kind::Change => RecordKind::Change,
            }),
            action: self.action.clone(),
            outcome: self.outcome.clone(),
            reason: self.reason.clone(),
            path: self.path.clone(),
            since_ms: moment(&self.since)?,
            until_ms: moment(&self.until)?,
        })
    }
}

async fn organization(store: &Store, name: &str) -> Result<Uuid> {
    if let Ok(id) = Uuid::parse_str(name) {
        return Ok(id);
    }
    let all = store.list_organizations().await?;
    all.into_iter()
        .find(|organization| organization.name == name)
        .map(|organization| organization.id)
        .ok_or_else(|| Failure::new(format!("there is no organization `{name}`")).into())
}

async fn user(store: &Store, name: &str) -> Result<Uuid> {
    if let Ok(id) = Uuid::parse_str(name) {
        return Ok(id);
    }
    let found = store.find_login(name).await?;
    found
        .map(|login| login.user.id)
        .ok_or_else(|| Failure::new(format!("there is no user `{name}`")).into())
}

/// A moment, a day in UTC, or a time ago.
fn moment(text: &str, now: Timestamp) -> Result<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    if let Some(start) = text
        .parse::<Date>()
        .ok()
        .and_then(|day| day.to_zoned(TimeZone::UTC).ok())
    {
        return Ok(start.timestamp().as_millisecond());
    }
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit_ms = match unit {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let number = number.parse::<u32>().ok()?;
        now.as_millisecond()
            .checked_sub(i64::from(number) * unit_ms)
    };
    ago().ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a time"))
            .help("write `2026-04-01`, `2026-04-01T10:00:00Z`, or how long ago, such as `24h` or `7d`")
            .into()
    })
}

fn print(found: &[Found], output: Output) -> Result<()> {
    let lines = found.iter().map(|record| match output {
        Output::Json => record.numbered(),
        Output::Text => text(&serde_json::from_str(&record.line).unwrap_or_default()),
    });
    print_lines(&lines.collect::<Vec<_>>())
}

fn print_lines(lines: &[String]) -> Result<()> {
    match lines {
        [] => Ok(()),
        some => output::line(&some.join("\n")),
    }
}

/// A record on one line, for people.
fn text(line: &Value) -> String {
    let is = |name: &str| line.get(name).map(cell).unwrap_or_default();
    let mut parts = vec![is("time")];
    if is("kind") == "change" {
        parts.push(format!(
            "{} {} by {}",
            is("action"),
            is("subject"),
            is("actor")
        ));
    } else {
        let outcome = [is("outcome"), is("reason"), is("about")];
        parts.push(outcome.join(" ").trim_end().to_owned());
        parts.push(format!("{} {}", is("method"), is("path")));
        let who = [is("name"), is("agent")];
        parts.push(match who {
            [name, agent] if !agent.is_empty() => format!("{name} ({agent})"),
            [name, _] if !name.is_empty() => name,
            _ => is("kind"),
        });
        if line.get("count").is_some() {
            parts.push(format!("{} times", is("count")));
        }
    }
    if line.get("address").is_some() {
        parts.push(is("address"));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_days_or_so_long_ago() {
        let now: Timestamp = "2026-04-02T10:00:00Z".parse().unwrap();
        let day = "2026-04-01T00:00:00Z"
            .parse::<Timestamp>()
            .unwrap()
            .as_millisecond();
        for (text, ms) in [
            ("2026-04-01", day),
            ("2026-04-01T00:00:01Z", day + 1000),
            ("34h", day),
            ("1d", day + 36_000_000),
        ] {
            assert_eq!(moment(text, now).unwrap(), ms, "{text}");
        }
        for text in ["", "h", "yesterday", "-1h", "1w"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_for_people() {
        let shown = |line: &str| text(&serde_json::from_str(line).unwrap());
        assert_eq!(
            shown(
                r#"{"time":"T","kind":"api-key","name":"ada","agent":"ci","address":"::1","method":"GET","path":"/x","outcome":"refuse","reason":"no-route"}"#
            ),
            "T  refuse no-route  GET /x  ada (ci)  ::1"
        );
        assert_eq!(
            shown(
                r#"{"time":"T","kind":"change","actor":"machine","action":"key.mint","subject":"id"}"#
            ),
            "T  key.mint id by machine"
        );
    }
}

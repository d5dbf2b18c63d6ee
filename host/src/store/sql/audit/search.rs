//! Searching the chain, a bounded piece of it at a time.

use super::read::found;
use crate::{
    audit::{Filter, Searched},
    store::{
        Store, StoreError,
        database::{Builder, Kind, Transaction, either, query},
    },
};

/// Records that one search looks at, at most. Where no index says what is looked for, they are read one by one: some
/// hundredths of a second.
const LOOKED_AT: u32 = 20_000;

impl Store {
    /// Audit records that are all of what the filter says, newest first, at most `limit`. `before` is [`Searched::older`] of
    /// the page before. One call looks at a bounded number of records: go on until there is no `older`.
    pub async fn search_audit(
        &self,
        filter: &Filter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Searched, StoreError> {
        self.search_audit_within(filter, before, limit, LOOKED_AT)
            .await
    }

    /// [`Self::search_audit`], looking at so many records at most.
    pub(in crate::store) async fn search_audit_within(
        &self,
        filter: &Filter,
        before: Option<i64>,
        limit: u32,
        looked_at: u32,
    ) -> Result<Searched, StoreError> {
        // One transaction: its statements see the chain as of one moment.
        let mut tx = self.database.snapshot(Kind::Search).await?;
        let Some((first, last)) = span(&mut tx, filter, looked_at).await? else {
            return Ok(Searched::default());
        };
        let before = before.unwrap_or(i64::MAX).min(last.saturating_add(1));
        let Conditions {
            source,
            way,
            part,
            rest,
        } = conditions(filter);
        let dialect = tx.dialect();
        let from = |columns: &'static str| {
            let mut query = Builder::new(dialect, "SELECT ");
            query.push(columns).push(" FROM ").either(source, "audit");
            query.push(" WHERE seq < ").push_bind(before);
            for condition in &way {
                and(&mut query, condition);
            }
            if let Some(part) = part {
                query.push(" AND ").push(part);
            }
            query
        };

        let times = [
            (" AND at_ms >= ", filter.since_ms),
            (" AND at_ms < ", filter.until_ms),
        ];
        // Where the index says all that is looked for, every record that is looked at is found.
        let is_scan = !rest.is_empty()
            || filter.path.is_some()
            || times.iter().any(|(_, time)| time.is_some());
        let end: Option<i64> = if is_scan {
            let mut query = from("seq");
            query.push(" AND seq >= ").push_bind(first);
            query.push(" ORDER BY seq DESC LIMIT 1 OFFSET ");
            query.push_bind(looked_at.saturating_sub(1));
            let end = query.build().fetch_optional(&mut tx).await?;
            end.map(|row| row.get(0)).transpose()?
        } else {
            None
        };

        let mut query = from("seq, line");
        query.push(" AND seq >= ").push_bind(end.unwrap_or(first));
        for condition in &rest {
            and(&mut query, condition);
        }
        if let Some(path) = &filter.path {
            query.either(
                " AND instr(line ->> '$.path', ",
                " AND starts_with(CAST(line AS json) ->> 'path', ",
            );
            query.push_bind(path.as_str()).either(") = 1", ")");
        }
        for (condition, time) in times {
            if let Some(time) = time {
                query.push(condition).push_bind(time);
            }
        }
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut tx).await?;
        let records: Vec<_> = rows.iter().map(found).collect::<Result<_, _>>()?;
        let is_full = u32::try_from(records.len()).is_ok_and(|count| count >= limit);
        let older = match records.last() {
            Some(last) if is_full => Some(last.seq),
            _ => end,
        };
        Ok(Searched { records, older })
    }
}

/// In quotes, as everywhere.
const USER: &str = "\"user\"";

/// A column that must be this text.
type Condition = (&'static str, String);

struct Conditions {
    /// The table, by the index whose records are looked at.
    source: &'static str,
    /// What that index is asked for, and what it is an index of; nothing without one.
    way: Vec<Condition>,
    part: Option<&'static str>,
    /// What the records are looked at for.
    rest: Vec<Condition>,
}

/// An index, by the columns that it is asked for.
struct Index {
    source: &'static str,
    columns: &'static [&'static str],
    /// What all records in it are, which the index says and nobody need look at: in the statement's own words, as the
    /// database chooses it before it knows what is bound.
    part: Option<(&'static str, &'static str, &'static str)>,
}

/// The first of these whose columns are all asked for is walked: what is rarer stands first.
const INDEXES: [Index; 8] = [
    Index::of("audit INDEXED BY audit_credential", &["credential"]),
    Index::of("audit INDEXED BY audit_subject", &["subject"]),
    Index::of("audit INDEXED BY audit_user", &[USER]),
    Index::of("audit INDEXED BY audit_action", &["organization", "action"]),
    Index::of("audit INDEXED BY audit_reason", &["organization", "reason"]),
    Index {
        part: Some(("kind", "change", "kind = 'change'")),
        ..Index::of("audit INDEXED BY audit_changes", &["organization"])
    },
    Index {
        part: Some(("outcome", "refuse", "outcome = 'refuse'")),
        ..Index::of("audit INDEXED BY audit_refused", &["organization"])
    },
    Index::of("audit INDEXED BY audit_organization", &["organization"]),
];

impl Index {
    const fn of(source: &'static str, columns: &'static [&'static str]) -> Self {
        Self {
            source,
            columns,
            part: None,
        }
    }

    fn serves(&self, asked: &[Condition]) -> bool {
        let is_asked = |column: &&str| asked.iter().any(|(known, _)| known == column);
        let is_part = |(column, text, _): (&str, &str, &str)| {
            asked
                .iter()
                .any(|(known, value)| *known == column && value == text)
        };
        self.columns.iter().all(is_asked) && self.part.is_none_or(is_part)
    }
}

fn conditions(filter: &Filter) -> Conditions {
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
    let asked = [
        ("credential", id(filter.credential)),
        ("subject", filter.subject.clone()),
        (USER, id(filter.user)),
        ("organization", id(filter.organization)),
        ("kind", filter.kind.map(|kind| kind.word().to_owned())),
        ("action", filter.action.clone()),
        ("outcome", filter.outcome.clone()),
        ("reason", filter.reason.clone()),
    ];
    let asked = asked.into_iter();
    let asked: Vec<Condition> = asked
        .filter_map(|(column, text)| Some((column, text?)))
        .collect();
    let Some(index) = INDEXES.into_iter().find(|index| index.serves(&asked)) else {
        return Conditions {
            // Without an index it is walked by its key, `seq`.
            source: "audit NOT INDEXED",
            way: Vec::new(),
            part: None,
            rest: asked,
        };
    };
    let part = index.part;
    let is_way = |(column, _): &Condition| {
        index.columns.contains(column) || part.is_some_and(|(known, ..)| known == *column)
    };
    let (mut way, rest): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_way);
    way.retain(|(column, _)| index.columns.contains(column));
    Conditions {
        source: index.source,
        way,
        part: part.map(|(_, _, words)| words),
        rest,
    }
}

fn and(query: &mut Builder, (column, text): &Condition) {
    query.push(" AND ").push(column).push(" = ");
    query.push_bind(text.clone());
}

/// The first and the last record of the time that is asked for, where there are few enough to count; all records where
/// there are not, and `None` where there is none. Times need not go up with the numbers, but nearly do.
async fn span(
    tx: &mut Transaction,
    filter: &Filter,
    looked_at: u32,
) -> Result<Option<(i64, i64)>, StoreError> {
    const ALL: (i64, i64) = (0, i64::MAX);
    if filter.since_ms.is_none() && filter.until_ms.is_none() {
        return Ok(Some(ALL));
    }
    let row = query(either(
        "SELECT count(*), min(seq), max(seq) FROM (SELECT seq FROM audit INDEXED BY audit_at_ms \
         WHERE at_ms >= $1 AND at_ms < $2 LIMIT $3)",
        "SELECT count(*), min(seq), max(seq) FROM (SELECT seq FROM audit \
         WHERE at_ms >= $1 AND at_ms < $2 LIMIT $3) AS looked_at",
    ))
    .bind(filter.since_ms.unwrap_or(i64::MIN))
    .bind(filter.until_ms.unwrap_or(i64::MAX))
    .bind(i64::from(looked_at) + 1)
    .fetch_one(tx)
    .await?;
    if row.get::<i64, _>(0)? > i64::from(looked_at) {
        return Ok(Some(ALL));
    }
    let (first, last): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
    Ok(first.zip(last))
}

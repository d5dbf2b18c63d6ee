//! The months of the audit: in PostgreSQL each is a table of its own, so that what is too old goes at once.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::store::{
    StoreError,
    database::{Builder, Dialect, Transaction, query},
};

/// The first day of a month, in UTC.
type Month = Date;

/// Sees to it that there is a place for records of these times, within the transaction that adds them.
pub(in crate::store) async fn prepare(
    tx: &mut Transaction,
    times_ms: impl Iterator<Item = i64>,
) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let months = times_ms
        .map(month)
        .collect::<Result<BTreeSet<_>, StoreError>>()?;
    for month in months {
        let name = format!("audit_{}_{}", month.year(), month.month());
        let there = query("SELECT to_regclass($1) IS NOT NULL").bind(name);
        if !there.fetch_one(tx).await?.get(0)? {
            create(tx, month).await?;
        }
    }
    Ok(())
}

/// A table is made and attached, which leaves searches their way: made as a part it would wait for all of them.
async fn create(tx: &mut Transaction, month: Month) -> Result<(), StoreError> {
    let next = month.checked_add(jiff::Span::new().months(1));
    let (first, end) = (start_ms(month)?, start_ms(next.map_err(no_time)?)?);
    let mut create = named("CREATE TABLE audit_", month);
    create.push(" (LIKE audit INCLUDING ALL)");
    create.build().execute(tx).await?;
    let mut attach = named("ALTER TABLE audit ATTACH PARTITION audit_", month);
    attach.push(" FOR VALUES FROM (").push_number(first);
    attach.push(") TO (").push_number(end).push(")");
    attach.build().execute(tx).await.map(drop)
}

/// Takes away the months whose records all have this number or a lower one; tells how many records those were.
pub(super) async fn drop_through(tx: &mut Transaction, last_seq: i64) -> Result<u64, StoreError> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let tables = query(
        "SELECT CAST(c.relname AS TEXT) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = to_regclass('audit')",
    );
    let mut dropped = 0;
    for table in tables.fetch_all(tx).await? {
        let Some(month) = month_of(&table.get::<String, _>(0)?) else {
            continue;
        };
        let held = named("SELECT count(*), max(seq) FROM audit_", month);
        let held = held.build().fetch_one(tx).await?;
        if held
            .get::<Option<i64>, _>(1)?
            .is_some_and(|last| last <= last_seq)
        {
            let drop = named("DROP TABLE audit_", month);
            drop.build().execute(tx).await?;
            dropped += held.get::<i64, _>(0)?.unsigned_abs();
        }
    }
    Ok(dropped)
}

/// A statement that ends with the name of a month's table, but for its beginning.
fn named(before: &'static str, month: Month) -> Builder {
    let mut statement = Builder::new(Dialect::Postgres, before);
    statement
        .push_number(month.year().into())
        .push("_")
        .push_number(month.month().into());
    statement
}

fn month_of(table: &str) -> Option<Month> {
    let (year, month) = table.strip_prefix("audit_")?.split_once('_')?;
    Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
}

fn month(at_ms: i64) -> Result<Month, StoreError> {
    let at = Timestamp::from_millisecond(at_ms).map_err(no_time)?;
    Ok(at.to_zoned(TimeZone::UTC).date().first_of_month())
}

fn start_ms(month: Month) -> Result<i64, StoreError> {
    let start = month.to_zoned(TimeZone::UTC).map_err(no_time)?;
    Ok(start.timestamp().as_millisecond())
}

fn no_time(error: jiff::Error) -> StoreError {
    StoreError::Unavailable(format!("the time of a record is none: {error}"))
}

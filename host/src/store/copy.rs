//! A store on one engine made the same as one on another: what differs is read side by side and written, and at the end
//! everything is read again.
//!
//! The whole target is one transaction: it becomes the same or stays as it was. A second run finds little to do, so that a
//! store in use can be copied while it serves, and once more when its server has ended.

mod tables;

use std::collections::BTreeMap;

use super::{
    Store, StoreError,
    database::{Builder, Dialect, Kind, Row, Transaction, Value, query},
};
use tables::{Column, TABLES, Table};

/// Rows that are read at once.
const ROWS: u32 = 1000;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows that were added.
    pub added: u64,
    /// Rows that were changed.
    pub changed: u64,
    /// Rows that were taken away.
    pub removed: u64,
    /// Rows that were compared at the end, all the same.
    pub compared: u64,
}

/// A copy was not made, and nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store does not answer, or the target refuses a row.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target is a store of its own: copying would take away what is only there.
    #[error("there is another store already: its audit does not go on in the one that is copied")]
    Other,
    /// What was written is not what was read.
    #[error("`{table}` is not the same in both stores after copying: {rows} rows differ")]
    Differs {
        /// The first such table.
        table: &'static str,
        /// How many rows of it.
        rows: u64,
    },
}

/// Makes `to` the same as `from` is at one moment. Both may be in use, but who changes `to` waits.
///
/// # Errors
/// When a store does not answer, the target is another store, or the two are not the same in the end. Nothing is changed
/// then.
pub async fn copy(from: &Store, to: &Store) -> Result<Copied, CopyError> {
    let mut source = from.database.snapshot(Kind::Search).await?;
    let mut target = to.database.change().await?;
    if !is_part(&mut target, &mut source).await? {
        return Err(CopyError::Other);
    }
    let mut copied = Copied::default();
    for table in &TABLES {
        walk(table, &mut source, &mut target, Some(&mut copied)).await?;
    }
    number_sessions_on(&mut target).await?;
    for table in &TABLES {
        let (rows, differing) = walk(table, &mut source, &mut target, None).await?;
        if differing > 0 {
            let table = table.name;
            return Err(CopyError::Differs {
                table,
                rows: differing,
            });
        }
        copied.compared += rows;
    }
    target.commit().await?;
    to.find_audit_end().await?;
    Ok(copied)
}

/// Whether a store is empty, or has been what the other one is: every change of a store is in its audit, and the last record
/// of that is one of the other's.
async fn is_part(store: &mut Transaction, of: &mut Transaction) -> Result<bool, StoreError> {
    let last = query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
    let Some(last) = last.fetch_optional(store).await? else {
        let anything = query("SELECT 1 FROM organizations UNION ALL SELECT 1 FROM users LIMIT 1");
        return Ok(anything.fetch_optional(store).await?.is_none());
    };
    let (seq, hash): (i64, Vec<u8>) = (last.get(0)?, last.get(1)?);
    let same = query("SELECT 1 FROM audit WHERE seq = $1 AND hash = $2").bind(seq);
    let same = same.bind(hash).fetch_optional(of).await?;
    Ok(same.is_some())
}

/// Sessions that are opened from now on come after those that were copied.
async fn number_sessions_on(target: &mut Transaction) -> Result<(), StoreError> {
    if target.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let next = query(
        "SELECT setval(pg_get_serial_sequence('sessions', 'rowid'), coalesce(max(rowid), 0) + 1, FALSE) FROM sessions",
    );
    next.fetch_one(target).await.map(drop)
}

type Key = Vec<Value>;
type Rows = BTreeMap<Key, Vec<Value>>;

/// Reads a table in both stores side by side, and where `copied` is given makes the target's the same. Tells how many rows
/// the source has, and how many of both differed.
async fn walk(
    table: &Table,
    source: &mut Transaction,
    target: &mut Transaction,
    mut copied: Option<&mut Copied>,
) -> Result<(u64, u64), StoreError> {
    let (mut rows, mut differing) = (0, 0);
    let mut after: Option<Key> = None;
    loop {
        let wanted = read(table, source, after.as_ref(), None, Some(ROWS)).await?;
        let is_last = u32::try_from(wanted.len()).is_ok_and(|count| count < ROWS);
        let through = match is_last {
            true => None,
            false => wanted.keys().next_back(),
        };
        let there = read(table, target, after.as_ref(), through, None).await?;
        rows += u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        let difference = Difference::of(&wanted, &there);
        differing += difference.len();
        if let Some(copied) = copied.as_deref_mut() {
            difference.write(table, target, copied).await?;
        }
        after = through.cloned();
        if is_last {
            return Ok((rows, differing));
        }
    }
}

/// What two stores have of one piece of a table, and one of them alone.
struct Difference<'r> {
    added: Vec<&'r Vec<Value>>,
    changed: Vec<(&'r Vec<Value>, &'r Vec<Value>)>,
    removed: Vec<&'r Vec<Value>>,
}

impl<'r> Difference<'r> {
    fn of(wanted: &'r Rows, there: &'r Rows) -> Self {
        let mut this = Self {
            added: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
        };
        for (key, row) in wanted {
            match there.get(key) {
                None => this.added.push(row),
                Some(other) if other != row => this.changed.push((row, other)),
                Some(_) => {}
            }
        }
        let gone = there.iter().filter(|(key, _)| !wanted.contains_key(*key));
        this.removed.extend(gone.map(|(_, row)| row));
        this
    }

    fn len(&self) -> u64 {
        let len = self.added.len() + self.changed.len() + self.removed.len();
        u64::try_from(len).unwrap_or(u64::MAX)
    }

    async fn write(
        self,
        table: &Table,
        target: &mut Transaction,
        copied: &mut Copied,
    ) -> Result<(), StoreError> {
        for row in self.removed {
            let mut delete = Builder::new(target.dialect(), "DELETE FROM ");
            delete.push(table.name);
            where_key(&mut delete, table, row);
            copied.removed += delete.build().execute(target).await?;
        }
        for (row, before) in self.changed {
            // What never changes is not so much as named, or the engine would refuse.
            let mut update = Builder::new(target.dialect(), "UPDATE ");
            update.push(table.name).push(" SET ");
            let columns = table.columns.iter().zip(row.iter().zip(before));
            let changed = columns.filter(|(_, (now, before))| now != before);
            for (place, (column, (now, _))) in changed.enumerate() {
                update.push(if place == 0 { "" } else { ", " });
                update.push(column.name).push(" = ").push_bind(now.clone());
            }
            where_key(&mut update, table, row);
            copied.changed += update.build().execute(target).await?;
        }
        if table.name == "audit" {
            super::sql::prepare_months(
                target,
                self.added.iter().filter_map(|row| at_ms(table, row)),
            )
            .await?;
        }
        // Values of one statement are bounded.
        let at_once = (ROWS as usize / table.columns.len()).max(1);
        for some in self.added.chunks(at_once) {
            copied.added += insert(table, target, some).await?;
        }
        Ok(())
    }
}

fn at_ms(table: &Table, row: &[Value]) -> Option<i64> {
    let place = table
        .columns
        .iter()
        .position(|column| column.name == "at_ms")?;
    match row.get(place)? {
        Value::Int(at_ms) => *at_ms,
        _ => None,
    }
}

async fn insert(
    table: &Table,
    target: &mut Transaction,
    rows: &[&Vec<Value>],
) -> Result<u64, StoreError> {
    let mut insert = Builder::new(target.dialect(), "INSERT INTO ");
    insert.push(table.name).push(" (");
    names(&mut insert, table.columns);
    insert.push(") VALUES ");
    for (place, row) in rows.iter().enumerate() {
        insert.push(if place == 0 { "(" } else { ", (" });
        bind(&mut insert, row);
        insert.push(")");
    }
    insert.build().execute(target).await
}

async fn read(
    table: &Table,
    tx: &mut Transaction,
    after: Option<&Key>,
    through: Option<&Key>,
    limit: Option<u32>,
) -> Result<Rows, StoreError> {
    let mut select = Builder::new(tx.dialect(), "SELECT ");
    names(&mut select, table.columns);
    select.push(" FROM ").push(table.name).push(" WHERE TRUE");
    for (bound, comparison) in [(after, ") > ("), (through, ") <= (")] {
        if let Some(bound) = bound {
            select.push(" AND (");
            names(&mut select, table.key());
            select.push(comparison);
            bind(&mut select, bound);
            select.push(")");
        }
    }
    select.push(" ORDER BY ");
    names(&mut select, table.key());
    if let Some(limit) = limit {
        select.push(" LIMIT ").push_bind(limit);
    }
    let found = select.build().fetch_all(tx).await?;
    found.iter().map(|row| values(table, row)).collect()
}

fn values(table: &Table, row: &Row) -> Result<(Key, Vec<Value>), StoreError> {
    let values = table.columns.iter().enumerate();
    let values: Vec<Value> = values
        .map(|(place, column)| column.read(row, place))
        .collect::<Result<_, _>>()?;
    let key = values.get(..table.key_len).unwrap_or_default().to_vec();
    Ok((key, values))
}

fn names(statement: &mut Builder, columns: &[Column]) {
    for (place, column) in columns.iter().enumerate() {
        statement.push(if place == 0 { "" } else { ", " });
        statement.push(column.name);
    }
}

fn bind(statement: &mut Builder, values: &[Value]) {
    for (place, value) in values.iter().enumerate() {
        statement.push(if place == 0 { "" } else { ", " });
        statement.push_bind(value.clone());
    }
}

fn where_key(statement: &mut Builder, table: &Table, row: &[Value]) {
    statement.push(" WHERE (");
    names(statement, table.key());
    statement.push(") = (");
    bind(statement, row.get(..table.key_len).unwrap_or_default());
    statement.push(")");
}

#[cfg(test)]
mod tests;

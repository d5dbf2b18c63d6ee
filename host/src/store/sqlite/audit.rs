//! The audit's chain in the store: every record is appended through here, in the transaction of what it tells of.

mod carry_over;
mod prune;
mod read;
mod rollup;
mod search;
mod start;

use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Sqlite, unavailable};
use crate::{
    audit::{
        Seal,
        chain::{self, Added, End, Hash, Row},
        head::Head,
        rollup as audit_rollup,
    },
    store::StoreError,
};

pub(super) use carry_over::carry_over;

/// Records of one statement. Few sizes, so that the database prepares each once.
const ROWS: [usize; 3] = [128, 16, 1];

/// What a store knows of its chain besides the chain itself.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    seal: Option<Seal>,
    /// The number of the last record that is on disk.
    end: AtomicI64,
}

/// Records that are in the store when their transaction ends.
pub(super) struct Appended {
    end: End,
    closed: Vec<Head>,
    /// The number of the first.
    first_seq: i64,
}

impl Ledger {
    /// Adds records at the end of the chain, within a transaction that holds the store for writing.
    pub(super) async fn append(
        &self,
        connection: &mut SqliteConnection,
        lines: impl IntoIterator<Item = String>,
    ) -> Result<Appended, StoreError> {
        let end = end(connection).await?;
        let added = chain::add(end, lines);
        let closed = write(connection, &added, self.seal.as_ref())
            .await
            .map_err(unavailable)?;
        rollup::add(connection, &audit_rollup::count(&added.rows)).await?;
        Ok(Appended {
            end: added.end,
            closed,
            first_seq: end.seq + 1,
        })
    }

    /// The transaction has ended: signs and exports what it added.
    pub(super) fn committed(&self, appended: &Appended) {
        self.end.fetch_max(appended.end.seq, Ordering::AcqRel);
        if let Some(seal) = &self.seal {
            seal.export(&appended.closed, &appended.end);
        }
    }
}

impl Sqlite {
    /// Adds records in one transaction; gives the number of the first.
    pub(in crate::store) async fn append_audit(&self, lines: &[String]) -> Result<i64, StoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        let mut tx = begun.map_err(unavailable)?;
        let appended = self.ledger.append(&mut tx, lines.iter().cloned()).await?;
        tx.commit().await.map_err(unavailable)?;
        self.ledger.committed(&appended);
        Ok(appended.first_seq)
    }

    /// The number of the last record that is on disk.
    pub(in crate::store) fn audit_end(&self) -> i64 {
        self.ledger.end.load(Ordering::Acquire)
    }

    /// Reads where the chain ends, when a store is opened.
    pub(super) async fn find_audit_end(&self) -> Result<(), StoreError> {
        let mut connection = self.readers.acquire().await.map_err(unavailable)?;
        let end = end(&mut connection).await?;
        self.ledger.end.store(end.seq, Ordering::Release);
        Ok(())
    }

    /// Notes when credentials were last admitted, in seconds since the epoch.
    pub(in crate::store) async fn set_last_uses(
        &self,
        uses: &[(uuid::Uuid, i64)],
    ) -> Result<(), StoreError> {
        let uses = serde_json::json!(uses).to_string();
        let mut tx = self.writer.begin().await.map_err(unavailable)?;
        for statement in [
            "UPDATE credentials SET used_at = max(ifnull(used_at, 0), u.value ->> 1) FROM json_each(?) AS u \
             WHERE credentials.id = u.value ->> 0",
            // What is no credential of the store's is a session.
            "INSERT INTO last_uses (credential, used_at) \
             SELECT u.value ->> 0, u.value ->> 1 FROM json_each(?) AS u \
             WHERE NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = u.value ->> 0) \
             ON CONFLICT (credential) DO UPDATE SET used_at = max(used_at, excluded.used_at)",
        ] {
            let query = sqlx::query(statement).bind(uses.clone());
            query.execute(&mut *tx).await.map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)
    }

    /// What was exported is on disk when this returns.
    pub(super) fn sync_heads(&self) {
        if let Some(seal) = &self.ledger.seal {
            seal.sync();
        }
    }
}

/// Where the chain ends.
async fn end(connection: &mut SqliteConnection) -> Result<End, StoreError> {
    let record = sqlx::query("SELECT seq, hash, at_ms FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    let segment = sqlx::query(
        "SELECT id, first_seq, previous, opened_ms, last_seq, hash, closed_ms FROM audit_segments \
         ORDER BY id DESC LIMIT 1",
    )
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    let Some(segment) = segment else {
        return Ok(End::NONE);
    };
    let id: i64 = get(&segment, 0)?;
    let first_seq: i64 = get(&segment, 1)?;
    let mut end = match get::<Option<i64>>(&segment, 4)? {
        Some(last_seq) => End {
            seq: last_seq,
            hash: hash(&segment, 5)?,
            at_ms: get(&segment, 6)?,
            segment: id,
            open: None,
        },
        None => End {
            seq: first_seq - 1,
            hash: hash(&segment, 2)?,
            at_ms: get(&segment, 3)?,
            segment: id,
            open: Some((first_seq, get(&segment, 3)?)),
        },
    };
    // Whatever happened to the file, numbers go on from the highest that there is.
    if let Some(record) = record
        && get::<i64>(&record, 0)? > end.seq
    {
        end.seq = get(&record, 0)?;
        end.hash = hash(&record, 1)?;
        end.at_ms = get(&record, 2)?;
    }
    Ok(end)
}

async fn write(
    connection: &mut SqliteConnection,
    added: &Added,
    seal: Option<&Seal>,
) -> Result<Vec<Head>, sqlx::Error> {
    for segment in &added.opened {
        sqlx::query(
            "INSERT INTO audit_segments (id, first_seq, previous, opened_ms) VALUES (?, ?, ?, ?)",
        )
        .bind(segment.id)
        .bind(segment.first_seq)
        .bind(segment.previous.to_vec())
        .bind(segment.opened_ms)
        .execute(&mut *connection)
        .await?;
    }
    let mut rows = added.rows.as_slice();
    for count in ROWS {
        while let Some((some, rest)) = rows.split_at_checked(count) {
            insert(connection, some).await?;
            rows = rest;
        }
    }
    let mut heads = Vec::new();
    for closed in &added.closed {
        let head = seal.map(|seal| seal.close(closed));
        sqlx::query(
            "UPDATE audit_segments SET last_seq = ?, hash = ?, closed_ms = ?, key_id = ?, signature = ? WHERE id = ?",
        )
        .bind(closed.last_seq)
        .bind(closed.hash.to_vec())
        .bind(closed.closed_ms)
        .bind(head.as_ref().map(|head| head.key_id.clone()))
        .bind(head.as_ref().map(|head| head.signature.clone()))
        .bind(closed.id)
        .execute(&mut *connection)
        .await?;
        heads.extend(head);
    }
    Ok(heads)
}

async fn insert(connection: &mut SqliteConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    let places = ["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"].repeat(rows.len());
    let statement = format!(
        "INSERT INTO audit (seq, segment, at_ms, kind, organization, user, credential, action, subject, outcome, \
         reason, line, hash) VALUES {}",
        places.join(", ")
    );
    // Nothing of the records is in the text, only how many they are.
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in rows {
        let facts = &row.facts;
        query = query
            .bind(row.seq)
            .bind(row.segment)
            .bind(facts.at_ms)
            .bind(facts.kind.word())
            .bind(facts.organization.clone())
            .bind(facts.user.clone())
            .bind(facts.credential.clone())
            .bind(facts.action.clone())
            .bind(facts.subject.clone())
            .bind(facts.outcome.clone())
            .bind(facts.reason.clone())
            .bind(row.line.clone())
            .bind(row.hash.to_vec());
    }
    query.execute(connection).await.map(drop)
}

fn get<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Type<sqlx::Sqlite> + sqlx::Decode<'r, sqlx::Sqlite>,
{
    row.try_get(index).map_err(unavailable)
}

/// A hash; one of another length than it must have is one that nothing matches.
fn hash(row: &SqliteRow, index: usize) -> Result<Hash, StoreError> {
    let bytes: Vec<u8> = get(row, index)?;
    Ok(bytes.try_into().unwrap_or_default())
}

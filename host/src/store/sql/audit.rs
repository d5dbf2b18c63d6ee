//! The audit's chain in the store: every record is appended through here, in the transaction of what it tells of.

mod carry_over;
mod months;
mod prune;
mod read;
mod rollup;
mod search;
mod start;

pub(in crate::store) use months::prepare as prepare_months;

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{
    audit::{
        Seal,
        chain::{self, Added, End, Hash},
        head::Head,
        rollup as audit_rollup,
    },
    store::{
        Store, StoreError,
        database::{Builder, Kind, Row, Transaction, either, query},
    },
};

/// Records of one statement. Few sizes, so that the database prepares each once.
const ROWS: [usize; 3] = [128, 16, 1];

/// What a store knows of its chain besides the chain itself.
#[derive(Debug, Default)]
pub(in crate::store) struct Ledger {
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
        tx: &mut Transaction,
        lines: impl IntoIterator<Item = String>,
    ) -> Result<Appended, StoreError> {
        let end = end(tx).await?;
        let added = chain::add(end, lines);
        let closed = write(tx, &added, self.seal.as_ref()).await?;
        rollup::add(tx, &audit_rollup::count(&added.rows)).await?;
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

impl Store {
    /// Adds audit records in one transaction that is on disk when this returns; gives the number of the first.
    pub(crate) async fn append_audit(&self, lines: &[String]) -> Result<i64, StoreError> {
        let mut tx = self.database.change().await?;
        let appended = self.ledger.append(&mut tx, lines.iter().cloned()).await?;
        tx.commit().await?;
        self.ledger.committed(&appended);
        Ok(appended.first_seq)
    }

    /// The number of the last audit record that this process has written or found.
    pub(crate) fn audit_end(&self) -> i64 {
        self.ledger.end.load(Ordering::Acquire)
    }

    /// Reads where the chain ends, when a store is opened.
    pub(in crate::store) async fn find_audit_end(&self) -> Result<(), StoreError> {
        let mut tx = self.database.snapshot(Kind::LookUp).await?;
        let end = end(&mut tx).await?;
        self.ledger.end.store(end.seq, Ordering::Release);
        Ok(())
    }

    /// Notes when credentials were last admitted, in seconds since the epoch.
    pub(crate) async fn set_last_uses(&self, uses: &[(uuid::Uuid, i64)]) -> Result<(), StoreError> {
        let uses = serde_json::json!(uses).to_string();
        let mut tx = self.database.change().await?;
        for (sqlite, postgres) in LAST_USES {
            let query = query(either(sqlite, postgres)).bind(uses.as_str());
            query.execute(&mut tx).await?;
        }
        tx.commit().await
    }

    /// What was exported is on disk when this returns.
    pub(in crate::store) fn sync_heads(&self) {
        if let Some(seal) = &self.ledger.seal {
            seal.sync();
        }
    }
}

/// What is no credential of the store's is a session.
const LAST_USES: [(&str, &str); 2] = [
    (
        "UPDATE credentials SET used_at = max(coalesce(used_at, 0), u.value ->> 1) FROM json_each($1) AS u \
         WHERE credentials.id = u.value ->> 0",
        "UPDATE credentials SET used_at = greatest(used_at, CAST(u.value ->> 1 AS BIGINT)) \
         FROM json_array_elements(CAST($1 AS json)) AS u (value) WHERE credentials.id = u.value ->> 0",
    ),
    (
        "INSERT INTO last_uses (credential, used_at) \
         SELECT u.value ->> 0, u.value ->> 1 FROM json_each($1) AS u \
         WHERE NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = u.value ->> 0) \
         ON CONFLICT (credential) DO UPDATE SET used_at = max(used_at, excluded.used_at)",
        "INSERT INTO last_uses (credential, used_at) \
         SELECT u.value ->> 0, max(CAST(u.value ->> 1 AS BIGINT)) FROM json_array_elements(CAST($1 AS json)) AS u (value) \
         WHERE NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = u.value ->> 0) GROUP BY u.value ->> 0 \
         ON CONFLICT (credential) DO UPDATE SET used_at = greatest(last_uses.used_at, excluded.used_at)",
    ),
];

/// Where the chain ends.
async fn end(tx: &mut Transaction) -> Result<End, StoreError> {
    let record = query("SELECT seq, hash, at_ms FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(tx)
        .await?;
    let segment = query(
        "SELECT id, first_seq, previous, opened_ms, last_seq, hash, closed_ms FROM audit_segments \
         ORDER BY id DESC LIMIT 1",
    )
    .fetch_optional(tx)
    .await?;
    let Some(segment) = segment else {
        return Ok(End::NONE);
    };
    let id: i64 = segment.get(0)?;
    let first_seq: i64 = segment.get(1)?;
    let mut end = match segment.get::<Option<i64>, _>(4)? {
        Some(last_seq) => End {
            seq: last_seq,
            hash: hash(&segment, 5)?,
            at_ms: segment.get(6)?,
            segment: id,
            open: None,
        },
        None => End {
            seq: first_seq - 1,
            hash: hash(&segment, 2)?,
            at_ms: segment.get(3)?,
            segment: id,
            open: Some((first_seq, segment.get(3)?)),
        },
    };
    // Whatever happened to the file, numbers go on from the highest that there is.
    if let Some(record) = record
        && record.get::<i64, _>(0)? > end.seq
    {
        end.seq = record.get(0)?;
        end.hash = hash(&record, 1)?;
        end.at_ms = record.get(2)?;
    }
    Ok(end)
}

async fn write(
    tx: &mut Transaction,
    added: &Added,
    seal: Option<&Seal>,
) -> Result<Vec<Head>, StoreError> {
    for segment in &added.opened {
        query(
            "INSERT INTO audit_segments (id, first_seq, previous, opened_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(segment.id)
        .bind(segment.first_seq)
        .bind(&segment.previous)
        .bind(segment.opened_ms)
        .execute(tx)
        .await?;
    }
    months::prepare(tx, added.rows.iter().map(|row| row.facts.at_ms)).await?;
    let mut rows = added.rows.as_slice();
    for count in ROWS {
        while let Some((some, rest)) = rows.split_at_checked(count) {
            insert(tx, some).await?;
            rows = rest;
        }
    }
    let mut heads = Vec::new();
    for closed in &added.closed {
        let head = seal.map(|seal| seal.close(closed));
        query(
            "UPDATE audit_segments SET last_seq = $1, hash = $2, closed_ms = $3, key_id = $4, signature = $5 \
             WHERE id = $6",
        )
        .bind(closed.last_seq)
        .bind(&closed.hash)
        .bind(closed.closed_ms)
        .bind(head.as_ref().map(|head| head.key_id.clone()))
        .bind(head.as_ref().map(|head| head.signature.clone()))
        .bind(closed.id)
        .execute(tx)
        .await?;
        heads.extend(head);
    }
    Ok(heads)
}

async fn insert(tx: &mut Transaction, rows: &[chain::Row]) -> Result<(), StoreError> {
    let mut query = Builder::new(
        tx.dialect(),
        "INSERT INTO audit (seq, segment, at_ms, kind, organization, \"user\", credential, action, subject, outcome, \
         reason, line, hash) VALUES ",
    );
    for (index, row) in rows.iter().enumerate() {
        let facts = &row.facts;
        query.push(if index == 0 { "(" } else { ", (" });
        query.push_bind(row.seq);
        query.push(", ").push_bind(row.segment);
        query.push(", ").push_bind(facts.at_ms);
        query.push(", ").push_bind(facts.kind.word());
        for text in [
            &facts.organization,
            &facts.user,
            &facts.credential,
            &facts.action,
            &facts.subject,
            &facts.outcome,
            &facts.reason,
        ] {
            query.push(", ").push_bind(text.clone());
        }
        query.push(", ").push_bind(row.line.as_str());
        query.push(", ").push_bind(&row.hash);
        query.push(")");
    }
    query.build().execute(tx).await.map(drop)
}

/// A hash; one of another length than it must have is one that nothing matches.
fn hash(row: &Row, index: usize) -> Result<Hash, StoreError> {
    let bytes: Vec<u8> = row.get(index)?;
    Ok(bytes.try_into().unwrap_or_default())
}

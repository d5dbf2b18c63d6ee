//! Events of stores from before there was a chain: they become its first records.

use uuid::Uuid;

use super::Ledger;
use crate::{
    audit::line::ChangeLine,
    store::{
        Actor, Origin, Store, StoreError,
        database::{Dialect, Row, Transaction, query},
    },
};

const BATCH: i64 = 1000;

impl Store {
    /// Carries the events over, once, and drops their table in the same transaction. Only SQLite ever had them.
    pub(in crate::store) async fn carry_over(&self) -> Result<(), StoreError> {
        if self.database.dialect() != Dialect::Sqlite {
            return Ok(());
        }
        let mut tx = self.database.change().await?;
        let there = query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'events'");
        if there.fetch_optional(&mut tx).await?.is_none() {
            return Ok(());
        }
        let ledger = Ledger::default();
        let mut after = i64::MIN;
        loop {
            let lines = lines(&mut tx, &mut after).await?;
            if lines.is_empty() {
                break;
            }
            ledger.append(&mut tx, lines).await?;
        }
        query("DROP TABLE events").execute(&mut tx).await?;
        tx.commit().await
    }
}

async fn lines(tx: &mut Transaction, after: &mut i64) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "SELECT id, at_ms, actor, organization, action, subject, detail FROM events \
         WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(*after)
    .bind(BATCH)
    .fetch_all(tx)
    .await?;
    let mut lines = Vec::new();
    for row in &rows {
        *after = row.get(0)?;
        lines.push(line(row).map_err(|what| StoreError::Corrupt {
            table: "events",
            id: after.to_string(),
            what,
        })?);
    }
    Ok(lines)
}

fn line(row: &Row) -> Result<String, String> {
    let text = |index: usize| -> Result<Option<String>, String> {
        row.try_get(index).map_err(|error| error.to_string())
    };
    let words = |index: usize| text(index).map(Option::unwrap_or_default);
    let id = |text: &str| Uuid::parse_str(text).map_err(|_| format!("`{text}` is not a UUID"));
    let actor = match words(2)?.as_str() {
        "machine" => Actor::Machine,
        "gate" => Actor::Gate,
        user => Actor::User(id(user)?),
    };
    let organization = text(3)?.map(|text| id(&text)).transpose()?;
    let detail = serde_json::from_str(&words(6)?).map_err(|_| "`detail` is not JSON".to_owned())?;
    let line = ChangeLine {
        at_ms: row.try_get(1).map_err(|error| error.to_string())?,
        origin: &Origin::from(actor),
        organization,
        action: &words(4)?,
        subject: &words(5)?,
        detail: &detail,
    };
    Ok(line.text())
}

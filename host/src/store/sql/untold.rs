//! Changes of which not all gates are known to have heard. Each is noted in the transaction that makes it, so that it is told
//! of also when the gate that made it is gone.

use uuid::Uuid;

use crate::{
    counters::redis::Touched,
    store::{
        Store, StoreError, Touch,
        database::{Builder, Row, Transaction, query},
    },
};

/// How many are read at once.
const UNTOLD_MAX: i64 = 1000;

/// A note.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Untold {
    /// Never used for another one.
    pub(crate) id: i64,
    /// What is to be told.
    pub(crate) touched: Touched,
}

/// Notes a change that touches something.
pub(super) async fn note(
    tx: &mut Transaction,
    touched: Touched,
) -> Result<Option<i64>, StoreError> {
    let Some((kind, subject)) = touched.touch.words() else {
        return Ok(None);
    };
    let note =
        query("INSERT INTO untold (organization, kind, subject) VALUES ($1, $2, $3) RETURNING id")
            .bind(touched.organization)
            .bind(kind)
            .bind(subject);
    Ok(Some(note.fetch_one(tx).await?.get(0)?))
}

impl Store {
    /// The oldest of those that are noted.
    pub(crate) async fn list_untold(&self) -> Result<Vec<Untold>, StoreError> {
        let query =
            query("SELECT id, organization, kind, subject FROM untold ORDER BY id LIMIT $1")
                .bind(UNTOLD_MAX);
        self.search(query, read).await
    }

    /// Whether this is among them.
    pub(crate) async fn is_untold(&self, touched: Touched) -> Result<bool, StoreError> {
        let Some((kind, subject)) = touched.touch.words() else {
            return Ok(false);
        };
        let query = query("SELECT 1 FROM untold WHERE kind = $1 AND subject = $2 LIMIT 1")
            .bind(kind)
            .bind(subject);
        let found = self.search(query, |_| Ok(())).await?;
        Ok(!found.is_empty())
    }

    /// Takes notes away of what was told.
    pub(crate) async fn forget_told(&self, ids: &[i64]) -> Result<(), StoreError> {
        let Some((first, rest)) = ids.split_first() else {
            return Ok(());
        };
        let mut delete = Builder::new(self.database.dialect(), "DELETE FROM untold WHERE id IN (");
        delete.push_bind(*first);
        for id in rest {
            delete.push(", ").push_bind(*id);
        }
        delete.push(")");
        self.database.execute(delete.build()).await?;
        Ok(())
    }
}

fn read(row: &Row) -> Result<Untold, StoreError> {
    let id: i64 = row.get(0)?;
    let corrupt = |what: &str| StoreError::Corrupt {
        table: "untold",
        id: id.to_string(),
        what: what.to_owned(),
    };
    let uuid = |place: usize, what: &str| {
        let text: String = row.get(place)?;
        Uuid::parse_str(&text).map_err(|_| corrupt(what))
    };
    let kind: String = row.get(2)?;
    let touch = Touch::of_words(&kind, uuid(3, "`subject` is not a UUID")?);
    Ok(Untold {
        id,
        touched: Touched {
            organization: uuid(1, "`organization` is not a UUID")?,
            touch: touch.ok_or_else(|| corrupt("`kind` is not a known word"))?,
        },
    })
}

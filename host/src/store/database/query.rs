//! Statements and what is bound to them.

use sqlx::{Arguments, AssertSqlSafe, Encode, Postgres, Sqlite, Type};

use tokio::time::timeout;

use super::{
    Dialect, Row, Transaction,
    pools::{SILENT, in_time},
    unavailable,
};
use crate::store::StoreError;

/// A statement in the words of each engine.
#[derive(Clone, Debug)]
pub(in crate::store) struct Statement {
    sqlite: Text,
    postgres: Text,
}

#[derive(Clone, Debug)]
enum Text {
    Fixed(&'static str),
    /// Put together from fixed pieces: nothing that anybody sent is in it.
    Built(String),
}

impl From<&'static str> for Statement {
    fn from(statement: &'static str) -> Self {
        either(statement, statement)
    }
}

/// A statement that the engines want in different words.
pub(in crate::store) fn either(sqlite: &'static str, postgres: &'static str) -> Statement {
    Statement {
        sqlite: Text::Fixed(sqlite),
        postgres: Text::Fixed(postgres),
    }
}

/// What is bound. The engines are told its type also where it is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Value {
    /// A truth.
    Bool(bool),
    /// A number, of 64 bits.
    Int(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<uuid::Uuid> for Value {
    fn from(value: uuid::Uuid) -> Self {
        value.to_string().into()
    }
}

impl From<Option<uuid::Uuid>> for Value {
    fn from(value: Option<uuid::Uuid>) -> Self {
        Self::Text(value.map(|id| id.to_string()))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        value.as_slice().into()
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

/// A statement with what is bound to it, in the order of its `$1`, `$2` and so on.
#[derive(Clone, Debug)]
pub(in crate::store) struct Query {
    statement: Statement,
    values: Vec<Value>,
}

/// Begins a query.
pub(in crate::store) fn query(statement: impl Into<Statement>) -> Query {
    Query {
        statement: statement.into(),
        values: Vec::new(),
    }
}

type Bound<DB> = sqlx::query::Query<'static, DB, <DB as sqlx::Database>::Arguments>;

impl Query {
    /// Binds the next value.
    #[must_use]
    pub(in crate::store) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(in crate::store) async fn fetch_optional(
        self,
        tx: &mut Transaction,
    ) -> Result<Option<Row>, StoreError> {
        match tx {
            Transaction::Sqlite(begun) => {
                let found = self.sqlite()?.fetch_optional(&mut **begun).await;
                Ok(found.map_err(unavailable)?.map(Row::Sqlite))
            }
            Transaction::Postgres(begun, patience) => {
                let asking = self.postgres()?.fetch_optional(&mut **begun);
                Ok(in_time(timeout(*patience, asking).await)?.map(Row::Postgres))
            }
        }
    }

    /// For what always has one row.
    pub(in crate::store) async fn fetch_one(self, tx: &mut Transaction) -> Result<Row, StoreError> {
        let none = || StoreError::Unavailable("a statement gave no row".to_owned());
        self.fetch_optional(tx).await?.ok_or_else(none)
    }

    pub(in crate::store) async fn fetch_all(
        self,
        tx: &mut Transaction,
    ) -> Result<Vec<Row>, StoreError> {
        match tx {
            Transaction::Sqlite(begun) => {
                let found = self.sqlite()?.fetch_all(&mut **begun).await;
                let found = found.map_err(unavailable)?;
                Ok(found.into_iter().map(Row::Sqlite).collect())
            }
            Transaction::Postgres(begun, patience) => {
                let asking = self.postgres()?.fetch_all(&mut **begun);
                let found = in_time(timeout(*patience, asking).await)?;
                Ok(found.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Tells how many rows were changed.
    pub(in crate::store) async fn execute(self, tx: &mut Transaction) -> Result<u64, StoreError> {
        self.try_execute(tx).await?.map_err(unavailable)
    }

    /// The same for what may be there already: `false` where a value must be unique and is not. Nothing but the end of the
    /// transaction can come after that.
    pub(in crate::store) async fn insert(self, tx: &mut Transaction) -> Result<bool, StoreError> {
        match self.try_execute(tx).await? {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn try_execute(
        self,
        tx: &mut Transaction,
    ) -> Result<Result<u64, sqlx::Error>, StoreError> {
        Ok(match tx {
            Transaction::Sqlite(begun) => {
                let done = self.sqlite()?.execute(&mut **begun).await;
                done.map(|done| done.rows_affected())
            }
            Transaction::Postgres(begun, patience) => {
                let asking = self.postgres()?.execute(&mut **begun);
                let Ok(done) = timeout(*patience, asking).await else {
                    return Err(StoreError::Unavailable(SILENT.to_owned()));
                };
                done.map(|done| done.rows_affected())
            }
        })
    }

    pub(super) fn sqlite(self) -> Result<Bound<Sqlite>, StoreError> {
        bound(self.statement.sqlite, self.values)
    }

    pub(super) fn postgres(self) -> Result<Bound<Postgres>, StoreError> {
        bound(self.statement.postgres, self.values)
    }
}

fn bound<DB>(text: Text, values: Vec<Value>) -> Result<Bound<DB>, StoreError>
where
    DB: sqlx::Database,
    DB::Arguments: sqlx::IntoArguments<DB>,
    bool: for<'e> Encode<'e, DB> + Type<DB>,
    Option<i64>: for<'e> Encode<'e, DB> + Type<DB>,
    Option<String>: for<'e> Encode<'e, DB> + Type<DB>,
    Option<Vec<u8>>: for<'e> Encode<'e, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        let added = match value {
            Value::Bool(value) => arguments.add(value),
            Value::Int(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        };
        added.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    }
    Ok(match text {
        Text::Fixed(text) => sqlx::query_with(text, arguments),
        Text::Built(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
    })
}

/// A statement that is put together for one engine, from fixed pieces and what is bound between them.
#[derive(Debug)]
pub(in crate::store) struct Builder {
    dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

impl Builder {
    pub(in crate::store) fn new(dialect: Dialect, start: &'static str) -> Self {
        Self {
            dialect,
            text: start.to_owned(),
            values: Vec::new(),
        }
    }

    /// The piece for the engine at hand.
    pub(in crate::store) fn either(
        &mut self,
        sqlite: &'static str,
        postgres: &'static str,
    ) -> &mut Self {
        self.push(match self.dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        })
    }

    pub(in crate::store) fn push(&mut self, piece: &'static str) -> &mut Self {
        self.text.push_str(piece);
        self
    }

    /// A number, where the engine takes nothing that is bound.
    pub(in crate::store) fn push_number(&mut self, number: i64) -> &mut Self {
        self.text.push_str(&number.to_string());
        self
    }

    /// Binds a value here.
    pub(in crate::store) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// As far as it is put together.
    #[cfg(test)]
    pub(in crate::store) fn text(&self) -> &str {
        &self.text
    }

    pub(in crate::store) fn build(self) -> Query {
        let text = Text::Built(self.text);
        Query {
            statement: Statement {
                sqlite: text.clone(),
                postgres: text,
            },
            values: self.values,
        }
    }
}

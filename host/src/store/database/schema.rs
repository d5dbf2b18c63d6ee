//! What a database must be to be a store, and how it is brought to the schema of this version.

use sqlx::{
    SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::store::{OpenError, Purpose};

/// A schema's steps, oldest first: number, name and statements.
pub(super) type Steps<const N: usize> = [(i64, &'static str, &'static str); N];

/// What a step leaves in `meta` that only adds: the oldest schema whose programs can still serve with it.
pub(super) const SERVES_SINCE: &str = "serves_since";

/// The last of these steps.
pub(super) fn known<const N: usize>(steps: &Steps<N>) -> i64 {
    steps.iter().map(|step| step.0).max().unwrap_or_default()
}

/// What a database says of itself.
pub(super) enum Marks {
    /// Nothing yet.
    Empty,
    /// Something else's tables.
    Foreign,
    /// What it was made for.
    Purpose(String),
}

impl Marks {
    /// Refuses what is no store, or one for something else.
    pub(super) fn check(self, purpose: Purpose, store: &str) -> Result<Self, OpenError> {
        let not_a_store = |what| OpenError::NotAStore {
            store: store.to_owned(),
            what,
        };
        match &self {
            Self::Empty => Ok(self),
            Self::Foreign => Err(not_a_store("it is another program's database")),
            Self::Purpose(text) => match purpose_of(text) {
                None => Err(not_a_store("it does not say what it was made for")),
                Some(made_for) if made_for != purpose => Err(OpenError::WrongPurpose {
                    store: store.to_owned(),
                    made_for,
                }),
                Some(_) => Ok(self),
            },
        }
    }
}

/// Whether these are the tables of a store; `false` where there are none yet, or its making was interrupted.
pub(super) fn is_store(tables: &[String]) -> Option<bool> {
    if has(tables, "meta") && has(tables, "_sqlx_migrations") {
        return Some(true);
    }
    let only_begun = tables.iter().all(|table| table == "_sqlx_migrations");
    only_begun.then_some(false)
}

/// Refuses what cannot be read as it is.
pub(super) fn readable(tables: &[String], store: &str) -> Result<(), OpenError> {
    let what = match (has(tables, "meta"), has(tables, "audit_segments")) {
        (true, true) => return Ok(()),
        (true, false) => "an older version made it; `serve` brings it up to date",
        (false, _) => "it is another program's database, or empty",
    };
    Err(OpenError::NotAStore {
        store: store.to_owned(),
        what,
    })
}

fn has(tables: &[String], name: &str) -> bool {
    tables.iter().any(|table| table == name)
}

pub(super) fn migrator<const N: usize>(steps: &Steps<N>) -> Migrator {
    let steps = steps.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

/// Why a store was not brought to the schema of this version.
pub(super) fn failed<const N: usize>(
    error: MigrateError,
    store: &str,
    steps: &Steps<N>,
    unusable: impl Fn(&sqlx::Error) -> OpenError,
) -> OpenError {
    let store = store.to_owned();
    match error {
        MigrateError::VersionMissing(found) => OpenError::Newer {
            store,
            found,
            known: known(steps),
        },
        MigrateError::VersionMismatch(_) => OpenError::NotAStore {
            store,
            what: "its schema is not one that was released",
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => unusable(&error),
        other => OpenError::Unusable {
            store,
            what: other.to_string(),
        },
    }
}

pub(super) fn purpose_text(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Serve => "serve",
        Purpose::Demo => "demo",
    }
}

fn purpose_of(text: &str) -> Option<Purpose> {
    [Purpose::Serve, Purpose::Demo]
        .into_iter()
        .find(|purpose| purpose_text(*purpose) == text)
}

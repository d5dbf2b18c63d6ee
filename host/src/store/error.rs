//! What can go wrong with a store, by what its reader must do about it.

use std::path::{Path, PathBuf};

use super::{Conflict, Purpose};

/// A question could not be answered. Both are refusals to whoever waits for the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store itself does not answer: disk, network, lock, pool.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The change is made, and not all gates are known to have heard of it. They are told again and again.
    #[error("the change is made, and other gates may not know of it yet")]
    Pending,
    /// A row makes no sense.
    #[error("row `{id}` of table `{table}` is damaged: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's id.
        id: String,
        /// What is wrong with it.
        what: String,
    },
}

impl From<StoreError> for crate::Cause {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Pending => Self::RevocationPending,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// A change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// What the change needs is not so, or no longer.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store failed. The change may have been made all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store could not be opened. Stores are named by their file, or by the URL of their server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL of a store.
    #[error("`{url}` is not the URL of a store: {what}")]
    BadUrl {
        /// As given, but for a password.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file that is needed to reach it cannot be used.
    #[error("`{}`: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// There is none, and none was to be made.
    #[error("there is no store at `{0}`")]
    Missing(String),
    /// It cannot be read and written, or its server does not answer.
    #[error("the store `{store}` cannot be opened: {what}")]
    Unusable {
        /// Which.
        store: String,
        /// What the operating system or the database says.
        what: String,
    },
    /// It is something else.
    #[error("`{store}` is not a store of the gate: {what}")]
    NotAStore {
        /// Which.
        store: String,
        /// What it is instead.
        what: &'static str,
    },
    /// A newer version has changed the store's schema.
    #[error(
        "the store `{store}` was made by a newer version (its schema is {found}, this version knows {known})"
    )]
    Newer {
        /// Which.
        store: String,
        /// The schema's version.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// The store was made for something else.
    #[error("{}", wrong_purpose(store, *made_for))]
    WrongPurpose {
        /// Which.
        store: String,
        /// What it was made for.
        made_for: Purpose,
    },
}

impl OpenError {
    /// The same of the file that was opened under another name.
    pub(super) fn about(mut self, file: &Path) -> Self {
        match &mut self {
            Self::BadUrl { .. } | Self::File { .. } => {}
            Self::Missing(store)
            | Self::Unusable { store, .. }
            | Self::NotAStore { store, .. }
            | Self::Newer { store, .. }
            | Self::WrongPurpose { store, .. } => *store = file.display().to_string(),
        }
        self
    }
}

fn wrong_purpose(store: &str, made_for: Purpose) -> String {
    match made_for {
        Purpose::Demo => {
            format!("the store `{store}` was made by a demonstration, whose secrets are public")
        }
        Purpose::Serve => {
            format!("the store `{store}` is in real use, and a demonstration must not touch it")
        }
    }
}

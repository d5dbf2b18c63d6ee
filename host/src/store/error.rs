//! What can go wrong with a store, by what its reader must do about it.

use std::path::{Path, PathBuf};

use super::{Conflict, Purpose};

/// A question could not be answered. Both are refusals to whoever waits for the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store itself does not answer: disk, lock, pool.
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

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL of a store.
    #[error("`{url}` is not the URL of a store: {what}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is none, and none was to be made.
    #[error("there is no store at `{}`", .0.display())]
    Missing(PathBuf),
    /// The file or its directory cannot be read and written.
    #[error("the store `{}` cannot be opened: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the operating system or the database says.
        what: String,
    },
    /// The file is something else.
    #[error("`{}` is not a store of the gate: {what}", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// A newer version has changed the store's schema.
    #[error("the store `{}` was made by a newer version (its schema is {found}, this version knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema's version.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// The store was made for something else.
    #[error("{}", wrong_purpose(path, *made_for))]
    WrongPurpose {
        /// The file.
        path: PathBuf,
        /// What it was made for.
        made_for: Purpose,
    },
}

impl OpenError {
    /// The same of the file that was opened under another name.
    pub(super) fn about(mut self, file: &Path) -> Self {
        match &mut self {
            Self::BadUrl { .. } => {}
            Self::Missing(path)
            | Self::Unusable { path, .. }
            | Self::NotAStore { path, .. }
            | Self::Newer { path, .. }
            | Self::WrongPurpose { path, .. } => file.clone_into(path),
        }
        self
    }
}

fn wrong_purpose(path: &Path, made_for: Purpose) -> String {
    let path = path.display();
    match made_for {
        Purpose::Demo => {
            format!("the store `{path}` was made by a demonstration, whose secrets are public")
        }
        Purpose::Serve => {
            format!("the store `{path}` is in real use, and a demonstration must not touch it")
        }
    }
}

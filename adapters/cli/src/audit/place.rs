//! Which store, and what it is verified with: the configuration's, or what the command line names.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use scopegate_host::store::{Location, Store};

use crate::{Common, assembly, remote};

/// Which store.
#[derive(Args, Debug)]
pub(super) struct StoreArgument {
    /// A store's file, such as a copy, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    pub(super) store: Option<PathBuf>,
}

/// What the configuration says of it.
#[derive(Debug, Default)]
pub(super) struct Place {
    store: Option<Location>,
    pub(super) key: Option<PathBuf>,
    pub(super) heads: Option<PathBuf>,
}

impl Place {
    pub(super) fn configured(common: &Common) -> Result<Self> {
        if common.access.url.is_some() {
            return remote::machine_only("the audit is verified, followed and sealed");
        }
        let config = assembly::configuration(&common.config)?;
        let (key, heads) = match config.audit.seal {
            Some(seal) => (Some(seal.key), Some(seal.heads)),
            None => (None, None),
        };
        Ok(Self {
            store: Some(config.store.location()?),
            key,
            heads,
        })
    }
}

impl StoreArgument {
    pub(super) fn location(&self, configured: impl FnOnce() -> Result<Place>) -> Result<Location> {
        match &self.store {
            Some(path) => Ok(Location::Sqlite(path.clone())),
            None => configured()?
                .store
                .context("the configuration names no store"),
        }
    }

    /// Opens it for questions alone.
    pub(super) async fn open(&self, common: &Common) -> Result<Store> {
        let location = self.location(|| Place::configured(common))?;
        open(&location).await
    }
}

pub(super) async fn open(location: &Location) -> Result<Store> {
    Store::open_to_read_at(location)
        .await
        .map_err(assembly::with_help)
}

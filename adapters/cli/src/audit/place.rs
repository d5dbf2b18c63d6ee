//! Which store, and what it is verified with: the configuration's, or what the command line names.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use scopegate_host::store::Store;

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
    pub(super) store: String,
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
            store: config.store,
            key,
            heads,
        })
    }
}

impl StoreArgument {
    pub(super) fn url(&self, configured: impl FnOnce() -> Result<String>) -> Result<String> {
        match &self.store {
            Some(path) => Ok(format!("sqlite://{}", path.display())),
            None => configured(),
        }
    }

    /// Opens it for questions alone.
    pub(super) async fn open(&self, common: &Common) -> Result<Store> {
        let url = self.url(|| Ok(Place::configured(common)?.store))?;
        open(&url).await
    }
}

pub(super) async fn open(url: &str) -> Result<Store> {
    Store::open_to_read(url).await.map_err(assembly::with_help)
}

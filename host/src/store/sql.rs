//! The statements: questions, and changes with their audit records. Each is written once, for both engines.
//!
//! `"user"` stands in quotes wherever no table is named before it: PostgreSQL has a function of that name.

mod audit;
pub(super) mod credentials;
mod nodes;
pub(super) mod page;
mod read;
mod row;
mod untold;
pub(super) mod write;

pub(super) use audit::{Ledger, prepare_months};
pub(crate) use nodes::Beat;
pub(crate) use write::Applied;

/// Whether a credential has ended by itself at the given moment.
macro_rules! ended {
    ($now:literal) => {
        concat!(
            "(coalesce(expires_at <= ",
            $now,
            ", FALSE) OR coalesce(retires_at <= ",
            $now,
            ", FALSE))"
        )
    };
}

/// What changes with a credential or session (`c`), its user (`u`) and their custom role (`r`).
macro_rules! version {
    () => {
        "CAST(c.epoch AS TEXT) || ':' || coalesce(CAST(u.epoch AS TEXT), '') || ':' || \
         coalesce(CAST(r.epoch AS TEXT), '')"
    };
}

use {ended, version};

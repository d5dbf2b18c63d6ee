//! The gate and its peers, asked the same questions in the same run.
//!
//! Every figure is measured when the program runs: nothing here carries a number that was measured before.

pub mod dashboard;
pub mod decide;
mod engines;
pub mod envoy;
pub mod gate;
pub mod http;
pub mod keys;
pub mod many;
pub mod measure;
#[cfg(feature = "peers")]
pub mod peers;
pub mod questions;
#[cfg(feature = "peers")]
pub mod run;
pub mod table;
pub mod typed;

/// The server's allocator, for everybody here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

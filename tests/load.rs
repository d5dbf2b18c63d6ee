//! Promises that only show under load: a revocation that holds from its return on, a rotation that nobody notices,
//! policies that change between two requests, and a store that loses nothing when its process is killed.
//!
//! CI runs a tenth of the rounds or less. `.ci/soak` runs all of them and prints what they counted and measured.

mod activations;
pub(crate) mod client;
mod crash;
pub(crate) mod figures;
mod proxies;
mod revocation;
mod rotation;

//! Scopegate as a tower layer, for anyone's axum application.
//!
//! [`GateLayer`] asks the gate about every request. What it refuses is answered in the contract's words; what it
//! admits goes on without its credential and with the identity headers, a list reply is cut down to the clusters
//! that the caller may see, and everything ends when the credential does.

mod clock;
mod json;
mod layer;
mod lease;
pub mod list;
mod request;

pub use clock::Clock;
pub use layer::{Answering, GateLayer, GateService, refused};
pub use lease::Lease;
pub use request::convert;

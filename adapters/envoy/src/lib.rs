//! Envoy's external authorization service (`envoy.service.auth.v3`, over gRPC) in front of a gate.
//!
//! Envoy asks about each request and forwards it itself. What it does with the answer, and with a wrong or a missing one,
//! is in `docs/envoy.md`; that nothing here can be taken for an allow by accident is the work of `reply`.

mod answered;
mod connection;
mod listener;
mod metadata;
mod pins;
mod question;
mod readiness;
mod reply;
mod service;

pub use listener::{Listener, Running, Settings, StartError, Tls};
pub use service::Now;

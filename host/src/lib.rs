//! The gate: it authenticates a request, counts it against its limit, asks the sandboxed policy and records the
//! answer. It knows no HTTP framework; adapters convert their requests to [`Request`] and enforce the [`Verdict`].

pub mod cause;
pub mod contract;
pub mod principal;
pub mod request;
pub mod verdict;

pub use cause::Cause;
pub use contract::Contract;
pub use principal::Principal;
pub use request::Request;
pub use verdict::{Admission, Refusal, Verdict};

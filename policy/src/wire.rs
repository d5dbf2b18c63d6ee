//! What every place that decides must read and write the same way, beside the decision itself: the shape of a request,
//! where its credential stands, the arithmetic of limits, what goes on to the upstream, and the words of a refusal.
//!
//! The gate and the filter inside Envoy share it, so that they cannot come apart. Nothing here does I/O.

pub mod bound;
pub mod cause;
pub mod client;
pub mod credential;
pub mod errors;
pub mod filter;
pub mod forward;
pub mod headers;
pub mod key;
pub mod limit;
pub mod path;
pub mod question;
pub mod refusal;
pub mod request;
pub mod slots;
pub mod template;

pub use cause::Cause;
pub use errors::{Errors, Limits, Scheme};
pub use question::Question;
pub use refusal::Refusal;
pub use request::Request;

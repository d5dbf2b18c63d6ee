//! The gate: it authenticates a request, counts it against its limit, asks the sandboxed policy and records the
//! answer. It knows no HTTP framework; adapters convert their requests to [`Request`] and enforce the [`Verdict`].

pub mod admin;
pub mod audit;
pub mod authenticate;
pub mod bundle;
pub mod contract;
pub mod counters;
pub mod directory;
mod ed25519;
pub mod engine;
pub mod explain;
pub mod factor;
mod fetch;
pub mod gate;
pub mod key;
pub mod keyring;
pub mod kubernetes;
pub mod lock;
pub mod meters;
pub mod name;
pub mod password;
pub mod policies;
pub mod principal;
mod private_file;
pub mod replay;
pub mod scanning;
pub mod session;
pub mod span;
pub mod store;
pub mod trial;
pub mod verdict;

pub use audit::Audit;
pub use contract::Contract;
pub use directory::Directory;
pub use gate::{Gate, Rewriting};
pub use keyring::KeyRing;
pub use policies::Policies;
pub use principal::Principal;
pub use scopegate_policy::{CallerKind, Clusters, ListShape, Reason};
// What the filter inside Envoy reads and writes in the same way is in the policy crate, under the names that it has here.
pub use scopegate_policy::wire::{
    Cause, Refusal, Request, cause, client, headers, limit, path, refusal, request,
};
pub use session::Sessions;
pub use verdict::{Admission, Verdict};

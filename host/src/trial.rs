//! Test files for policies: who asks for what, and what must come of it.
//!
//! A file names callers as a store of its contract could hold them, requests as clients send them, and outcomes. It is
//! [`read`] with every mistake at its place, and [`run`](fn@run) puts its cases to a policy: natively, compiled in the
//! sandbox, or both ways, which must agree. From the rules that the decisions name follows what the cases leave untried
//! ([`Coverage`]), and from policies with one rule changed whether a case would notice ([`mutate`]).
//!
//! Nothing here reads a file: whoever reads a test file says what the policy that it names is.

mod caller;
mod carried;
mod case;
mod coverage;
mod file;
mod mutation;
mod run;
mod subject;

pub use caller::{Caller, Role, User};
pub(crate) use carried::check_carried;
pub use case::{Asked, Case, Outcome, REASONS};
pub use coverage::{Coverage, Kind, Share};
pub use file::{NOW_DEFAULT, TestFile, read};
pub use mutation::{Mutation, mutate};
pub use run::{Answer, Ran, RunError, Verdict, Ways, run};
pub use subject::{LoadError, Subject, Wanted};

#[cfg(test)]
mod tests;

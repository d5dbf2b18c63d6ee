//! Several gates as they are run: processes of their own, on a PostgreSQL and a Redis that are stopped, killed and cut off, in
//! namespaces of the network where that takes one. What `docs/many-gates.md` promises holds over real HTTP.
//!
//! CI runs a tenth of the rounds or less. `.ci/soak` runs all of them and prints what they counted.

mod balancer;
mod campaign;
mod failures;
mod gate;
mod kills;
mod limits;
mod network;
mod office;
mod policies;
mod site;
mod skew;
mod upgrade;

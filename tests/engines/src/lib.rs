//! Real engines for tests. Each is started once for a process, on a socket or port of its own and in a directory of its
//! own, and is gone with the process, however that ends.

mod postgres;
mod warden;

pub use postgres::{Postgres, postgres};

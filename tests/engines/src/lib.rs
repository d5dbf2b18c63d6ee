//! Real engines for tests. One that tests share is started once for a process, on a socket of its own and in a directory of
//! its own, and is gone with the process, however that ends. Those that a test stops and kills are its own.

mod own;
mod port;
mod postgres;
mod redis;
mod warden;

pub use own::OwnPostgres;
pub use port::free_port;
pub use postgres::{Postgres, postgres};
pub use redis::OwnRedis;

//! Scopegate's bundled server: the gate in front of one upstream as a reverse proxy, with log-in, health, metrics,
//! and a socket for the command line.

mod admin_socket;
mod api;
pub mod assemble;
mod authzen;
mod body;
mod check;
pub mod config;
mod connection;
mod cookie;
mod dashboard;
mod filter;
mod front;
mod login;
pub mod metrics;
mod own;
mod policy_file;
mod proxy;
mod scanning;
mod serve;

pub use admin_socket::{AdminSocket, BadSocket, SendError, Served, send};
pub use assemble::assemble;
pub use check::Dialect;
pub use config::Config;
pub use connection::{ConnectionLimits, Connections};
pub use login::BODY_BYTES_MAX;
pub use policy_file::{Found, PolicyFile};
pub use proxy::{BadUpstream, Proxy, ProxyLimits, Tunnels, Upstream};
pub use serve::{Management, Running, Server, ServerParts, StartError};

//! The gate behind other people's proxies: the real programs, with the configurations that the repository has ready.

mod attacks;
mod behind;
mod caddy;
mod check;
mod corpus;
mod envoy_http;
mod failures;
mod modes;
mod nginx;
mod traefik;

pub(crate) use behind::{Kind, Proxy};

//! The pipeline on a real store and a real policy, rule by rule.

mod admission;
mod advice;
mod cluster;
mod credentials;
mod issuers;
mod jwks;
mod kubernetes;
mod limits;
mod many;
mod own;
mod sessions;
mod tls_server;
mod token_review;
mod tokens;
mod world;

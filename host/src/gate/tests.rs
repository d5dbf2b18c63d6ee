//! The pipeline on a real store and a real policy, rule by rule.

mod admission;
mod advice;
mod credentials;
mod issuers;
mod jwks;
mod limits;
mod many;
mod own;
mod sessions;
mod tokens;
mod world;

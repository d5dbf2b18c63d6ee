//! The executable as a user meets it: the demo's curl lines, the README's tour, a gate of one's own from `init` to a
//! revoked key, and what it says when something is wrong.

mod audit;
mod backup;
pub(crate) mod binary;
mod broken;
mod bundles;
mod commands;
mod compiling;
mod demo;
mod embedding;
mod envoy;
mod kubernetes;
pub(crate) mod own_gate;
pub(crate) mod pages;
mod policy_diff;
mod policy_json;
mod policy_replay;
mod policy_tests;
mod policy_tools;
mod readme;
mod remote;
mod shipping;
mod signing_keys;

//! The executable as a user meets it: the demo's curl lines, the README's tour, a gate of one's own from `init` to a
//! revoked key, and what it says when something is wrong.

mod binary;
mod broken;
mod demo;
mod embedding;
mod own_gate;
mod readme;
mod signing_keys;

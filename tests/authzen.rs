//! The OpenID AuthZEN Authorization API 1.0, over HTTP: its rules, one by one; who sees what; and the whole corpus asked
//! through it.

mod asker;
mod audit;
mod callers;
mod claims;
mod corpus;
mod evaluations;
mod rules;
mod search;

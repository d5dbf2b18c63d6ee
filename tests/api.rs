//! The management API, over HTTP: who may use which endpoint, what each does, and what one organization can learn of
//! another.

mod conditions;
mod document;
mod endpoints;
mod explain;
mod isolation;
mod keys;
mod lists;
pub mod office;
mod people;
mod preview;
mod races;
mod schemathesis;
mod slips;
mod summary;
mod table;
mod tokens;

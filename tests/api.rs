//! The management API, over HTTP: who may use which endpoint, what each does, and what one organization can learn of
//! another.

mod document;
mod endpoints;
mod isolation;
mod keys;
mod office;
mod schemathesis;
mod table;

//! The management API, over HTTP: who may use which endpoint, what each does, and what one organization can learn of
//! another.

mod keys;
pub mod office;
mod people;
mod tokens;

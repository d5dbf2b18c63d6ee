//! The dashboard, in a real browser, as people use it.

mod plain;
mod site;
mod watched;

//! The dashboard, in a real browser, as people use it.

mod site;
mod watched;

//! What other people's pages and other people's words try.

mod forged;
mod planted;
mod words;

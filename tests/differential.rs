//! Policies against each other: the same one natively and compiled, and one against a mutant of it.

mod corpus_kills;
mod mutants;
mod pairs;
mod pasted;
mod policies;
mod questions;
mod triples;

//! Reading YAML so that every mistake in it is reported at once, each with its place.
//!
//! A document is parsed into a permissive tree in which every key and value knows its bytes ([`Node`]), and then
//! read through a [`Reader`], whose accessors record a [`Problem`] and go on. Policies, contracts and the server's
//! configuration are all read this way. The tree is built from parser events rather than through a typed
//! deserializer, which stops at its first error, loses the places of untagged values and hides duplicate keys.
//!
//! YAML 1.2, one document, string keys; anchors and aliases work within a budget ([`limits`]), tags and
//! merge keys do not. Plain scalars are told apart by the core schema: `yes` is text, `true` is a boolean.
//!
//! ```
//! use scopegate_policy::yaml::{Reader, Report};
//!
//! struct Server { listen: String, workers: i64, log: Option<bool>, paths: Vec<String> }
//!
//! fn read(name: &str, text: &str) -> Result<Server, Report> {
//!     let (reader, root) = Reader::open(name, text)?; // syntax errors end here
//!     let fields = reader.fields(&root, "a server", &["listen", "workers", "log", "paths"]);
//!     let server = fields.and_then(|fields| {
//!         // Read everything before the first `?`, so that no problem hides another.
//!         let listen = fields.required_text("listen");
//!         let workers = fields.integer("workers", 1..=64);
//!         let log = fields.boolean("log");
//!         let paths = fields.texts("paths").unwrap_or_default();
//!         for path in paths.iter().filter(|path| !path.starts_with('/')) {
//!             reader.problem(path.span, format!("`{path}` is not a path")).help("a path starts with `/`");
//!         }
//!         Some(Server {
//!             listen: listen?.to_string(),
//!             workers: workers.unwrap_or(4),
//!             log,
//!             paths: paths.iter().map(|path| path.to_string()).collect(),
//!         })
//!     });
//!     reader.finish(server) // an error when any problem was recorded
//! }
//!
//! let report = read("server.yaml", "listn: here\nworkers: many\n").err().unwrap();
//! let places: Vec<String> = report.places().map(|p| format!("{}:{} {}", p.line, p.column, p.message)).collect();
//! assert_eq!(places, [
//!     "1:1 unknown key `listn` in a server",
//!     "1:1 missing key `listen` in a server",
//!     "2:10 `workers` must be a whole number, not the text `many`",
//! ]);
//! assert!(report.to_string().contains("help: did you mean `listen`?"));
//! ```

mod fields;
mod node;
mod parse;
mod place;
mod reader;
mod report;
mod source;

pub use fields::Fields;
pub use node::{Entry, Key, Node, Scalar, Text, Value};
pub use parse::limits;
pub use reader::{Problem, ProblemSlot, Reader, did_you_mean};
pub use report::{Place, Report, Severity, excerpt};
pub use source::{Source, Span};

#[cfg(test)]
mod tests;

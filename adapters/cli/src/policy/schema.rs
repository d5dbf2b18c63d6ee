//! `scopegate policy schema`: the JSON Schema of documents, for editors.

use anyhow::Result;
use clap::Args;
use scopegate_policy::document::SCHEMA;

use crate::output::line;

const EXAMPLES: &str = "\
Examples:
  scopegate policy schema > policy.schema.json

  # The first line of a document, for the YAML language server
  # yaml-language-server: $schema=policy.schema.json";

/// Print the JSON Schema of policy documents, for editors
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Schema {}

pub(super) fn run(Schema {}: &Schema) -> Result<()> {
    line(SCHEMA)
}

//! The ready configurations with an operator's own addresses in them.
//!
//! They are text and stay text: their comments say why each line is there.

use std::ops::Range;

use anyhow::{Context as _, Result};
use serde_json::json;

/// A host and a port.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

/// A ready configuration, changed in places.
pub(super) struct Template(String);

impl Template {
    pub(super) fn of(ready: &str) -> Self {
        // What is yours to change is changed.
        let text = ready.lines().skip_while(|line| line.starts_with('#'));
        let text = text.map(|line| format!("{line}\n")).collect::<String>();
        Self(text.trim_start().to_owned())
    }

    /// Puts an address in the place of the one that stands there.
    pub(super) fn put(&mut self, host: &str, port: u16, place: &Place) {
        let stands = format!("address: {host}, port_value: {port} ");
        let becomes = format!(
            "address: {}, port_value: {} ",
            quoted(&place.host),
            place.port
        );
        self.0 = self.0.replace(&stands, &becomes);
    }

    /// Replaces a text that stands there.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn replace(&mut self, stands: &str, becomes: &str) -> Result<()> {
        self.place_of(stands)?;
        self.0 = self.0.replace(stands, becomes);
        Ok(())
    }

    /// Replaces the line with this text, and what is indented below it.
    ///
    /// # Errors
    /// When no line has it.
    pub(super) fn replace_block(
        &mut self,
        mark: &str,
        with: impl FnOnce(&str) -> String,
    ) -> Result<()> {
        let block = self.block(mark)?;
        let becomes = with(self.0.get(block.clone()).unwrap_or_default());
        self.0.replace_range(block, &becomes);
        Ok(())
    }

    fn block(&self, mark: &str) -> Result<Range<usize>> {
        let place = self.place_of(mark)?;
        let before = self.0.get(..place).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.0.get(start..).unwrap_or_default();
        let indentation = |line: &str| line.len() - line.trim_start().len();
        let mut lines = rest.split_inclusive('\n');
        let first = lines.next().unwrap_or_default();
        let below = lines.take_while(|line| indentation(line) > indentation(first));
        let length = first.len() + below.map(str::len).sum::<usize>();
        Ok(start..start + length)
    }

    fn place_of(&self, text: &str) -> Result<usize> {
        let place = self.0.find(text);
        place.with_context(|| format!("the ready configuration has no `{text}`"))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// JSON is YAML.
pub(super) fn quoted(text: &str) -> String {
    json!(text).to_string()
}

/// Each line, so many spaces further to the right.
pub(super) fn indented(text: &str, by: usize) -> String {
    let lines = text.lines().map(|line| format!("{:by$}{line}\n", ""));
    lines.collect()
}

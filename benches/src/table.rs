//! The table of speed targets, filled in with what this run measured.

use std::fmt;

use serde::Serialize;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// How much, in `unit`.
    pub value: f64,
    /// Of `value`.
    pub unit: &'static str,
    /// Against what the name says, where the row compares.
    pub ratio: Option<f64>,
    /// What is asked of the value or, where it says so, of the ratio. `None`: a row for orientation.
    pub target: Option<String>,
    /// Whether the target is reached.
    pub met: Option<bool>,
}

/// What is asked of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
        }
    }
}

impl Row {
    /// A figure for orientation.
    pub fn figure(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            ratio: None,
            target: None,
            met: None,
        }
    }

    /// A figure that has a target.
    pub fn bounded(name: impl Into<String>, value: f64, unit: &'static str, bound: Bound) -> Self {
        let target = format!("{bound} {unit}");
        Self {
            target: Some(target),
            met: Some(bound.holds(value)),
            ..Self::figure(name, value, unit)
        }
    }

    /// A figure whose ratio to another has a target.
    pub fn compared(
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        ratio: f64,
        bound: Bound,
    ) -> Self {
        let target = format!("ratio {bound}");
        Self {
            ratio: Some(ratio),
            target: Some(target),
            met: Some(bound.holds(ratio)),
            ..Self::figure(name, value, unit)
        }
    }
}

/// The table as text, in columns.
pub fn to_text(rows: &[Row]) -> String {
    let widest = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "{:widest$}  {:>12} {:14} {:>8}  {:18} met\n",
        "what", "value", "unit", "ratio", "target"
    );
    for row in rows {
        let ratio = row
            .ratio
            .map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let met = row.met.map_or("", |met| if met { "yes" } else { "no" });
        let target = row.target.as_deref().unwrap_or("");
        let value = precise(row.value);
        text += format!(
            "{:widest$}  {value:>12} {:14} {ratio:>8}  {target:18} {met}",
            row.name, row.unit
        )
        .trim_end();
        text.push('\n');
    }
    text
}

/// Three figures that count, whatever the size.
fn precise(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

//! What the dashboard calls things in a contract, as the product's own texts walk people through it.

use super::Scheme;

/// The product's words for its screens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Where in the menu one's own keys are.
    pub section: Section,
    /// What they are called there, such as `API Keys`.
    pub keys: String,
    /// What makes a new one, such as `+ Create Key`.
    pub create: String,
    /// What the form ends with, such as `Generate`.
    pub submit: String,
    /// The scheme that is shown in lines to copy.
    pub scheme: Scheme,
    /// What a new key is tried on with GET: a path of the product's API.
    pub smoke_test: Option<String>,
    /// A name as an example, such as `grafana-export`.
    pub name_hint: String,
    /// Sets of scopes that are chosen with one click.
    pub presets: Vec<Preset>,
}

/// Where in the menu something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Of the organization.
    Settings,
    /// Of the user themselves.
    Profile,
}

impl Section {
    /// As it stands in the menu.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Profile => "Profile",
        }
    }
}

/// The scopes that one kind of integration needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Such as `Read-only Grafana / BI exporter`.
    pub name: String,
    /// Its scopes.
    pub scopes: Vec<String>,
}

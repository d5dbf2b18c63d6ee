//! What a form sent: names and values, of which a name may have several.

use bytes::Bytes;

/// The fields of a form, or of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Those of `application/x-www-form-urlencoded` text.
    pub(super) fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value of a name, without space around it; empty when there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.whole(name).trim()
    }

    /// The first value of a name, as it was typed: for passwords.
    pub(super) fn whole(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same, where it says something.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.one(name)).filter(|value| !value.is_empty())
    }

    /// Every value of a name that says something.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(key, _)| key == name);
        let values = found.map(|(_, value)| value.trim().to_owned());
        values.filter(|value| !value.is_empty()).collect()
    }

    /// Whether a name has this value among its own.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.0
            .iter()
            .any(|(key, given)| key == name && given == value)
    }
}

impl From<&Bytes> for Fields {
    fn from(body: &Bytes) -> Self {
        Self::read(body)
    }
}

//! What a bundle says of itself: which policy it is, what built it, and what it carries. No time, no path and no user: the
//! same input gives the same bytes. That a bundle says so proves nothing; [`Metadata::contradictions`] compares.

use scopegate_policy::Description;
use serde::{Deserialize, Serialize};

use super::{CarriedTests, tests};
use crate::engine::sections::{self, digest_text};

/// What a bundle says of itself. What else a later version says is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The policy's name.
    pub policy: String,
    /// The policy's version.
    pub version: String,
    /// The program that built it, and its version.
    pub built_by: String,
    /// The digest of the document, `sha256:` and hex; none, where it was written by hand.
    pub document: Option<String>,
    /// The files of tests, in their order.
    pub tests: Vec<TestsDigest>,
}

/// A file of tests, as the metadata names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsDigest {
    /// What it is called.
    pub name: String,
    /// The digest of its text, `sha256:` and hex.
    pub digest: String,
}

impl Metadata {
    /// The truth about a component with these tests that describes itself so.
    pub(super) fn new(description: &Description, bundle: &[u8]) -> Self {
        let digest = |CarriedTests { name, text }| TestsDigest {
            digest: digest_text(text.as_bytes()),
            name,
        };
        Self {
            policy: description.name.clone(),
            version: description.version.clone(),
            built_by: format!("scopegate {}", env!("CARGO_PKG_VERSION")),
            document: sections::document(bundle).map(|text| digest_text(text.as_bytes())),
            tests: tests(bundle).into_iter().map(digest).collect(),
        }
    }

    /// What it says otherwise than the bundle itself, which describes itself so.
    pub fn contradictions(&self, bundle: &[u8], description: &Description) -> Vec<String> {
        let truth = Self::new(description, bundle);
        let mut found = Vec::new();
        let mut compare = |what: &str, said: &str, is: &str| {
            if said != is {
                found.push(format!(
                    "its metadata says that {what} is `{said}`, and it is `{is}`"
                ));
            }
        };
        compare("the policy", &self.policy, &truth.policy);
        compare("the version", &self.version, &truth.version);
        let [said, is] =
            [&self.document, &truth.document].map(|digest| digest.as_deref().unwrap_or("none"));
        compare("the document", said, is);
        if self.tests != truth.tests {
            found.push("its metadata names other tests than it carries".to_owned());
        }
        found
    }
}

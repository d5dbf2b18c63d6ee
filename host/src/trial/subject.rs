//! The policy that a test file is about.

use std::sync::{Arc, OnceLock};

use scopegate_policy::{
    Description, Rules, Tables, Vocabulary, document, documents,
    yaml::{Report, did_you_mean},
};

use crate::{
    bundle,
    engine::{BadPolicy, Policy, Sandbox, document_of},
};

/// A policy under test: a document, or a component that was written by hand.
#[derive(Debug)]
pub struct Subject {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Document {
        text: String,
        tables: Box<Tables>,
        /// Compiled when it is first asked for.
        policy: OnceLock<Arc<Policy>>,
    },
    Component(Arc<Policy>),
}

impl Subject {
    /// A document; `name` is what its mistakes and results are reported under.
    ///
    /// # Errors
    /// The document's mistakes.
    pub fn document(name: &str, text: &str) -> Result<Self, Report> {
        Ok(Self {
            name: name.to_owned(),
            kind: Kind::Document {
                tables: Box::new(document::compile(name, text)?),
                text: text.to_owned(),
                policy: OnceLock::new(),
            },
        })
    }

    /// A component. What this program made of a document is that document, and runs natively too.
    ///
    /// # Errors
    /// Why the sandbox does not accept it.
    pub fn component(name: &str, bytes: &[u8], sandbox: &Sandbox) -> Result<Self, BadPolicy> {
        Ok(Self::loaded(name, bytes, Arc::new(sandbox.load(bytes)?)))
    }

    /// A component that is loaded already, as this policy.
    pub(super) fn loaded(name: &str, bytes: &[u8], policy: Arc<Policy>) -> Self {
        let document = document_of(bytes).filter(|_| policy.is_from_document());
        if let Some(text) = document
            && let Ok(subject) = Self::document(name, text)
        {
            if let Kind::Document { policy: place, .. } = &subject.kind {
                place.get_or_init(|| policy);
            }
            return subject;
        }
        Self {
            name: name.to_owned(),
            kind: Kind::Component(policy),
        }
    }

    /// What results are reported under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the policy says of itself.
    pub fn description(&self) -> &Description {
        match &self.kind {
            Kind::Document { tables, .. } => tables.description(),
            Kind::Component(policy) => policy.description(),
        }
    }

    /// Its names.
    pub fn vocabulary(&self) -> &Vocabulary {
        match &self.kind {
            Kind::Document { tables, .. } => tables.vocabulary(),
            Kind::Component(policy) => policy.vocabulary(),
        }
    }

    /// The YAML of a document.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Document { text, .. } => Some(text),
            Kind::Component(_) => None,
        }
    }

    /// The tables of a document. A component that was written by hand has none.
    pub fn tables(&self) -> Option<&Tables> {
        match &self.kind {
            Kind::Document { tables, .. } => Some(tables),
            Kind::Component(_) => None,
        }
    }

    /// The rules of a document.
    pub fn rules(&self) -> Option<&Rules> {
        self.tables().map(Tables::rules)
    }

    /// The policy in a sandbox: a document is compiled once, in the first sandbox that it is asked for.
    ///
    /// # Errors
    /// Why it does not compile or load, in one sentence.
    pub fn compiled(&self, sandbox: &Sandbox) -> Result<&Policy, String> {
        let (text, place) = match &self.kind {
            Kind::Component(policy) => return Ok(policy),
            Kind::Document { text, policy, .. } => (text, policy),
        };
        if let Some(policy) = place.get() {
            return Ok(policy);
        }
        let component = bundle::build(&self.name, text).map_err(|error| error.to_string())?;
        let policy = sandbox
            .load(&component)
            .map_err(|error| error.to_string())?;
        Ok(place.get_or_init(|| Arc::new(policy)))
    }
}

/// What a test file says of its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'t> {
    /// Nothing: whoever runs it knows.
    Unsaid,
    /// A built-in one, by name.
    Builtin(&'t str),
    /// A document within the file.
    Inline(&'t str),
    /// A file, relative to the test file: a document or a component.
    File(&'t str),
}

impl<'t> Wanted<'t> {
    /// What the value of `document` stands for.
    pub(super) fn of(text: &'t str) -> Self {
        let endings = [".yaml", ".yml", ".wasm"];
        let is_file = || endings.iter().any(|ending| text.ends_with(ending));
        if text.contains('\n') {
            Self::Inline(text)
        } else if text.contains('/') || is_file() {
            Self::File(text)
        } else {
            Self::Builtin(text)
        }
    }

    /// The policy, where no file has to be read for it; `file` is the test file's name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn load(self, file: &str) -> Result<Arc<Subject>, LoadError> {
        match self {
            Self::Builtin(name) => match documents::builtin(name) {
                Some(text) => document_subject(name, text),
                None => {
                    let error = LoadError::new(format!("there is no built-in policy `{name}`"));
                    Err(match did_you_mean(name, documents::names()) {
                        Some(meant) => error.help(format!("did you mean `{meant}`?")),
                        None => {
                            error.help("a file is written with its ending, such as `./policy.yaml`")
                        }
                    })
                }
            },
            Self::Inline(text) => document_subject(&format!("{file} (its document)"), text),
            Self::File(path) => Err(LoadError::new(format!("`{path}` cannot be read from here"))
                .help("name a built-in policy, or write the document as a block")),
            Self::Unsaid => Err(
                LoadError::new("the file does not say which policy it is about")
                    .help("add `document:` with a file such as `./policy.yaml`"),
            ),
        }
    }
}

fn document_subject(name: &str, text: &str) -> Result<Arc<Subject>, LoadError> {
    match Subject::document(name, text) {
        Ok(subject) => Ok(Arc::new(subject)),
        Err(report) => Err(LoadError::broken(&report)),
    }
}

/// Why there is no policy to test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl LoadError {
    /// For a reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// For a document with mistakes.
    pub fn broken(report: &Report) -> Self {
        Self::new(format!("the document is broken:\n{report}"))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

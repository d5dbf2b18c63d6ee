//! What a bundle carries beside its code: its document, its tests, what it says of itself, and signatures.

use std::sync::Arc;

use scopegate_host::{
    bundle::{self, CarriedTests, Standing, Trust},
    engine::{Policy, Sandbox, SandboxConfig, carried_document},
    trial::{self, Subject},
};
use serde_json::{Value, json};

use crate::output::cell;

/// All of it, as JSON. `trust`: whose signatures are judged; without it, none is.
pub(super) fn carried(bytes: &[u8], policy: &Policy, trust: Option<&Trust>) -> Value {
    let document = carried_document(bytes);
    let metadata = bundle::metadata(bytes);
    let mut contradictions = match &metadata {
        Some(metadata) => metadata.contradictions(bytes, policy.description()),
        None => Vec::new(),
    };
    if document.is_some() && !policy.is_from_document() {
        contradictions.push(
            "it carries a document, and is not what this version makes of it: the document does not say what decides"
                .to_owned(),
        );
    }
    let signatures = trust.cloned().unwrap_or_default().signatures(bytes);
    let signatures = signatures.into_iter().map(|signature| {
        let standing = match signature.standing {
            Standing::Good => "good",
            Standing::Wrong => "wrong",
            Standing::Unknown => "unknown",
        };
        json!({ "key_id": signature.key_id, "standing": trust.map(|_| standing) })
    });
    json!({
        "document": document.map(|text| bundle::digest(text.as_bytes())),
        "metadata": metadata,
        "tests": tests(bytes),
        "signed_digest": bundle::signed_digest(bytes),
        "signatures": signatures.collect::<Vec<_>>(),
        "contradictions": contradictions,
    })
}

/// The files of tests, and how many cases each has; none is said of one that cannot be read.
fn tests(bytes: &[u8]) -> Vec<Value> {
    let files = bundle::tests(bytes);
    let subject = match files.is_empty() {
        true => None,
        false => subject(bytes).map(Arc::new),
    };
    let entry = |CarriedTests { name, text }: &CarriedTests| {
        let subject = subject.clone();
        let read = subject.and_then(|subject| trial::read(name, text, |_| Ok(subject)).ok());
        json!({
            "name": name,
            "digest": bundle::digest(text.as_bytes()),
            "cases": read.map(|file| file.cases.len()),
        })
    };
    files.iter().map(entry).collect()
}

fn subject(bytes: &[u8]) -> Option<Subject> {
    let sandbox = Sandbox::new(SandboxConfig::default()).ok()?;
    Subject::component("policy", bytes, &sandbox).ok()
}

/// Names and values for people.
pub(super) fn rows(shown: &Value) -> [(&'static str, String); 5] {
    let list = |values: &Value, text: &dyn Fn(&Value) -> String| {
        let values = values.as_array().into_iter().flatten();
        let texts: Vec<String> = values.map(text).collect();
        match texts.is_empty() {
            true => "none".to_owned(),
            false => texts.join(", "),
        }
    };
    let tests = list(&shown["tests"], &|file| match file["cases"].as_u64() {
        Some(cases) => format!("{} ({cases} cases)", cell(&file["name"])),
        None => format!("{} (it cannot be read)", cell(&file["name"])),
    });
    let signatures = list(
        &shown["signatures"],
        &|signature| match signature["standing"].as_str() {
            Some(standing) => format!("{} ({standing})", cell(&signature["key_id"])),
            None => format!("{} (not checked)", cell(&signature["key_id"])),
        },
    );
    let metadata = &shown["metadata"];
    [
        ("document", cell(&shown["document"])),
        ("built by", cell(&metadata["built_by"])),
        ("tests", tests),
        ("signed digest", cell(&shown["signed_digest"])),
        ("signatures", signatures),
    ]
}

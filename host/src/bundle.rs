//! Bundles: a policy in one `.wasm` file, with its document, its tests, what it says of itself and its signatures in custom
//! sections behind the component. The same input gives the same bytes from the same version of this program, signatures
//! included (Ed25519 is deterministic, RFC 8032).
//!
//! A signature is over everything before the first signature, so several may stand one after the other, and none can be
//! moved to another policy.

mod key;
mod metadata;

use std::path::PathBuf;

use scopegate_policy::Description;

pub use key::{PolicyKeyError, PolicyPublicKey, PolicySigningKey};
pub use metadata::{Metadata, TestsDigest};

use crate::{
    ed25519::ID_BYTES,
    engine::{
        BuildError, build,
        sections::{self, Section, digest_text},
    },
};

/// Signers that an error names; the others are counted.
const TOLD_MAX: usize = 5;

/// A file of tests that a bundle carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedTests {
    /// What it is called.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Whose signatures are good. Nobody's are asked for where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust(pub Vec<PolicyPublicKey>);

/// Why a bundle is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// There is nothing that could be signed.
    #[error("it is not a whole component: it is something else, or was cut off")]
    NotWhole,
    /// It carries none.
    #[error("it is not signed")]
    None,
    /// It carries some, none of them by a key that is trusted.
    #[error("it is signed by {}, and none of these keys is trusted", quoted(.0))]
    Unknown(Vec<String>),
    /// A trusted key's signature does not fit what is signed.
    #[error("the signature by `{0}` does not fit: it was changed after it was signed")]
    Wrong(String),
}

/// A signature, as one who trusts some keys sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key that it is by, it says.
    pub key_id: String,
    /// Whether it is.
    pub standing: Standing,
}

/// Whether a signature is what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A trusted key's, over these bytes.
    Good,
    /// It names a trusted key and does not fit.
    Wrong,
    /// Of a key that is not among the trusted ones.
    Unknown,
}

/// Builds the bundle of a policy document, without tests. `name` is what mistakes are reported under. The same document
/// gives the same bytes.
///
/// # Errors
/// The document's mistakes.
pub fn build(name: &str, text: &str) -> Result<Vec<u8>, BuildError> {
    let (component, description) = build::build_described(name, text)?;
    Ok(with_metadata(component, &description))
}

/// Adds what a bundle says of itself, behind its tests. What it said before goes, and signatures go, which were over that.
#[must_use]
pub fn with_metadata(mut bundle: Vec<u8>, description: &Description) -> Vec<u8> {
    let kept = sections::unsigned(sections::without_metadata(&bundle)).len();
    bundle.truncate(kept);
    let metadata = Metadata::new(description, &bundle);
    // Texts and lists of texts.
    let json = serde_json::to_vec(&metadata).unwrap_or_default();
    sections::append_section(&mut bundle, sections::METADATA, &json);
    bundle
}

/// What a bundle says of itself.
pub fn metadata(bundle: &[u8]) -> Option<Metadata> {
    let mut behind = sections::behind(bundle);
    let section = behind.find(|section| section.name == sections::METADATA)?;
    serde_json::from_slice(section.data).ok()
}

/// The digest of a whole file, as versions of a policy are told apart: `sha256:` and hex.
pub fn digest(bundle: &[u8]) -> String {
    digest_text(bundle)
}

/// Whether a file begins as components do. It may be cut off, or no policy.
pub fn is_component(file: &[u8]) -> bool {
    file.starts_with(&sections::PREAMBLE)
}

/// The digest of what is signed: the bundle without its signatures.
pub fn signed_digest(bundle: &[u8]) -> String {
    digest_text(sections::unsigned(bundle))
}

/// Adds files of tests to a component that has neither tests nor signatures yet.
#[must_use]
pub fn with_tests(mut component: Vec<u8>, tests: &[CarriedTests]) -> Vec<u8> {
    for carried in tests {
        let mut body = Vec::with_capacity(carried.name.len() + carried.text.len() + 1);
        // No name of a file has a NUL in it.
        body.extend_from_slice(carried.name.replace('\0', "").as_bytes());
        body.push(0);
        body.extend_from_slice(carried.text.as_bytes());
        sections::append_section(&mut component, sections::TESTS, &body);
    }
    component
}

/// The files of tests that a bundle carries, in their order.
pub fn tests(bundle: &[u8]) -> Vec<CarriedTests> {
    let tests = sections::behind(bundle).filter(|section| section.name == sections::TESTS);
    let read = |section: Section<'_>| {
        let end = section.data.iter().position(|byte| *byte == 0)?;
        let (name, text) = section.data.split_at_checked(end)?;
        Some(CarriedTests {
            name: String::from_utf8(name.to_vec()).ok()?,
            text: String::from_utf8(text.get(1..)?.to_vec()).ok()?,
        })
    };
    tests.filter_map(read).collect()
}

/// Adds a signature, unless this key has signed it already.
#[must_use]
pub fn sign(mut bundle: Vec<u8>, key: &PolicySigningKey) -> Vec<u8> {
    let public = key.public();
    let is_there = signatures(&bundle).any(|(id, _)| id == public.id());
    if is_there {
        return bundle;
    }
    let signature = key.sign(&message(&bundle));
    let body = [public.id().as_bytes(), signature.as_slice()].concat();
    sections::append_section(&mut bundle, sections::SIGNATURE, &body);
    bundle
}

/// The ids of the keys that a bundle says it is signed by. That it says so proves nothing.
pub fn signers(bundle: &[u8]) -> Vec<String> {
    signatures(bundle).map(|(id, _)| id.to_owned()).collect()
}

/// Signatures that are looked at: each costs a hash of the whole bundle.
const SIGNATURES_MAX: usize = 16;

impl Trust {
    /// Trusts the public keys, or the public halves, in these files.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn load(files: &[PathBuf]) -> Result<Self, PolicyKeyError> {
        let keys: Result<_, _> = files
            .iter()
            .map(|path| PolicyPublicKey::load(path))
            .collect();
        Ok(Self(keys?))
    }

    /// The trusted key that has signed a bundle.
    ///
    /// # Errors
    /// When none has, or when what is signed was changed.
    pub fn verify(&self, bundle: &[u8]) -> Result<&PolicyPublicKey, BadSignature> {
        let message = message(bundle);
        let mut wrong = None;
        for (id, signature) in signatures(bundle).take(SIGNATURES_MAX) {
            // Two keys may have one id: it is only part of a hash.
            for key in self.0.iter().filter(|key| key.id() == id) {
                if key.verifies(&message, signature) {
                    return Ok(key);
                }
                wrong.get_or_insert_with(|| id.to_owned());
            }
        }
        Err(match (wrong, signers(bundle)) {
            (Some(id), _) => BadSignature::Wrong(id),
            (None, signers) if signers.is_empty() && !sections::is_whole(bundle) => {
                BadSignature::NotWhole
            }
            (None, signers) if signers.is_empty() => BadSignature::None,
            (None, signers) => BadSignature::Unknown(signers),
        })
    }

    /// Every signature of a bundle, in their order.
    pub fn signatures(&self, bundle: &[u8]) -> Vec<Signature> {
        let message = message(bundle);
        let judged = signatures(bundle).map(|(id, signature)| {
            let named = || self.0.iter().filter(|key| key.id() == id);
            let standing = if named().any(|key| key.verifies(&message, signature)) {
                Standing::Good
            } else if named().next().is_some() {
                Standing::Wrong
            } else {
                Standing::Unknown
            };
            Signature {
                key_id: id.to_owned(),
                standing,
            }
        });
        judged.collect()
    }

    /// Whether signatures are asked for at all.
    pub fn is_asked_for(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Sections that are no signature by their form are passed over: whoever has the file can add some, with any text.
fn signatures(bundle: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let signatures = sections::behind(bundle).filter(|section| section.name == sections::SIGNATURE);
    signatures.filter_map(|section| {
        let (id, signature) = section.data.split_at_checked(ID_BYTES)?;
        let is_id = id
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = std::str::from_utf8(id).ok().filter(|_| is_id)?;
        Some((id, signature))
    })
}

/// What is signed: a text that no other use of a key begins with, and everything before the first signature.
fn message(bundle: &[u8]) -> Vec<u8> {
    let signed = sections::unsigned(bundle);
    [b"scopegate policy bundle 1\0", signed].concat()
}

fn quoted(ids: &[String]) -> String {
    let quoted = ids.iter().take(TOLD_MAX).map(|id| format!("`{id}`"));
    let told = quoted.collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(TOLD_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Sandbox, SandboxConfig, build_document};

    const DOCUMENT: &str = "policy: small\npermissions:\n  clusters:read: { category: C, unlocks: c }\nroles:\n  viewer: [clusters:read]\nroutes:\n  - { match: GET /v1/health, public: true }\n";

    fn carried() -> [CarriedTests; 2] {
        ["a.test.yaml", "b.test.yaml"].map(|name| CarriedTests {
            name: name.to_owned(),
            text: format!("cases: # of {name}\n"),
        })
    }

    #[test]
    fn a_bundle_is_its_document_still_and_says_what_it_carries() {
        let component = build_document("policy.yaml", DOCUMENT).unwrap();
        let bundle = with_tests(component.clone(), &carried());
        let key = PolicySigningKey::ephemeral().unwrap();
        let signed = sign(bundle.clone(), &key);
        assert_eq!(signed, sign(signed.clone(), &key), "once is enough");
        assert_eq!(signed, sign(bundle.clone(), &key), "the same bytes again");
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        for bytes in [&component, &bundle, &signed] {
            let policy = sandbox.load(bytes).unwrap();
            assert!(policy.is_from_document());
            assert_eq!(policy.description().name, "small");
        }
        assert_eq!(tests(&signed), carried());
        // What it says of itself is said once, and nobody has signed it yet.
        let described = sandbox.load(&component).unwrap();
        let described = described.description();
        let whole = with_metadata(signed.clone(), described);
        assert_eq!(whole, with_metadata(whole.clone(), described));
        assert_eq!(
            (signers(&whole), tests(&whole)),
            (Vec::new(), carried().to_vec())
        );
        assert!(sandbox.load(&whole).unwrap().is_from_document());
        let said = metadata(&sign(whole.clone(), &key)).unwrap();
        assert_eq!(said.contradictions(&whole, described), Vec::<String>::new());
        assert_eq!(said.contradictions(&component, described).len(), 1);
        assert_eq!(
            build("policy.yaml", DOCUMENT).unwrap(),
            with_metadata(component.clone(), described)
        );
        assert_eq!(tests(&component), []);
        assert_eq!(signers(&signed), [key.public().id()]);
        // Further code behind it is no part of the document.
        let mut other = bundle;
        other.extend_from_slice(&component[8..]);
        assert!(
            !sandbox
                .load(&other)
                .is_ok_and(|policy| policy.is_from_document())
        );
    }

    #[test]
    fn only_a_trusted_keys_signature_over_these_very_bytes_is_good() {
        let component = build_document("policy.yaml", DOCUMENT).unwrap();
        let bundle = with_tests(component.clone(), &carried());
        let [ours, others] = [(); 2].map(|()| PolicySigningKey::ephemeral().unwrap());
        let trust = Trust(vec![ours.public()]);
        assert_eq!(trust.verify(&bundle), Err(BadSignature::None));
        let by_others = sign(bundle.clone(), &others);
        let id = others.public().id().to_owned();
        assert_eq!(
            trust.verify(&by_others),
            Err(BadSignature::Unknown(vec![id]))
        );
        let by_both = sign(by_others, &ours);
        assert_eq!(trust.verify(&by_both), Ok(&ours.public()));

        // Of another policy, over other tests, or with one bit changed.
        let signed = sign(bundle.clone(), &ours);
        let signature = &signed[bundle.len()..];
        let moved = [component.as_slice(), signature].concat();
        let wrong = Err(BadSignature::Wrong(ours.public().id().to_owned()));
        assert_eq!(trust.verify(&moved), wrong);
        for place in (bundle.len() - 60..bundle.len()).chain(signed.len() - 64..signed.len()) {
            let mut changed = signed.clone();
            changed[place] ^= 1;
            assert!(trust.verify(&changed).is_err(), "byte {place}");
        }
        // Text that only stands where a signature would is none, and is not told.
        for id in ["x\n\x1b[31mtrusted\x1b[", "0123456789ABCDEF"] {
            let mut named = bundle.clone();
            let data = [id.as_bytes(), &[0; 64]].concat();
            sections::append_section(&mut named, sections::SIGNATURE, &data);
            assert_eq!(signers(&named), Vec::<String>::new(), "{id:?}");
            assert_eq!(trust.verify(&named), Err(BadSignature::None));
            assert_eq!(trust.verify(&sign(named, &ours)), Ok(&ours.public()));
        }
        let many = (0..7).map(|id| format!("{id:016x}")).collect();
        let told = BadSignature::Unknown(many).to_string();
        assert!(
            told.contains("`0000000000000004` and 2 more, and none"),
            "{told}"
        );

        // What stands behind a signature is not signed, so nothing but signatures may.
        let behind = with_tests(signed.clone(), &carried());
        assert!(trust.verify(&behind).is_err());
        let mut garbage = signed;
        garbage.extend_from_slice(b"garbage");
        assert_eq!(trust.verify(&garbage), Err(BadSignature::NotWhole));
        // What is cut off, or no component at all, is not merely unsigned.
        for cut in [&bundle[..bundle.len() - 1], b"policy: small\n", b""] {
            assert_eq!(trust.verify(cut), Err(BadSignature::NotWhole));
        }
    }
}

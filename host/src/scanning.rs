//! Secret scanners: partners who search public places for keys, and report those that they find, signed as GitHub's
//! secret-scanning partner programme signs (ECDSA P-256 with SHA-256 over the body, by a key of a published list).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;
use base64::{Engine, prelude::BASE64_STANDARD};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde::Deserialize;

use crate::fetch::{Fetcher, Place};

/// Largest report, in bytes.
pub const REPORT_BYTES_MAX: usize = 1 << 20;
/// Most keys in a report.
const LEAKS_MAX: usize = 1_000;
/// How old a fetched list may be before it is fetched again for a key that it lacks, and how long at least between two
/// fetches.
const FETCH_INTERVAL_MS: i64 = 60 * 1000;
/// The uncompressed point of P-256 at the end of a public key.
const POINT_BYTES: usize = 65;
/// How every P-256 public key begins (RFC 5480).
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Where the partners' public keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartnerKeys {
    /// A file in the form of GitHub's list: `{"public_keys": [{"key_identifier", "key"}]}`.
    File(PathBuf),
    /// The list itself, over https.
    Url(String),
}

/// Why there are no partners.
#[derive(Debug, thiserror::Error)]
pub enum BadPartners {
    /// The file cannot be read.
    #[error("cannot read the secret scanners' keys `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What is wrong with the list or the URL.
    #[error("the secret scanners' keys `{place}` cannot be used: {what}")]
    Unusable {
        /// Where the list is.
        place: String,
        /// What is wrong.
        what: String,
    },
}

/// Why a report is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbelieved {
    /// No signature, one of an unknown key, or one that does not fit.
    Signature,
    /// There are no keys that could tell. The text is for the log.
    Unavailable(String),
}

/// A key that somebody has found.
#[derive(Clone, Deserialize)]
pub struct Leak {
    /// What looks like a key.
    pub token: secrecy::SecretString,
    /// What the scanner calls its kind.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Where it was found.
    #[serde(default)]
    pub url: String,
    /// In what: a commit, an issue.
    #[serde(default)]
    pub source: String,
}

#[derive(Deserialize)]
struct List {
    public_keys: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    key_identifier: String,
    key: String,
}

#[derive(Debug)]
struct PartnerKey {
    id: String,
    point: Vec<u8>,
}

/// The partners whose reports are believed.
#[derive(Debug)]
pub struct Partners {
    keys: ArcSwapOption<Vec<PartnerKey>>,
    remote: Option<Fetcher>,
    tried_at: AtomicI64,
}

impl Partners {
    /// Reads the keys of a file; a URL is fetched when it is first needed.
    pub fn new(keys: &PartnerKeys) -> Result<Self, BadPartners> {
        let (keys, remote) = match keys {
            PartnerKeys::File(path) => (Some(Arc::new(read_file(path)?)), None),
            PartnerKeys::Url(url) => {
                let remote =
                    Fetcher::new(&Place::of(url)).map_err(|what| BadPartners::Unusable {
                        place: url.clone(),
                        what,
                    })?;
                (None, Some(remote))
            }
        };
        Ok(Self {
            keys: ArcSwapOption::new(keys),
            remote,
            tried_at: AtomicI64::new(i64::MIN),
        })
    }

    /// Checks that a partner has signed this body: `key_id` and `signature` (base64 of ASN.1) are headers.
    pub async fn verify(
        &self,
        key_id: &str,
        signature: &str,
        body: &[u8],
        now_ms: i64,
    ) -> Result<(), Unbelieved> {
        let signature = BASE64_STANDARD
            .decode(signature)
            .map_err(|_| Unbelieved::Signature)?;
        let point = match self.point(key_id) {
            Some(point) => point,
            None => {
                self.refresh(now_ms).await?;
                self.point(key_id).ok_or(Unbelieved::Signature)?
            }
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(body, &signature)
            .map_err(|_| Unbelieved::Signature)
    }

    fn point(&self, key_id: &str) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let key = keys.as_ref()?.iter().find(|key| key.id == key_id)?;
        Some(key.point.clone())
    }

    /// Fetches the list anew, unless that was tried a short while ago.
    async fn refresh(&self, now_ms: i64) -> Result<(), Unbelieved> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        let tried_at = self.tried_at.load(Relaxed);
        if tried_at != i64::MIN && now_ms.saturating_sub(tried_at).abs() < FETCH_INTERVAL_MS {
            return match self.keys.load().is_some() {
                true => Ok(()),
                false => Err(Unbelieved::Unavailable(
                    "the secret scanners' keys could not be fetched a moment ago".to_owned(),
                )),
            };
        }
        self.tried_at.store(now_ms, Relaxed);
        let fetched = remote.get("application/json").await;
        let read = fetched.and_then(|body| read(&body));
        match read {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(keys)));
                Ok(())
            }
            Err(what) => Err(Unbelieved::Unavailable(format!(
                "`{}`: {what}",
                remote.url()
            ))),
        }
    }
}

/// The leaks of a report whose signature was verified. An error says what is wrong with it.
pub fn leaks(body: &[u8]) -> Result<Vec<Leak>, &'static str> {
    let leaks: Vec<Leak> = serde_json::from_slice(body)
        .map_err(|_| "the body is not a list of objects with `token`")?;
    if leaks.len() > LEAKS_MAX {
        return Err("the report has more than 1000 keys");
    }
    Ok(leaks)
}

fn read_file(path: &Path) -> Result<Vec<PartnerKey>, BadPartners> {
    let body = fs::read(path).map_err(|error| BadPartners::File {
        path: path.to_owned(),
        error,
    })?;
    read(&body).map_err(|what| BadPartners::Unusable {
        place: path.display().to_string(),
        what,
    })
}

fn read(body: &[u8]) -> Result<Vec<PartnerKey>, String> {
    let list: List = serde_json::from_slice(body).map_err(|_| {
        "it is not a list of `public_keys` with `key_identifier` and `key`".to_owned()
    })?;
    let keys = list.public_keys.into_iter().map(|listed| {
        let point = point_of(&listed.key).ok_or_else(|| {
            format!(
                "the key `{}` is not a P-256 public key in PEM",
                listed.key_identifier
            )
        })?;
        Ok(PartnerKey {
            id: listed.key_identifier,
            point,
        })
    });
    let keys: Vec<PartnerKey> = keys.collect::<Result<_, String>>()?;
    match keys.is_empty() {
        true => Err("it has no key".to_owned()),
        false => Ok(keys),
    }
}

fn point_of(pem: &str) -> Option<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
    let point = key.as_ref().strip_prefix(P256_HEAD.as_slice())?;
    (point.len() == POINT_BYTES).then(|| point.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From GitHub's documentation of the programme.
    const DOCUMENTED: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP\nHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==\n-----END PUBLIC KEY-----\n";

    #[tokio::test]
    async fn a_list_is_read_and_only_its_keys_count() {
        let list = serde_json::json!({ "public_keys": [{ "key_identifier": "one", "key": DOCUMENTED, "is_current": true }] });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        fs::write(&path, list.to_string()).unwrap();
        let partners = Partners::new(&PartnerKeys::File(path.clone())).unwrap();
        for (id, signature) in [("two", "AAAA"), ("one", "AAAA"), ("one", "*"), ("one", "")] {
            let verified = partners.verify(id, signature, b"[]", 0).await;
            assert_eq!(verified, Err(Unbelieved::Signature), "{id} {signature}");
        }
        for bad in [
            "",
            "[]",
            "{\"public_keys\":[]}",
            "{\"public_keys\":[{\"key_identifier\":\"x\",\"key\":\"y\"}]}",
        ] {
            fs::write(&path, bad).unwrap();
            assert!(
                Partners::new(&PartnerKeys::File(path.clone())).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn reports_are_bounded_lists() {
        assert_eq!(
            leaks(br#"[{"token":"a","type":"t","url":"u","source":"s"},{"token":"b"}]"#)
                .unwrap()
                .len(),
            2
        );
        assert!(leaks(b"{}").is_err());
        let many = serde_json::json!(vec![serde_json::json!({ "token": "a" }); 1_001]);
        assert!(leaks(many.to_string().as_bytes()).is_err());
    }
}

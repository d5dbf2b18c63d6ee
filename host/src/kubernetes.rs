//! The Kubernetes Secret that a cluster's agent reads its token from: a manifest for `kubectl apply`, as
//! `kubectl create secret generic --dry-run=client -o yaml` writes it, and what a Helm chart is told of it.

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// Under which key the products' agents look.
pub const KEY: &str = "api-token";

/// A Secret that waits for its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    name: String,
    key: String,
    namespace: Option<String>,
}

impl Secret {
    /// A Secret of this name, with the token under this key; without a namespace it is where it is applied.
    ///
    /// # Errors
    /// What is wrong about a name.
    pub fn new(name: &str, key: &str, namespace: Option<&str>) -> Result<Self, String> {
        Ok(Self {
            name: self::name(name)?,
            key: self::key(key)?,
            namespace: namespace.map(self::namespace).transpose()?,
        })
    }

    /// The Secret for the agents of a contract, such as `k8cost-agent`.
    ///
    /// # Errors
    /// When the contract's name gives none to a Secret.
    pub fn of_contract(contract: &str) -> Result<Self, String> {
        Self::new(&format!("{contract}-agent"), KEY, None)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key in it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The manifest with the token in it, in JSON.
    pub fn json(&self, token: &SecretString) -> Value {
        let mut metadata = json!({ "name": self.name });
        if let (Some(metadata), Some(namespace)) = (metadata.as_object_mut(), &self.namespace) {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": { self.key.as_str(): encoded(token) },
        })
    }

    /// The manifest with the token in it, in YAML.
    pub fn yaml(&self, token: &SecretString) -> String {
        let namespace = match &self.namespace {
            Some(namespace) => format!("  namespace: {}\n", scalar(namespace)),
            None => String::new(),
        };
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n{namespace}type: Opaque\ndata:\n  {}: {}\n",
            scalar(&self.name),
            scalar(&self.key),
            scalar(&encoded(token))
        )
    }

    /// Values for the Helm chart of an agent that reads its token from this Secret, which is there already: they name it,
    /// and the token is not in them. Charts differ in what they call these; most have these names, under their own part.
    pub fn helm_values(&self) -> String {
        format!(
            "existingSecret: {}\nexistingSecretKey: {}\n",
            scalar(&self.name),
            scalar(&self.key)
        )
    }
}

fn encoded(token: &SecretString) -> String {
    BASE64_STANDARD.encode(token.expose_secret())
}

/// A text in YAML. All of these are letters, digits and a few marks that mean nothing there; those are quoted that a
/// parser could take for a number, a date, or a word such as `true` or `null`.
fn scalar(text: &str) -> String {
    const LONGEST_WORD: usize = "false".len();
    if text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.len() > LONGEST_WORD {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}

/// A DNS subdomain (RFC 1123), as the names of Secrets are.
///
/// # Errors
/// What a name is, for one that is none.
pub fn name(text: &str) -> Result<String, String> {
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err("a name has at most 253 lower-case letters, digits, `-` and `.`, and starts and ends with a letter or digit".to_owned())
}

/// A namespace (RFC 1123).
///
/// # Errors
/// What a namespace is, for one that is none.
pub fn namespace(text: &str) -> Result<String, String> {
    if text.len() <= 63 && is_label(text) {
        return Ok(text.to_owned());
    }
    Err("a namespace has at most 63 lower-case letters, digits and `-`, and starts and ends with a letter or digit".to_owned())
}

/// A key in a Secret.
///
/// # Errors
/// What a key is, for one that is none.
pub fn key(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_key = (1..=253).contains(&text.len()) && text.bytes().all(is_plain);
    if is_key && text != "." && !text.starts_with("..") {
        return Ok(text.to_owned());
    }
    Err("a key has 1 to 253 letters, digits, `-`, `_` and `.`".to_owned())
}

fn is_label(label: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty()
        && label.bytes().all(is_plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_as_kubectl_writes_it() {
        let secret = Secret::of_contract("k8cost").unwrap();
        let token = SecretString::from("k8c_agent");
        let written = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: k8cost-agent\ntype: Opaque\ndata:\n  api-token: azhjX2FnZW50\n";
        assert_eq!(secret.yaml(&token), written);
        assert_eq!(secret.json(&token)["data"]["api-token"], "azhjX2FnZW50");
        assert_eq!(
            secret.helm_values(),
            "existingSecret: k8cost-agent\nexistingSecretKey: api-token\n"
        );
        let awkward = Secret::new("123", "no", Some("true")).unwrap();
        assert_eq!(
            awkward.helm_values(),
            "existingSecret: \"123\"\nexistingSecretKey: \"no\"\n"
        );
        assert!(Secret::of_contract("Not a name").is_err());
    }

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        for right in ["k8cost-agent", "a", "a.b-c.d", "0"] {
            assert!(name(right).is_ok(), "{right}");
        }
        for wrong in ["", "-a", "a-", "A", "a_b", "a..b", "a b", "a\nb", "é"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        assert!(namespace("a.b").is_err() && namespace(&"a".repeat(64)).is_err());
        for wrong in ["", ".", "..", "..x", "a/b", "a b", "a: b"] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
        assert!(key("API_TOKEN").is_ok() && key(".dockerconfigjson").is_ok());
    }
}

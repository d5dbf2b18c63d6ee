//! The Kubernetes Secret that a cluster's agent reads its token from: a manifest for `kubectl apply`, as
//! `kubectl create secret generic --dry-run=client -o yaml` writes it.

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use scopegate_host::admin::Reply;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    credential,
    failure::Failure,
    output::{self, Output},
};

/// Under which key the products' agents look.
const KEY: &str = "api-token";

/// Where the Secret is to be.
#[derive(Args, Debug)]
#[command(next_help_heading = "Kubernetes Secret")]
pub(super) struct SecretNames {
    /// The Secret's name [default: the contract's name and `-agent`, such as `k8cost-agent`]
    #[arg(long, value_name = "NAME", value_parser = name)]
    secret_name: Option<String>,
    /// The key in it
    #[arg(long, value_name = "KEY", value_parser = key, default_value = KEY)]
    secret_key: String,
    /// Its namespace [default: the one that `kubectl` applies it to]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    namespace: Option<String>,
}

/// A Secret that waits for its token.
#[derive(Debug)]
pub(super) struct Secret {
    name: String,
    key: String,
    namespace: Option<String>,
}

impl SecretNames {
    /// The Secret for the agents of a contract.
    pub(super) fn place(self, contract: &str) -> Result<Secret> {
        let by_contract = || {
            name(&format!("{contract}-agent")).map_err(|why| {
                Failure::usage(format!(
                    "the contract `{contract}` gives no name to a Secret: {why}"
                ))
                .help("choose one with `--secret-name`")
            })
        };
        Ok(Secret {
            name: match self.secret_name {
                Some(name) => name,
                None => by_contract()?,
            },
            key: self.secret_key,
            namespace: self.namespace,
        })
    }
}

impl Secret {
    /// Prints the manifest with the new token in it: the only time that it is shown.
    pub(super) fn print(&self, reply: &Reply, output: Output) -> Result<()> {
        let Reply::Minted { credential, secret } = reply else {
            return output::unexpected(reply);
        };
        if output == Output::Text {
            credential::note_minted(credential);
        }
        let token = BASE64_STANDARD.encode(secret.expose_secret());
        output.print(&self.json(&token), |_| self.yaml(&token))
    }

    fn json(&self, token: &str) -> Value {
        let mut metadata = json!({ "name": self.name });
        if let (Some(metadata), Some(namespace)) = (metadata.as_object_mut(), &self.namespace) {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": { self.key.as_str(): token },
        })
    }

    fn yaml(&self, token: &str) -> String {
        let namespace = match &self.namespace {
            Some(namespace) => format!("  namespace: {}\n", scalar(namespace)),
            None => String::new(),
        };
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n{namespace}type: Opaque\ndata:\n  {}: {}\n",
            scalar(&self.name),
            scalar(&self.key),
            scalar(token)
        )
    }
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
fn name(text: &str) -> Result<String, String> {
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err("a name has at most 253 lower-case letters, digits, `-` and `.`, and starts and ends with a letter or digit".to_owned())
}

fn namespace(text: &str) -> Result<String, String> {
    if text.len() <= 63 && is_label(text) {
        return Ok(text.to_owned());
    }
    Err("a namespace has at most 63 lower-case letters, digits and `-`, and starts and ends with a letter or digit".to_owned())
}

fn key(text: &str) -> Result<String, String> {
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
    fn the_manifest_says_the_same_in_yaml_and_in_json() {
        let awkward = [
            "true",
            "no",
            "123",
            "1e3",
            "0x1f",
            "2027-01-01",
            "null",
            "a",
        ];
        for name in awkward.into_iter().chain(["k8cost-agent"]) {
            let secret = Secret {
                name: name.to_owned(),
                key: name.to_owned(),
                namespace: Some(name.to_owned()),
            };
            let token = BASE64_STANDARD.encode("k8c_agent_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
            let read: Value = serde_saphyr::from_str(&secret.yaml(&token)).unwrap();
            assert_eq!(read, secret.json(&token), "{name}");
        }
        let secret = Secret {
            name: "k8cost-agent".to_owned(),
            key: KEY.to_owned(),
            namespace: None,
        };
        let written = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: k8cost-agent\ntype: Opaque\ndata:\n  api-token: azhjX2FnZW50\n";
        assert_eq!(secret.yaml("azhjX2FnZW50"), written);
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

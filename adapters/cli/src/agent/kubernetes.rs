//! The Kubernetes Secret that a cluster's agent reads its token from, as the command line names and prints it.

use anyhow::Result;
use clap::Args;
use scopegate_host::{
    admin::Reply,
    kubernetes::{self, KEY, Secret},
};

use crate::{
    credential,
    failure::Failure,
    output::{self, Output},
};

/// Where the Secret is to be.
#[derive(Args, Debug)]
#[command(next_help_heading = "Kubernetes Secret")]
pub(super) struct SecretNames {
    /// The Secret's name [default: the contract's name and `-agent`, such as `k8cost-agent`]
    #[arg(long, value_name = "NAME", value_parser = kubernetes::name)]
    secret_name: Option<String>,
    /// The key in it
    #[arg(long, value_name = "KEY", value_parser = kubernetes::key, default_value = KEY)]
    secret_key: String,
    /// Its namespace [default: the one that `kubectl` applies it to]
    #[arg(long, value_name = "NAMESPACE", value_parser = kubernetes::namespace)]
    namespace: Option<String>,
}

impl SecretNames {
    /// The Secret for the agents of a contract.
    pub(super) fn place(self, contract: &str) -> Result<Secret> {
        let name = match self.secret_name {
            Some(name) => name,
            None => {
                let secret = Secret::of_contract(contract).map_err(|why| {
                    Failure::usage(format!(
                        "the contract `{contract}` gives no name to a Secret: {why}"
                    ))
                    .help("choose one with `--secret-name`")
                })?;
                secret.name().to_owned()
            }
        };
        let secret = Secret::new(&name, &self.secret_key, self.namespace.as_deref());
        Ok(secret.map_err(Failure::usage)?)
    }
}

/// Prints the manifest with the new token in it: the only time that it is shown.
pub(super) fn print(secret: &Secret, reply: &Reply, output: Output) -> Result<()> {
    let Reply::Minted {
        credential,
        secret: token,
    } = reply
    else {
        return output::unexpected(reply);
    };
    if output == Output::Text {
        credential::note_minted(credential);
    }
    output.print(&secret.json(token), |_| secret.yaml(token))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::Value;

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
            let secret = Secret::new(name, name, Some(name)).unwrap();
            let token = SecretString::from("k8c_agent_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
            let read: Value = serde_saphyr::from_str(&secret.yaml(&token)).unwrap();
            assert_eq!(read, secret.json(&token), "{name}");
        }
    }
}

//! `scopegate init`: a gate of one's own, ready to serve: configuration, policy with tests, signing keys, store, the
//! first organization and its administrator.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, builder::PossibleValuesParser};
use scopegate_host::{Contract, KeyRing, audit::AuditKey, contract::BUILTIN_NAMES};
use scopegate_policy::{document, documents};
use serde_json::{Value, json};

use crate::{
    Common, assembly,
    failure::Failure,
    founding::{First, FirstArguments, create},
    output::note,
    password::Password,
};

const EXAMPLES: &str = "\
Examples:
  scopegate init gate && cd gate && scopegate serve
  scopegate init --contract kubeadapt --upstream http://api.internal:3000
  scopegate init --admin me@example.com --password-file pw.txt --output json

Nothing that is there already is changed. The administrator's password is the one in the file,
else the one in SCOPEGATE_PASSWORD, else it is generated and printed, once.";

const CONFIGURATION: &str = include_str!("init/scopegate.yaml");
const POLICY_HEAD: &str = include_str!("init/policy-head.yaml");
const TESTS_HEAD: &str = include_str!("init/tests-head.yaml");
/// Tests of the built-in policies, by name.
const TESTS: [(&str, &str); 5] = [
    ("scopegate", include_str!("init/tests/scopegate.yaml")),
    ("k8cost", include_str!("init/tests/k8cost.yaml")),
    ("kubewatch", include_str!("init/tests/kubewatch.yaml")),
    ("kubeadapt", include_str!("init/tests/kubeadapt.yaml")),
    ("kubevision", include_str!("init/tests/kubevision.yaml")),
];

/// Write a configuration, a policy with tests, keys and a store with the first administrator
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// Where; made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// How the gate speaks
    #[arg(long, value_name = "NAME", default_value = "scopegate", value_parser = PossibleValuesParser::new(BUILTIN_NAMES))]
    contract: String,
    /// Where admitted requests go
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    upstream: String,
    #[command(flatten)]
    first: FirstArguments,
}

pub(crate) async fn run(init: Init, common: &Common) -> Result<()> {
    let contract = Contract::builtin(&init.contract).context("the contract is not built in")?;
    let policy =
        documents::builtin(&contract.policy).context("the contract's policy is not built in")?;
    let tests = tests(&init.contract, &contract.policy).context("the policy has no tests")?;
    let password = Password::choose(init.first.password_file.as_deref())?;
    // Whatever can be wrong is found before the first file is written.
    let hash = password.hash()?;
    let place = |name: &str| init.directory.join(name);
    let files = [
        "scopegate.yaml",
        "policy.yaml",
        "policy.test.yaml",
        "signing-keys.json",
        "audit-key.json",
        "scopegate.db",
    ];
    if let Some(there) = files
        .iter()
        .map(|name| place(name))
        .find(|path| path.exists())
    {
        return Err(
            Failure::new(format!("`{}` is there already", there.display()))
                .help("name a directory without a gate in it")
                .into(),
        );
    }
    fs::create_dir_all(&init.directory)
        .with_context(|| format!("`{}` cannot be made", init.directory.display()))?;
    let configuration = CONFIGURATION
        .replace("{contract}", &init.contract)
        .replace("{upstream}", &init.upstream);
    write_new(&place("scopegate.yaml"), &configuration)?;
    write_new(&place("policy.yaml"), &format!("{POLICY_HEAD}{policy}"))?;
    write_new(&place("policy.test.yaml"), &tests)?;
    KeyRing::create(&place("signing-keys.json"))?;
    AuditKey::create(&place("audit-key.json"))?;
    // What was written is what `serve` will read; an upstream that is no URL shows here.
    let config = assembly::configuration(&place("scopegate.yaml"))?;

    let tables = document::compile("policy.yaml", policy)?;
    let first = First {
        organization: &init.first.organization,
        admin: &init.first.admin,
        password: hash,
    };
    create(&config, &contract, tables.description(), first).await?;
    print(&init, &files, &password, common)
}

/// The test file of a built-in policy, under a contract.
fn tests(contract: &str, policy: &str) -> Option<String> {
    let (_, cases) = TESTS.iter().find(|(name, _)| *name == policy)?;
    let head = TESTS_HEAD.replace("{contract}", contract);
    Some(format!("{head}{cases}"))
}

fn print(init: &Init, files: &[&str], password: &Password, common: &Common) -> Result<()> {
    let written: Vec<String> = files
        .iter()
        .map(|name| init.directory.join(name).display().to_string())
        .collect();
    let shown = json!({
        "files": written,
        "contract": init.contract,
        "organization": init.first.organization,
        "admin": { "email": init.first.admin, "password": password.generated().map_or(Value::Null, Value::from) },
    });
    common.output.print(&shown, |_| {
        let mut lines: Vec<String> = written.iter().map(|file| format!("wrote {file}")).collect();
        lines.push(format!(
            "administrator of `{}`: {}",
            init.first.organization, init.first.admin
        ));
        if let Some(password) = password.generated() {
            lines.push(format!("password, shown this once: {password}"));
        }
        lines.join("\n")
    })?;
    note(
        "next: set `upstream` in scopegate.yaml, register clusters with `scopegate cluster add`, and run `scopegate serve`",
    );
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("`{}` cannot be written", path.display()))
}

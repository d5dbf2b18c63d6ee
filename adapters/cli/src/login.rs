//! `scopegate login`, `logout`, `whoami`: the credential for a gate over its API. It is printed and never kept in a file:
//! the environment of a shell is where it lives.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    Common,
    failure::Failure,
    output::{Output, cell, line, note},
    password,
    remote::{self, Remote},
};

const EXAMPLES: &str = "\
Examples:
  export SCOPEGATE_URL=http://127.0.0.1:9080
  export SCOPEGATE_TOKEN=$(scopegate login --email ada@example.com)
  scopegate whoami

  # In one step, also into an existing shell
  eval \"$(scopegate login --email ada@example.com --export)\"

  # In a script
  scopegate login --email ada@example.com --password-file pw.txt --otp 123456

The password is the one in the file, else the one in SCOPEGATE_PASSWORD, else it is asked for, and
so is a code of the second factor. The token is printed and kept nowhere; it lives as long as the
contract says. What makes or changes something wants a sign-in of the last 15 minutes.";

const LOGOUT_EXAMPLES: &str = "\
Examples:
  scopegate logout && unset SCOPEGATE_TOKEN

The session of SCOPEGATE_TOKEN ends at once. `scopegate session end --all` ends all of yours.";

const WHOAMI_EXAMPLES: &str = "\
Examples:
  scopegate whoami
  scopegate whoami --output json";

/// Sign in to a gate and print a session's token
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {
    /// Your e-mail address
    #[arg(long)]
    email: String,
    /// A file with your password; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A code of your second factor, or a recovery code
    #[arg(long, value_name = "CODE")]
    otp: Option<String>,
    /// Print a line for the shell: `export SCOPEGATE_TOKEN=…`
    #[arg(long)]
    export: bool,
}

/// End the session of SCOPEGATE_TOKEN
#[derive(Args, Debug)]
#[command(after_help = LOGOUT_EXAMPLES)]
pub(crate) struct Logout {}

/// Show who a gate takes SCOPEGATE_TOKEN for, and what that may do
#[derive(Args, Debug)]
#[command(after_help = WHOAMI_EXAMPLES)]
pub(crate) struct Whoami {}

pub(crate) async fn run(login: Login, common: &Common) -> Result<()> {
    let password = match password::given(login.password_file.as_deref())? {
        Some(password) => password,
        None => ask("Password: ")?.ok_or_else(|| {
            Failure::usage("there is no password")
                .help("name a file with `--password-file`, or put it into SCOPEGATE_PASSWORD")
        })?,
    };
    let otp = login.otp.map(SecretString::from);
    let answer = match attempt(&login.email, &password, otp.as_ref(), common).await? {
        Ok(answer) => answer,
        Err(required) if otp.is_none() => {
            let otp = ask("Code of the second factor: ")?
                .ok_or_else(|| Failure::new(required.0).help("give it with `--otp`"))?;
            let again = attempt(&login.email, &password, Some(&otp), common).await?;
            again.map_err(|required| Failure::new(required.0))?
        }
        Err(required) => return Err(Failure::new(required.0).into()),
    };
    print(&answer, login.export, common.output)
}

pub(crate) async fn run_logout(Logout {}: Logout, common: &Common) -> Result<()> {
    remote(common)?.log_out().await?;
    common
        .output
        .print(&json!({ "changed": true }), |_| "signed out".to_owned())
}

pub(crate) async fn run_whoami(Whoami {}: Whoami, common: &Common) -> Result<()> {
    let me = remote(common)?.me().await?;
    common.output.print(&me, describe)
}

async fn attempt(
    email: &str,
    password: &SecretString,
    otp: Option<&SecretString>,
    common: &Common,
) -> Result<Result<Value, remote::OtpRequired>> {
    let body = json!({
        "email": email,
        "password": password.expose_secret(),
        "otp": otp.map(ExposeSecret::expose_secret),
    });
    remote::log_in(common, body).await
}

fn print(answer: &Value, export: bool, output: Output) -> Result<()> {
    let token = answer["token"].as_str().unwrap_or_default();
    // A shell may evaluate it, so nothing else than a token is passed on.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if token.is_empty() || !token.bytes().all(is_plain) {
        return Err(Failure::new("the gate answered without a token")
            .help("is this the gate's management listener?")
            .into());
    }
    if output == Output::Json {
        return output.print(answer, |_| String::new());
    }
    note(&format!(
        "signed in as `{}`; the token ends at {}",
        answer.pointer("/user/email").map(cell).unwrap_or_default(),
        cell(&answer["expires_at"])
    ));
    match export {
        true => line(&format!("export SCOPEGATE_TOKEN={token}")),
        false => line(token),
    }
}

/// What `/-/api/me` says, one thing a line.
fn describe(me: &Value) -> String {
    let mut rows = vec![("name", cell(&me["name"])), ("kind", cell(&me["kind"]))];
    if me["key_name"].is_string() {
        rows.push(("key", cell(&me["key_name"])));
    }
    rows.push(("roles", cell(&me["roles"])));
    rows.push(("permissions", cell(&me["permissions"])));
    rows.push((
        "clusters",
        match &me["clusters"] {
            Value::Null => "*".to_owned(),
            some => cell(some),
        },
    ));
    rows.push(("organization", cell(&me["organization"])));
    for name in ["signed_in_at", "mfa", "expires_at"] {
        rows.push((name, cell(&me[name])));
    }
    let lines = rows.iter().map(|(name, value)| {
        let name = name.replace('_', " ");
        format!("{name:<12}  {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The gate and the credential that the environment names.
fn remote(common: &Common) -> Result<Remote> {
    Remote::open(common)?.ok_or_else(|| {
        Failure::usage("which gate is not said")
            .help("name its management listener with `--url` or SCOPEGATE_URL")
            .into()
    })
}

/// Asks on the terminal, where there is one; what is typed does not show.
fn ask(prompt: &str) -> Result<Option<SecretString>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let typed = rpassword::prompt_password(prompt).context("the terminal cannot be read")?;
    Ok(Some(typed.into()))
}

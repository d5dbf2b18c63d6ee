//! `scopegate session`: who is signed in. A user's sessions, for administrators; one's own, over the API.

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use scopegate_host::{
    admin::{Command, Reply},
    store::OpenSession,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Common,
    admin::Admin,
    failure::Failure,
    output::{self, Output, moment},
    remote::Remote,
};

const EXAMPLES: &str = "\
Examples:
  scopegate session list --user ada@example.com
  scopegate session end --user ada@example.com

  # One's own, with SCOPEGATE_URL and SCOPEGATE_TOKEN
  scopegate session list
  scopegate session end 7f1c5a0e-7b1f-4c53-8f7e-0e5b0f6d9a11
  scopegate session end --all

A session ends at once, requests under way too. Keys and agent tokens are no sessions, and stay.";

const WHOSE: &str = "whose sessions is not said: `--user EMAIL`";

/// List and end sessions
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Session {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List open sessions, newest first
    List {
        /// Whose, by e-mail address; your own when left out, over the API
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
    },
    /// End sessions, at once
    End(End),
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "all", "user"])))]
struct End {
    /// Your own sessions with these ids, as `list` shows them; over the API
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    /// All of your own, this one too; over the API
    #[arg(long)]
    all: bool,
    /// All of this user, by e-mail address
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
}

pub(crate) async fn run(session: Session, common: &Common) -> Result<()> {
    let output = common.output;
    match session.action {
        Action::List { user: Some(email) } => {
            let admin = Admin::open(common).await?;
            match admin.execute(Command::SessionList { email }).await? {
                Reply::Sessions { sessions } => print(sessions.iter().map(view).collect(), output),
                other => output::unexpected(&other),
            }
        }
        Action::List { user: None } => {
            let own = own(common)?.own_sessions().await?;
            let rows = own.iter().map(|(session, current)| {
                let mut shown = view(session);
                if let Some(object) = shown.as_object_mut() {
                    object.insert("current".to_owned(), json!(current));
                }
                shown
            });
            print(rows.collect(), output)
        }
        Action::End(End {
            user: Some(email), ..
        }) => {
            let done = format!("`{email}` is signed out everywhere");
            let admin = Admin::open(common).await?;
            let reply = admin.execute(Command::UserEndSessions { email }).await?;
            output::print_done(&reply, &done, output)
        }
        Action::End(End { all: true, .. }) => {
            let changed = own(common)?.end_own_sessions().await?;
            output::print_done(
                &Reply::Done { changed },
                "you are signed out everywhere",
                output,
            )
        }
        Action::End(End { ids, .. }) => {
            let remote = own(common)?;
            for id in &ids {
                remote.end_own_session(*id).await?;
            }
            output.print(&json!({ "ended": ids }), |_| {
                let lines = ids.iter().map(|id| format!("ended {id}"));
                lines.collect::<Vec<_>>().join("\n")
            })
        }
    }
}

/// The gate that one is signed in to.
fn own(common: &Common) -> Result<Remote> {
    match Remote::open(common)? {
        Some(remote) => Ok(remote),
        None => Err(Failure::usage(WHOSE)
            .help("your own sessions are those of SCOPEGATE_TOKEN, over the API of SCOPEGATE_URL")
            .into()),
    }
}

fn print(rows: Vec<Value>, output: Output) -> Result<()> {
    let mut columns = vec![
        "id",
        "created_at",
        "signed_in_at",
        "last_used_at",
        "mfa",
        "expires_at",
    ];
    if rows.iter().any(|row| row.get("current").is_some()) {
        columns.push("current");
    }
    output.print(&Value::Array(rows), |shown| {
        output::table(&columns, shown, "no open sessions")
    })
}

fn view(open: &OpenSession) -> Value {
    json!({
        "id": open.session.id,
        "created_at": moment(Some(open.created_at)),
        "signed_in_at": moment(Some(open.session.auth_time)),
        "last_used_at": moment(open.last_used_at),
        "mfa": open.session.mfa,
        "expires_at": moment(Some(open.session.expires_at)),
    })
}

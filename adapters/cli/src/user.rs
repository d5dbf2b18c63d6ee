//! `scopegate user`: who can log in and own keys.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use scopegate_host::{
    admin::{Command, Reply, UserRequest},
    store::User as Stored,
};
use scopegate_policy::Clusters;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    Common,
    admin::Admin,
    organization::Within,
    output::{self, Output, cell, moment},
    password::Password,
};

const EXAMPLES: &str = "\
Examples:
  scopegate user add editor@example.com --role editor
  scopegate user add viewer@example.com --role viewer --cluster prod --password-file pw.txt
  scopegate user add ada@example.com --role editor --invite
  scopegate user invite ada@example.com
  scopegate user list --output json
  scopegate user set-role editor@example.com --role viewer
  scopegate user set-clusters viewer@example.com --cluster prod --cluster dev
  scopegate user remove-factor editor@example.com
  scopegate user disable editor@example.com

What is changed holds from the next request on, for sessions and for the keys that act for the
user. An invitation is printed once and good for 7 days; the user sends it with a password of
their own: POST /-/invitation { \"invitation\": \"…\", \"password\": \"…\" }. `scopegate session` shows
and ends a user's sessions.";

/// Add, invite and list users, give them roles and clusters, disable them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; a password that is not given is generated and printed, once
    Add(Add),
    /// Give a user a new invitation, also one who has lost their password, and print it, once
    Invite {
        /// Their e-mail address
        email: String,
    },
    /// List users
    List {
        #[command(flatten)]
        within: Within,
    },
    /// Give a user another role
    SetRole {
        /// Their e-mail address
        email: String,
        /// A role of the policy, such as `viewer`
        #[arg(long)]
        role: String,
    },
    /// Assign a user to other clusters
    SetClusters(SetClusters),
    /// Take away the second factor of a user who has lost it and their recovery codes
    RemoveFactor {
        /// Their e-mail address
        email: String,
    },
    /// Disable a user: their sessions end, and so do the keys that act for them
    Disable {
        /// Their e-mail address
        email: String,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// Their e-mail address
    email: String,
    /// A role of the policy, such as `viewer`
    #[arg(long)]
    role: String,
    /// A cluster that they are assigned to, repeatable; without one, every cluster
    #[arg(long = "cluster", value_name = "ID")]
    clusters: Vec<String>,
    #[command(flatten)]
    within: Within,
    /// A file with the password; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "invite")]
    password_file: Option<PathBuf>,
    /// Print an invitation, with which they choose a password themselves; required over the API
    #[arg(long)]
    invite: bool,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("which").required(true).args(["clusters", "all", "none"])))]
struct SetClusters {
    /// Their e-mail address
    email: String,
    /// A cluster that they are assigned to, repeatable
    #[arg(long = "cluster", value_name = "ID")]
    clusters: Vec<String>,
    /// Every cluster, also those added later
    #[arg(long)]
    all: bool,
    /// No cluster
    #[arg(long)]
    none: bool,
}

pub(crate) async fn run(user: User, common: &Common) -> Result<()> {
    let output = common.output;
    let (command, done) = match user.action {
        Action::Add(add) => return run_add(add, common).await,
        Action::Invite { email } => {
            let admin = Admin::open(common).await?;
            return print_invited(&admin.execute(Command::UserInvite { email }).await?, output);
        }
        Action::List { within } => {
            let organization = within.organization;
            let admin = Admin::open(common).await?;
            let reply = admin.execute(Command::UserList { organization }).await?;
            let columns = [
                "id",
                "email",
                "role",
                "clusters",
                "created_at",
                "disabled_at",
            ];
            return print_list(&reply, &columns, "no users yet", output);
        }
        Action::SetRole { email, role } => {
            let done = format!("`{email}` has the role `{role}`");
            (Command::UserSetRole { email, role }, done)
        }
        Action::SetClusters(SetClusters {
            email,
            clusters,
            all,
            ..
        }) => {
            let done = match (all, clusters.as_slice()) {
                (true, _) => format!("`{email}` has every cluster"),
                (false, []) => format!("`{email}` has no cluster"),
                (false, some) => format!("`{email}` has {}", some.join(", ")),
            };
            let clusters = (!all).then_some(clusters);
            (Command::UserSetClusters { email, clusters }, done)
        }
        Action::RemoveFactor { email } => {
            let done = format!("`{email}` has no second factor");
            (Command::UserRemoveFactor { email }, done)
        }
        Action::Disable { email } => {
            let done = format!("`{email}` is disabled");
            (Command::UserDisable { email }, done)
        }
    };
    let admin = Admin::open(common).await?;
    output::print_done(&admin.execute(command).await?, &done, output)
}

async fn run_add(add: Add, common: &Common) -> Result<()> {
    let mut request = UserRequest {
        organization: add.within.organization,
        email: add.email,
        password: None,
        role: add.role,
        clusters: (!add.clusters.is_empty()).then_some(add.clusters),
    };
    if add.invite {
        let admin = Admin::open(common).await?;
        let reply = admin.execute(Command::UserAddInvited(request)).await?;
        return print_invited(&reply, common.output);
    }
    let password = Password::choose(add.password_file.as_deref())?;
    request.password = Some(password.hash()?);
    let admin = Admin::open(common).await?;
    match admin.execute(Command::UserAdd(request)).await? {
        Reply::User { user } => print_added(&user, &password, common.output),
        other => output::unexpected(&other),
    }
}

/// Shows a new user or operator, and their password if nobody knows it yet.
pub(crate) fn print_added(user: &Stored, password: &Password, output: Output) -> Result<()> {
    let mut shown = view(user);
    if let Some(object) = shown.as_object_mut() {
        object.insert(
            "password".to_owned(),
            password.generated().map_or(Value::Null, Value::from),
        );
    }
    output.print(&shown, |shown| {
        let added = match &user.role {
            Some(role) => format!("added `{}` with the role `{role}`", user.email),
            None => format!("added the operator `{}`", user.email),
        };
        match &shown["password"] {
            Value::Null => added,
            password => format!("{added}\npassword, shown this once: {}", cell(password)),
        }
    })
}

/// Shows users or operators.
pub(crate) fn print_list(
    reply: &Reply,
    columns: &[&str],
    empty: &str,
    output: Output,
) -> Result<()> {
    let Reply::Users { users } = reply else {
        return output::unexpected(reply);
    };
    output.print(&users.iter().map(view).collect(), |shown| {
        output::table(columns, shown, empty)
    })
}

fn print_invited(reply: &Reply, output: Output) -> Result<()> {
    let Reply::Invited {
        user,
        invitation,
        expires_at,
    } = reply
    else {
        return output::unexpected(reply);
    };
    if output == Output::Text {
        note_invited(user, *expires_at);
    }
    let shown = invited_view(user, invitation, *expires_at);
    output.print(&shown, |shown| cell(&shown["invitation"]))
}

/// Says on standard error what an invitation on standard output is.
pub(crate) fn note_invited(user: &Stored, expires_at: i64) {
    output::note(&format!(
        "`{}` is invited until {}; the invitation is shown this once:",
        user.email,
        cell(&moment(Some(expires_at)))
    ));
}

/// A user with their invitation.
pub(crate) fn invited_view(user: &Stored, invitation: &SecretString, expires_at: i64) -> Value {
    let mut shown = view(user);
    if let Some(object) = shown.as_object_mut() {
        let invitation = json!(invitation.expose_secret());
        object.insert("invitation".to_owned(), invitation);
        let end = moment(Some(expires_at));
        object.insert("invitation_expires_at".to_owned(), end);
    }
    shown
}

fn view(user: &Stored) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "role": user.role,
        // No id is `*`, so a list says it all: every cluster, some, or none.
        "clusters": match &user.clusters {
            Clusters::All => json!(["*"]),
            Clusters::Only(ids) => json!(ids),
        },
        "created_at": moment(Some(user.created_at)),
        "disabled_at": moment(user.disabled_at),
    })
}

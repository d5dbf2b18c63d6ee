//! "May this caller do this?": asked of the active policy, with why.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::dashboard::{
    calls::{Call, query},
    keys::Listed,
    problem::Problem,
    visitor::Visitor,
};

/// As many of each kind as one chooses among.
const LIMIT: &str = "200";

/// Methods to choose among.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// Callers of one kind.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) callers: Vec<Caller>,
}

/// Somebody to ask about.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Asked {
    /// Nobody where the visitor may ask about nobody.
    pub(super) groups: Vec<Group>,
    pub(super) methods: Vec<(&'static str, bool)>,
    pub(super) path: String,
    who: String,
    method: String,
}

/// What the policy says.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) allowed: bool,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) lines: Vec<String>,
    pub(super) problem: Option<String>,
}

#[derive(Deserialize)]
struct Explanation {
    outcome: String,
    status: u16,
    reason: Option<String>,
    about: Option<String>,
    explanation: Vec<String>,
}

#[derive(Deserialize)]
struct Named {
    id: Uuid,
    #[serde(alias = "email")]
    name: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct Roles {
    items: Vec<Role>,
}

impl Asked {
    /// What an address asks, and what can be asked.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn of(visitor: &Visitor) -> Result<Self, Problem> {
        let asked = &visitor.query;
        let who = asked.one("who").to_owned();
        let method = asked.given("method").unwrap_or("GET").to_owned();
        let mut groups = Vec::new();
        if visitor.may("manage:users") && !visitor.me.operator {
            let roles: Roles = visitor.calls.read("/roles").await?;
            let roles = roles
                .items
                .into_iter()
                .map(|role| (format!("role:{}", role.name), role.name));
            groups.push(group("Roles", roles, &who));
            let users = named(visitor, "/users", "user").await?;
            groups.push(group("Users", users, &who));
        }
        if visitor.may("manage:keys") && !visitor.me.operator {
            let keys = named(visitor, "/organization/keys", "key").await?;
            groups.push(group("Keys", keys, &who));
        }
        if visitor.may("manage:agents") && !visitor.me.operator {
            let agents = named(visitor, "/agents", "agent").await?;
            groups.push(group("Agents", agents, &who));
        }
        if !groups.is_empty() {
            let nobody = [(
                "anonymous".to_owned(),
                "Somebody without a credential".to_owned(),
            )];
            groups.push(group("Nobody", nobody, &who));
        }
        Ok(Self {
            methods: METHODS.map(|known| (known, known == method)).to_vec(),
            path: asked.one("path").to_owned(),
            groups,
            who,
            method,
        })
    }

    /// What the policy says to it; nothing where nothing is asked.
    ///
    /// # Errors
    /// What the API says instead, but of the question itself.
    pub(super) async fn explained(&self, visitor: &Visitor) -> Result<Option<Explained>, Problem> {
        let Some(caller) = self.caller().filter(|_| !self.path.is_empty()) else {
            return Ok(None);
        };
        let (path, parameters) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let body = json!({
            "caller": caller, "method": self.method, "path": path, "query": parameters,
        });
        match visitor
            .calls
            .make(Call::post("/policy/explain", &body))
            .await
        {
            Ok(answer) => Ok(Some(Explained::from(answer.read::<Explanation>()?))),
            Err(problem)
                if problem.is_of_form() || problem.status == http::StatusCode::NOT_FOUND =>
            {
                Ok(Some(Explained {
                    allowed: false,
                    status: problem.status.as_u16(),
                    reason: problem.title,
                    lines: Vec::new(),
                    problem: Some(problem.detail),
                }))
            }
            Err(problem) => Err(problem),
        }
    }

    /// Who is asked about, as the API is told.
    fn caller(&self) -> Option<Value> {
        match self.who.split_once(':') {
            None if self.who == "anonymous" => Some(json!("anonymous")),
            Some(("role", name)) => Some(json!({ "role": name })),
            Some((kind @ ("user" | "key" | "agent"), id)) => Some(json!({ kind: id })),
            _ => None,
        }
    }
}

impl From<Explanation> for Explained {
    fn from(explanation: Explanation) -> Self {
        let reason = [explanation.reason, explanation.about];
        let reason: Vec<String> = reason.into_iter().flatten().collect();
        Self {
            allowed: explanation.outcome == "allow",
            status: explanation.status,
            reason: reason.join(": "),
            lines: explanation.explanation,
            problem: None,
        }
    }
}

fn group(
    name: &'static str,
    found: impl IntoIterator<Item = (String, String)>,
    who: &str,
) -> Group {
    let callers = found.into_iter().map(|(value, name)| Caller {
        chosen: value == who,
        value,
        name,
    });
    Group {
        name,
        callers: callers.collect(),
    }
}

async fn named(
    visitor: &Visitor,
    list: &str,
    kind: &str,
) -> Result<Vec<(String, String)>, Problem> {
    let asked = query([("limit", LIMIT)]);
    let found: Listed<Named> = visitor.calls.read(format!("{list}{asked}")).await?;
    let found = found.items.into_iter();
    Ok(found
        .map(|named| (format!("{kind}:{}", named.id), named.name))
        .collect())
}

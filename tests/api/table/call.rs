//! One good request to each endpoint: what its placeholders stand for, made anew for each request, and what is sent.

use std::collections::BTreeMap;

use scopegate_host::{
    admin::{AgentRequest, Command, Reply as AdminReply},
    engine::build_document,
    store::Actor as By,
};
use scopegate_policy::documents;
use serde_json::{Value, json};
use totp_rs::Totp;
use uuid::Uuid;

use super::callers::{Caller, Kind, OTHER, Stage, word};
use crate::{
    api::endpoints::{Endpoint, JSON, WASM},
    harness::{Actor, Key, ORGANIZATION, PASSWORD, Reply},
};

/// An administrator of acme's whom no call changes.
const ADMIN: &str = "admin@acme.example";

/// A request to an endpoint.
#[derive(Clone)]
pub struct Call {
    pub endpoint: Endpoint,
    /// What is in the path, by the placeholders' names.
    pub places: BTreeMap<String, String>,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl Call {
    /// The path with everything in its place.
    pub fn path(&self) -> String {
        let fill = |path: String, (name, value): (&String, &String)| {
            path.replace(&format!("{{{name}}}"), value)
        };
        self.places
            .iter()
            .fold(self.endpoint.template.clone(), fill)
    }

    pub async fn send(&self, actor: &Actor) -> Reply {
        let path = match self.query.is_empty() {
            true => self.path(),
            false => format!("{}?{}", self.path(), encoded(&self.query)),
        };
        let request = actor.request(&self.endpoint.method, &path);
        let request = self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        let request = match &self.body {
            None => request,
            Some(body) if self.endpoint.body_type.as_deref() == Some(JSON) => request.json(body),
            // The text is the document that it is built from.
            Some(body) if self.endpoint.body_type.as_deref() == Some(WASM) => {
                let document = body.as_str().expect("a document");
                let component = build_document("policy.yaml", document).expect("a policy");
                request.header("content-type", WASM).body(component)
            }
            Some(body) => {
                let members = body.as_object().expect("a form").iter();
                let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
                let pairs: Vec<_> = members
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect();
                request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(encoded(&pairs))
            }
        };
        actor.send(request).await
    }
}

/// Names and values as queries and forms have them.
fn encoded(pairs: &[(String, String)]) -> String {
    let url = reqwest::Url::parse_with_params("http://gate.example", pairs).expect("a URL");
    url.query().unwrap_or_default().to_owned()
}

impl Stage {
    /// A good request of this caller's to an endpoint. What is theirs is theirs; of what is an organization's, it
    /// is acme's, also where the caller is a stranger.
    pub async fn call(&mut self, endpoint: &Endpoint, caller: &Caller) -> Call {
        self.call_in(ORGANIZATION, endpoint, caller).await
    }

    /// The same, about what is in this organization.
    pub async fn call_in(
        &mut self,
        home: &'static str,
        endpoint: &Endpoint,
        caller: &Caller,
    ) -> Call {
        let removes_factor = [
            "DELETE /-/api/me/factor",
            "POST /-/api/me/factor/recovery-codes",
        ];
        if removes_factor.contains(&endpoint.to_string().as_str())
            && let Some(otp) = self.begin_factor(caller).await
        {
            let confirm = caller
                .actor
                .post("/-/api/me/factor/confirm", json!({ "otp": otp }));
            assert_eq!(confirm.await.status, 201);
        }
        if endpoint.template.starts_with("/-/api/policies/shadow") {
            self.put_shadow().await;
        }
        let mut places = BTreeMap::new();
        for name in endpoint.placeholders() {
            let value = self.place(&name, home, endpoint, caller).await;
            places.insert(name, value);
        }
        let has = |name: &str| endpoint.parameters.iter().any(|(_, known)| known == name);
        let headers = match has("If-Match") {
            true => vec![("if-match".to_owned(), "*".to_owned())],
            false => Vec::new(),
        };
        let body = match endpoint.body_type {
            Some(_) => Some(self.body(home, endpoint, caller, &places).await),
            None => None,
        };
        Call {
            endpoint: endpoint.clone(),
            places,
            query: Vec::new(),
            headers,
            body,
        }
    }

    async fn place(
        &mut self,
        name: &str,
        home: &'static str,
        endpoint: &Endpoint,
        caller: &Caller,
    ) -> String {
        let is_at_home = caller.is_of(home);
        match (name, &caller.email) {
            ("key", _) if endpoint.template.starts_with("/-/api/keys/") && caller.is_key() => {
                caller.credential.expect("a key").to_string()
            }
            ("key", Some(email)) if is_at_home => self.key_of(home, email).await,
            // Another one of the caller's own.
            ("session", Some(email)) if is_at_home || caller.kind == Kind::Operator => {
                let user = caller.user.expect("a user");
                self.session(user, email).await.sid.to_string()
            }
            ("session", _) => {
                let user = self.world.user(ADMIN);
                self.session(user, ADMIN).await.sid.to_string()
            }
            // Acme's own to strangers, and one that nobody minds to whoever may change it.
            ("organization", _) if caller.kind == Kind::Operator => {
                let name = word("organization");
                self.command(Command::OrganizationCreate { name }).await
            }
            ("organization", _) if home == OTHER => self.other.to_string(),
            ("organization", _) => self.world.organization.to_string(),
            // The one that is active: whoever activates it changes nothing.
            ("policy", _) => self.world.running().gate().policy().digest().to_owned(),
            _ => self.belonging(name, home, endpoint).await,
        }
    }

    /// What belongs to the organization rather than to somebody in it.
    async fn belonging(&mut self, name: &str, home: &'static str, endpoint: &Endpoint) -> String {
        match name {
            "key" => self.key_of(home, ADMIN).await,
            "agent" => {
                self.command(Command::AgentMint(AgentRequest {
                    organization: Some(home.into()),
                    cluster: "prod".into(),
                    ..AgentRequest::default()
                }))
                .await
            }
            "user" => {
                let email = format!("{}@{home}.example", word("user"));
                let user = self.world.add_user(home, &email, "viewer", None);
                user.await.to_string()
            }
            "role" => {
                let name = word("role");
                self.command(Command::RoleSet {
                    organization: Some(home.into()),
                    name: name.clone(),
                    permissions: vec!["clusters:read".into()],
                })
                .await;
                name
            }
            "cluster" => {
                let id = word("cluster");
                self.world.add_cluster(home, &id).await;
                id
            }
            _ => panic!("say what `{{{name}}}` in {endpoint} stands for"),
        }
    }

    /// Begins to enrol a second factor; the code that confirms it. Nothing for who has no session.
    async fn begin_factor(&self, caller: &Caller) -> Option<String> {
        let begun = caller.actor.call("POST", "/-/api/me/factor").await;
        if begun.status != 201 {
            return None;
        }
        let begun = begun.json();
        let totp = Totp::from_url(begun["url"].as_str().expect("a URL")).expect("an otpauth URL");
        let now = self.world.clock.now_ms().unsigned_abs() / 1000;
        Some(totp.generate(now).to_string())
    }

    /// There is something to show, to drop and to promote: what is active, so that nothing changes.
    async fn put_shadow(&self) {
        let document = documents::builtin("scopegate").expect("it is built in");
        let component = build_document("policy.yaml", document).expect("a policy");
        let policies = self.world.running().policies();
        let now_ms = self.world.clock.now_ms();
        let put = policies.push_shadow(component.into(), By::Machine.into(), now_ms);
        put.await.expect("a shadow");
    }

    async fn key_of(&self, organization: &str, owner: &str) -> String {
        let key = Key {
            organization,
            owner,
            name: &word("key"),
            ..Key::default()
        };
        self.world.key(key).await.id.expect("a key").to_string()
    }

    /// Executes a command; the id of what it made.
    async fn command(&self, command: Command) -> String {
        match self.world.command(command).await.expect("executed") {
            AdminReply::Organization { organization } => organization.id.to_string(),
            AdminReply::Minted { credential, .. } => credential.id.to_string(),
            _ => String::new(),
        }
    }

    async fn body(
        &mut self,
        home: &'static str,
        endpoint: &Endpoint,
        caller: &Caller,
        places: &BTreeMap<String, String>,
    ) -> Value {
        match endpoint.to_string().as_str() {
            "POST /-/api/keys" | "POST /-/api/keys/preview" => json!({ "name": word("key") }),
            "POST /-/api/policy/explain" => json!({
                "caller": { "user": self.belonging("user", home, endpoint).await },
                "method": "GET",
                "path": "/v1/clusters/prod",
            }),
            "POST /-/api/keys/{key}/rotate" | "POST /-/api/agents/{agent}/rotate" => json!({}),
            "POST /-/api/agents" => json!({ "cluster": "prod" }),
            "POST /-/api/clusters" => json!({ "id": word("cluster"), "agent": true }),
            "POST /-/api/users" => {
                json!({ "email": format!("{}@new.example", word("invited")), "role": "viewer" })
            }
            "PUT /-/api/me/password" => json!({ "current": PASSWORD, "new": "another good one" }),
            "POST /-/api/me/factor/confirm" => {
                json!({ "otp": self.begin_factor(caller).await.unwrap_or_default() })
            }
            // What nobody knows; and somebody else's key, of which nobody is told more.
            "POST /-/api/introspect" | "POST /-/api/revoke" => {
                let owner = match caller.is_of(home) {
                    true => caller.email.as_deref().expect("a user"),
                    false => ADMIN,
                };
                let key = Key {
                    organization: home,
                    owner,
                    ..Key::default()
                };
                json!({ "token": self.world.mint_key(key).await.0 })
            }
            "PATCH /-/api/users/{user}" => json!({ "role": "viewer" }),
            "PUT /-/api/roles/{role}" => json!({ "permissions": ["clusters:read"] }),
            // As it is called already: others go by its name.
            "PATCH /-/api/organization" => match caller.kind {
                Kind::Other => json!({ "name": OTHER }),
                _ => json!({ "name": ORGANIZATION }),
            },
            "PATCH /-/api/organizations/{organization}" => {
                json!({ "name": word("organization") })
            }
            "POST /-/api/organizations" => json!({
                "name": word("organization"),
                "admin": format!("{}@new.example", word("founder")),
            }),
            "POST /-/api/organizations/{organization}/keys/import" => {
                let organization = &places["organization"];
                let owner = format!("{}@new.example", word("owner"));
                self.world
                    .add_user(organization, &owner, "viewer", None)
                    .await;
                json!({ "keys": [{
                    "name": word("key"),
                    "sha256": hex::encode([Uuid::new_v4().into_bytes(); 2].concat()),
                    "owner": owner,
                }] })
            }
            // The one that is active, so that all others find what they need.
            "POST /-/api/policies" | "POST /-/api/policies/shadow" => {
                json!(documents::builtin("scopegate").expect("it is built in"))
            }
            _ => panic!("say what is sent to {endpoint}"),
        }
    }
}

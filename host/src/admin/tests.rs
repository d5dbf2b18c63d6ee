mod bounds;
mod credentials;
mod imports;
mod people;

use std::collections::BTreeMap;

use scopegate_policy::{PermissionInfo, RoleInfo};
use serde_json::{Value, json};

use super::*;
use crate::{
    contract::{Authority, Errors, Limits, Minting, SessionRules},
    store::fixture::{Fixture, NOW_MS},
};

fn contract(authority: Authority) -> Contract {
    let scopes = authority == Authority::Scopes;
    Contract {
        name: "kubeadapt".to_owned(),
        policy: "kubeadapt".to_owned(),
        schemes: Vec::new(),
        key_prefix: "ka".to_owned(),
        minting: Minting {
            scopes_required: scopes,
            scopes_allowed: !matches!(authority, Authority::Organization(_)),
            expiry_allowed: !matches!(authority, Authority::Organization(_)),
            name_chars_max: 255,
        },
        authority,
        sessions_on_api: false,
        session: SessionRules {
            ttl_secs: 1,
            life_secs_max: 1,
            algorithm: None,
        },
        login: None,
        refresh_path: None,
        limits: Limits {
            session: 1,
            api_key: 1,
            agent: 1,
            anonymous: 1,
            failures: 1,
            logins: 1,
            per_user: false,
        },
        errors: Errors {
            realm: String::new(),
            content_type: String::new(),
            body: Value::Null,
            texts: BTreeMap::new(),
            several_credentials_401: false,
        },
        dashboard: Contract::builtin("kubeadapt").unwrap().dashboard,
    }
}

fn description() -> Description {
    let permission = |name: &str, scope| PermissionInfo {
        name: name.to_owned(),
        category: String::new(),
        unlocks: String::new(),
        scope,
    };
    let role = |name: &str| RoleInfo {
        name: name.to_owned(),
        permissions: Vec::new(),
        when: None,
    };
    Description {
        name: "kubeadapt".to_owned(),
        version: String::new(),
        permissions: vec![
            permission("clusters:read", true),
            permission("nodes:read", true),
            permission("metrics:write", false),
        ],
        roles: vec![role("admin"), role("viewer"), role("agent")],
        routes: Vec::new(),
        headers: Vec::new(),
    }
}

/// An organization `acme` with clusters `prod`, `staging`, `dev` and a user, under a contract.
struct Office {
    fixture: Fixture,
    contract: Contract,
    description: Description,
}

impl Office {
    async fn new(authority: Authority) -> Self {
        let fixture = Fixture::new(authority.clone()).await;
        fixture.user("ada@example.com", "viewer").await;
        Self {
            fixture,
            contract: contract(authority),
            description: description(),
        }
    }

    /// Executes a command as it is written by a client.
    async fn execute(&self, command: Value) -> Result<Reply, AdminError> {
        let text = command.to_string();
        let command: Command = serde_json::from_str(&text).unwrap();
        let again = serde_json::to_string(&command).unwrap();
        assert_eq!(serde_json::from_str::<Command>(&again).unwrap(), command);
        let admin = Admin::new(&self.fixture.directory, &self.contract, &self.description);
        admin.execute(command, NOW_MS).await
    }

    async fn done(&self, command: Value) -> Reply {
        let what = command.to_string();
        self.execute(command)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// What is said to be wrong, and the help with it.
    async fn wrong(&self, command: Value) -> (ErrorKind, String) {
        let error = self.execute(command).await.unwrap_err();
        let help = error.help.as_deref().unwrap_or("-");
        (error.kind, format!("{error}; {help}"))
    }
}

#[test]
fn commands_have_no_unknown_words() {
    for bad in [
        json!({"command": "key-mint", "name": "ci", "allowed_clusters": ["prod"]}),
        json!({"command": "user-disable", "email": "a@b", "organisation": "acme"}),
        json!({"command": "user-add", "email": "a@b", "role": "admin", "password": "plaintext"}),
        json!({"command": "key-steal"}),
        json!({}),
    ] {
        assert!(
            serde_json::from_value::<Command>(bad.clone()).is_err(),
            "{bad}"
        );
    }
}
